//! Pods on a Linux bridge.

use super::{Cable, POD_INTERFACE, address_line, by_family};
use crate::address::{GATEWAY, mac_of, mac_text};

const BRIDGE: &str = "cni0";

pub(super) fn node() -> Vec<String> {
    let mac = mac_text(mac_of(GATEWAY[0]));
    let mut lines = vec![
        format!("link add name {BRIDGE} address {mac} type bridge forward_delay 0"),
        format!("link set {BRIDGE} up"),
    ];
    lines.extend(GATEWAY.map(|address| address_line(address, by_family(address, 16, 64), BRIDGE)));
    lines
}

pub(super) fn host(cable: &Cable) -> Vec<String> {
    let host = &cable.host;
    vec![cable.link(""), format!("link set {host} master {BRIDGE} up")]
}

pub(super) fn pod(cable: &Cable) -> Vec<String> {
    let mut lines = Vec::new();
    for address in &cable.addresses {
        lines.push(address_line(*address, by_family(*address, 16, 64), POD_INTERFACE));
    }
    for gateway in GATEWAY {
        if cable.addresses.iter().any(|address| address.is_ipv4() == gateway.is_ipv4()) {
            lines.push(format!("route add default via {gateway} dev {POD_INTERFACE}"));
        }
    }
    lines
}
