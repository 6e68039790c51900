//! How Go reads and writes what users type: Hubble's error texts are Go's, so ours have to be.

pub mod address;
pub mod quote;
pub mod regexp;
pub mod request_uri;
