//! What states and protocols are called.

use palomar_model::packet::Protocol;
use palomar_proto::palomar::v1::{Arrival, ConnectionState};

/// Every state with its name.
pub const STATES: [(ConnectionState, &str); 9] = [
    (ConnectionState::SynUnanswered, "unanswered"),
    (ConnectionState::Opening, "opening"),
    (ConnectionState::Established, "established"),
    (ConnectionState::HalfClosed, "half-closed"),
    (ConnectionState::Closed, "closed"),
    (ConnectionState::Refused, "refused"),
    (ConnectionState::Reset, "reset"),
    (ConnectionState::Unreplied, "unreplied"),
    (ConnectionState::Active, "active"),
];

/// The state of that name.
pub fn state_of(name: &str) -> Option<ConnectionState> {
    STATES.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
}

/// The name of a state; `unknown` for one of a newer server.
pub fn state_name(number: i32) -> &'static str {
    let state = ConnectionState::try_from(number).ok();
    STATES.iter().find(|(known, _)| Some(*known) == state).map_or("unknown", |(_, name)| name)
}

/// `arrived`, `missing`, `denied`, or `unknown`.
pub fn arrival_name(number: i32) -> &'static str {
    match Arrival::try_from(number) {
        Ok(Arrival::Arrived) => "arrived",
        Ok(Arrival::Missing) => "missing",
        Ok(Arrival::Denied) => "denied",
        Ok(Arrival::Unspecified) | Err(_) => "unknown",
    }
}

/// `TCP`, `ICMPv6`; the bare number of a protocol without a name of ours.
pub fn protocol_name(number: u32) -> String {
    match u8::try_from(number).map(Protocol::from_number) {
        Ok(Protocol::Other(_)) | Err(_) => number.to_string(),
        Ok(protocol) => protocol.to_string(),
    }
}
