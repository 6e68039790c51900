//! An item of `ports`.

use palomar_model::netpol::{PortRule, Ports};
use palomar_model::packet::Protocol;
use palomar_model::ports;

use super::{Faults, FieldPath, Reason};
use crate::draft::{PortDraft, PortValue};

pub(super) fn validate(draft: PortDraft, path: &FieldPath, faults: &mut Faults) -> Option<PortRule> {
    let PortDraft { protocol, port, end_port } = draft;
    let protocol = match protocol.as_deref() {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(other) => {
            let written = other.to_owned();
            faults.reject(&path.key("protocol"), Reason::UnknownProtocol { written })
        }
    };
    let at = path.key("port");
    let end_at = path.key("endPort");
    let ports = match (port, end_port) {
        (None, None) => Some(Ports::Every),
        (None, Some(_)) => faults.reject(&end_at, Reason::EndWithoutPort),
        (Some(PortValue::Name(name)), end) => {
            let name = checked_name(name, &at, faults);
            match (name, end) {
                (Some(name), Some(_)) => faults.reject(&end_at, Reason::EndOfName { name }),
                (name, _) => name.map(Ports::Named),
            }
        }
        (Some(PortValue::Number(port)), end) => {
            let port = number(port, &at, faults);
            let end = end.map_or(port, |end| number(end, &end_at, faults));
            range(port, end, &end_at, faults)
        }
    };
    Some(PortRule { protocol: protocol?, ports: ports? })
}

fn range(port: Option<u16>, end: Option<u16>, end_at: &FieldPath, faults: &mut Faults) -> Option<Ports> {
    let (port, end) = (port?, end?);
    if end < port {
        return faults.reject(end_at, Reason::EndBeforePort { end, port });
    }
    Some(Ports::Range(port, end))
}

fn checked_name(written: String, path: &FieldPath, faults: &mut Faults) -> Option<String> {
    if !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) {
        return faults.reject(path, Reason::QuotedPort { written });
    }
    match ports::name_problem(&written) {
        None => Some(written),
        Some(problem) => faults.reject(path, Reason::PortName { written, problem }),
    }
}

fn number(written: i64, path: &FieldPath, faults: &mut Faults) -> Option<u16> {
    match u16::try_from(written).ok().filter(|port| *port != 0) {
        Some(port) => Some(port),
        None => faults.reject(path, Reason::PortOutOfRange { written }),
    }
}
