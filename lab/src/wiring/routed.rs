//! Pods behind host routes.

use super::{Cable, POD_INTERFACE, address_line, by_family};

/// Every host end has this address, so that a pod's neighbour entry survives anything.
const HOST_MAC: &str = "ee:ee:ee:ee:ee:ee";
const GATEWAY_V4: &str = "169.254.1.1";
const GATEWAY_V6: &str = "fe80::1";

/// The host end answers for every address that the node has a route to, and at once: by default the kernel waits up to
/// 0.8 s, and a new namespace has no defaults of its own to set this in.
pub(super) fn host_settings(host: &str) -> Vec<(String, &'static str)> {
    vec![(format!("ipv4/conf/{host}/proxy_arp"), "1"), (format!("ipv4/neigh/{host}/proxy_delay"), "0")]
}

pub(super) fn host(cable: &Cable) -> Vec<String> {
    let host = &cable.host;
    let mut lines = vec![
        cable.link(&format!("address {HOST_MAC} ")),
        format!("link set {host} up"),
        format!("addr add {GATEWAY_V6}/64 dev {host} nodad"),
    ];
    lines.extend(cable.addresses.iter().map(|address| format!("route add {address} dev {host}")));
    lines
}

pub(super) fn pod(cable: &Cable) -> Vec<String> {
    let own = |v6: bool| cable.addresses.iter().filter(move |address| address.is_ipv6() == v6);
    let mut lines: Vec<_> =
        cable.addresses.iter().map(|a| address_line(*a, by_family(*a, 32, 128), POD_INTERFACE)).collect();
    if own(false).next().is_some() {
        lines.push(format!("route add {GATEWAY_V4} dev {POD_INTERFACE} scope link"));
        lines.push(format!("route add default via {GATEWAY_V4} dev {POD_INTERFACE}"));
    }
    if own(true).next().is_some() {
        lines.push(format!("route add default via {GATEWAY_V6} dev {POD_INTERFACE}"));
    }
    lines
}
