//! The node's uplink and what is behind it.

use super::{address_line, by_family};
use crate::address::{NODE, OUTSIDE, ROUTER};

/// The uplink's name, on the node and outside.
pub(crate) const UPLINK: &str = "eth0";

/// Lines for the node.
pub(crate) fn node(outside_netns: &str) -> Vec<String> {
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!("link add name {UPLINK} type veth peer name {UPLINK} netns {outside_netns}"),
        format!("link set {UPLINK} up"),
    ];
    lines.extend(NODE.map(|address| address_line(address, by_family(address, 24, 64), UPLINK)));
    lines
}

/// Lines for the world outside, after the node's. It forwards nothing: what goes to an address that nobody has ends here,
/// silently. The node's default routes want the other end to be up: they are the
/// second part, for the node again.
pub(crate) fn outside() -> (Vec<String>, Vec<String>) {
    let mut lines = vec!["link set lo up".to_owned(), format!("link set {UPLINK} up")];
    lines.extend(ROUTER.map(|address| address_line(address, by_family(address, 24, 64), UPLINK)));
    lines.extend(OUTSIDE.map(|address| address_line(address, by_family(address, 32, 128), "lo")));
    lines.extend(NODE.map(|gateway| format!("route add default via {gateway} dev {UPLINK}")));
    let default_routes = ROUTER.map(|gateway| format!("route add default via {gateway} dev {UPLINK}"));
    (lines, default_routes.to_vec())
}
