//! Palomar's kernel side: the BPF programs, their loader, and the ABI shared with user space

pub mod abi;
