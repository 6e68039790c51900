//! Values of filter flags that the command line checks itself.

use palomar_flow::go::quote::Quoted;
use palomar_model::identity::Identity;
use palomar_proto::flow::{DropReason, IpVersion, TcpFlags, TrafficDirection, Verdict, Workload};

use crate::arguments::value::{parse_decimal, parse_number};

/// Known by name as a flag, and by its number to printers.
const OVERLAY_TO_ENCRYPT: (&str, u32) = ("overlay-to-encrypt", 11);

/// A reserved name, or a number as Go's flags take it: also `0x…`.
pub fn parse_identity(text: &str) -> Result<u32, String> {
    let known = Identity::all_reserved().skip(1).map(|(identity, name)| (name, identity.0));
    if let Some((_, number)) = known.chain([OVERLAY_TO_ENCRYPT]).find(|(name, _)| *name == text) {
        return Ok(number);
    }
    let number = parse_number(text).ok().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| {
        let names: Vec<&str> = Identity::all_reserved().skip(1).map(|(_, name)| name).collect();
        format!("invalid security identity, expected one of [{} 11] or a numeric value", names.join(" "))
    })
}

/// `name`, `Kind/name` or `Kind/`.
pub fn parse_workload(text: &str) -> Workload {
    let (kind, name) = text.split_once('/').unwrap_or(("", text));
    Workload { name: name.to_owned(), kind: kind.to_owned() }
}

/// Anything that is no version means flows without IP.
pub fn parse_ip_version(text: &str) -> IpVersion {
    match text.to_ascii_lowercase().as_str() {
        "4" | "v4" | "ipv4" | "ip4" => IpVersion::IPv4,
        "6" | "v6" | "ipv6" | "ip6" => IpVersion::IPv6,
        _ => IpVersion::IpNotUsed,
    }
}

/// The number of a verdict's name.
pub fn parse_verdict(text: &str) -> Result<i32, String> {
    let verdict = Verdict::from_str_name(text).ok_or_else(|| format!("invalid --verdict value: {text}"))?;
    Ok(verdict as i32)
}

/// The number of a drop reason's name.
pub fn parse_drop_reason(text: &str) -> Result<i32, String> {
    if text.is_empty() {
        return Err("empty --drop-reason-desc value".to_owned());
    }
    let reason = DropReason::from_str_name(text);
    Ok(reason.ok_or_else(|| format!("invalid --drop-reason-desc value: {text}"))? as i32)
}

/// Ingress or egress, in any case.
pub fn parse_direction(text: &str) -> Result<i32, String> {
    match text.to_ascii_lowercase().as_str() {
        "ingress" => Ok(TrafficDirection::Ingress as i32),
        "egress" => Ok(TrafficDirection::Egress as i32),
        other => Err(format!("{other}: invalid traffic direction, expected ingress or egress")),
    }
}

/// Flags separated by commas, in any case.
pub fn parse_tcp_flags(text: &str) -> Result<TcpFlags, String> {
    let mut flags = TcpFlags::default();
    for name in text.split(',') {
        let flag = match name.to_ascii_uppercase().as_str() {
            "FIN" => &mut flags.fin,
            "SYN" => &mut flags.syn,
            "RST" => &mut flags.rst,
            "PSH" => &mut flags.psh,
            "ACK" => &mut flags.ack,
            "URG" => &mut flags.urg,
            "ECE" => &mut flags.ece,
            "CWR" => &mut flags.cwr,
            "NS" => &mut flags.ns,
            _ => return Err(format!("unknown tcp flag: {name}")),
        };
        *flag = true;
    }
    Ok(flags)
}

/// Name and value, split at the first colon.
pub fn parse_http_header(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts.ok_or_else(|| format!("invalid http-header value {}, expected name:value", Quoted(text)))
}

/// A number above zero.
pub fn parse_ip_trace_id(text: &str) -> Result<u64, String> {
    match parse_decimal(text) {
        Ok(0) => Err("invalid --ip-trace-id value; must be greater than 0".to_owned()),
        Ok(number) => Ok(number),
        Err(reason) => Err(format!("invalid --ip-trace-id value: {reason}")),
    }
}
