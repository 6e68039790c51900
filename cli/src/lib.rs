//! palomar: the command line
