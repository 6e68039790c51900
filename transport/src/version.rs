//! What the two ends tell each other of their version.

/// Response header in which an agent tells its version; stock clients warn if it is newer than they are.
pub const SERVER_VERSION_HEADER: &str = "hubble-server-version";

/// Response header in which a relay tells its version.
pub const RELAY_VERSION_HEADER: &str = "hubble-relay-version";

/// The version of Hubble's API that we speak, and the value of the headers.
pub const HUBBLE_VERSION: &str = "1.19.4";
