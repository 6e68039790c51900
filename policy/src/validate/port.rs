//! An item of `ports`.

use palomar_model::netpol::{PortRule, Ports};
use palomar_model::packet::Protocol;
use palomar_model::ports;

use super::{Checked, FieldPath, Reason};
use crate::draft::{PortDraft, PortValue};

pub(super) fn validate(draft: PortDraft, path: &FieldPath) -> Checked<PortRule> {
    let PortDraft { protocol, port, end_port } = draft;
    let protocol = match protocol.as_deref() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(other) => {
            return Err(path.key("protocol").reject(Reason::UnknownProtocol { written: other.to_owned() }));
        }
    };
    let at = path.key("port");
    let end_at = path.key("endPort");
    let ports = match (port, end_port) {
        (None, None) => Ports::Every,
        (None, Some(_)) => return Err(end_at.reject(Reason::EndWithoutPort)),
        (Some(PortValue::Name(name)), end) => {
            let name = checked_name(name, &at)?;
            if end.is_some() {
                return Err(end_at.reject(Reason::EndOfName { name }));
            }
            Ports::Named(name)
        }
        (Some(PortValue::Number(port)), end) => {
            let port = number(port, &at)?;
            let end = end.map_or(Ok(port), |end| number(end, &end_at))?;
            if end < port {
                return Err(end_at.reject(Reason::EndBeforePort { end, port }));
            }
            Ports::Range(port, end)
        }
    };
    Ok(PortRule { protocol, ports })
}

fn checked_name(written: String, path: &FieldPath) -> Checked<String> {
    if !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(path.reject(Reason::QuotedPort { written }));
    }
    match ports::name_problem(&written) {
        None => Ok(written),
        Some(problem) => Err(path.reject(Reason::PortName { written, problem })),
    }
}

fn number(written: i64, path: &FieldPath) -> Checked<u16> {
    let port = u16::try_from(written).ok().filter(|port| *port != 0);
    port.ok_or_else(|| path.reject(Reason::PortOutOfRange { written }))
}
