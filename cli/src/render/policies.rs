//! Who decided: the policies of a policy-verdict event.

use palomar_proto::flow::{Flow, Policy, TrafficDirection};

use super::escape::escape;

/// Which list of policies belongs to a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The policies that allowed.
    Allowed,
    /// The policies that denied.
    Denied,
}

/// ` BY name (Kind), name (Kind)`; empty if no policy is told by both name and kind, or the direction is not.
pub fn suffix(flow: &Flow, decision: Decision) -> String {
    let direction = TrafficDirection::try_from(flow.traffic_direction);
    let policies: &[Policy] = match (direction, decision) {
        (Ok(TrafficDirection::Ingress), Decision::Allowed) => &flow.ingress_allowed_by,
        (Ok(TrafficDirection::Ingress), Decision::Denied) => &flow.ingress_denied_by,
        (Ok(TrafficDirection::Egress), Decision::Allowed) => &flow.egress_allowed_by,
        (Ok(TrafficDirection::Egress), Decision::Denied) => &flow.egress_denied_by,
        _ => &[],
    };
    let told = policies.iter().filter(|policy| !policy.name.is_empty() && !policy.kind.is_empty());
    let names: Vec<String> =
        told.map(|policy| format!("{} ({})", escape(&policy.name), escape(&policy.kind))).collect();
    if names.is_empty() { String::new() } else { format!(" BY {}", names.join(", ")) }
}
