//! Kubernetes YAML text to Palomar's objects, with errors that name file, line and field
