//! The metrics of flows by Hubble's names.

use std::str::FromStr;

use super::context;
use super::error::InvalidSelection;

/// A metric of flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Dropped flows by reason and protocol.
    Drop,
    /// All flows by protocol, type, sub-type and verdict.
    Flow,
    /// Flows to the world that are no replies, by protocol and verdict.
    FlowsToWorld(WorldOptions),
    /// ICMP messages by family and type.
    Icmp,
    /// Policy verdicts by direction, match type and action.
    Policy,
    /// Forwarded flows that are no replies, by protocol and destination port.
    PortDistribution,
    /// Forwarded TCP packets by flag and family.
    Tcp,
}

/// Which flows to the world count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorldOptions {
    /// Whether drops for other reasons than policy count as well.
    pub any_drop: bool,
    /// Whether the destination port is a label.
    pub port: bool,
    /// Whether only the first packet of a TCP connection counts.
    pub syn_only: bool,
}

/// Metrics of Hubble that this agent has not, with what they need.
const UNSUPPORTED: [(&str, &str); 5] = [
    ("dns", "L7 records"),
    ("http", "L7 records"),
    ("httpV2", "L7 records"),
    ("kafka", "L7 records"),
    ("sctp", "the chunk types of SCTP packets"),
];

/// Whether Hubble has a metric of this name.
pub fn is_name(text: &str) -> bool {
    Metric::ALL.iter().any(|metric| metric.name() == text)
        || UNSUPPORTED.iter().any(|(name, _)| *name == text)
}

// === impl Metric ===

impl Metric {
    /// Every metric, by name, without options.
    pub const ALL: [Self; 7] = [
        Self::Drop,
        Self::Flow,
        Self::FlowsToWorld(WorldOptions { any_drop: false, port: false, syn_only: false }),
        Self::Icmp,
        Self::Policy,
        Self::PortDistribution,
        Self::Tcp,
    ];

    /// Its name in a list.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Flow => "flow",
            Self::FlowsToWorld(_) => "flows-to-world",
            Self::Icmp => "icmp",
            Self::Policy => "policy",
            Self::PortDistribution => "port-distribution",
            Self::Tcp => "tcp",
        }
    }

    /// The name of its series, without `_total`.
    pub const fn family(self) -> &'static str {
        match self {
            Self::Drop => "hubble_drop",
            Self::Flow => "hubble_flows_processed",
            Self::FlowsToWorld(_) => "hubble_flows_to_world",
            Self::Icmp => "hubble_icmp",
            Self::Policy => "hubble_policy_verdicts",
            Self::PortDistribution => "hubble_port_distribution",
            Self::Tcp => "hubble_tcp_flags",
        }
    }

    /// What it counts, for a person.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Drop => "Dropped flows by reason and protocol.",
            Self::Flow => "Flows by protocol, type, sub-type and verdict.",
            Self::FlowsToWorld(_) => "Flows to the world that are no replies.",
            Self::Icmp => "ICMP messages by family and type.",
            Self::Policy => "Policy verdicts by direction, match type and action.",
            Self::PortDistribution => "Forwarded flows that are no replies, by destination port.",
            Self::Tcp => "Forwarded TCP packets by flag.",
        }
    }

    /// The names of all options that it takes.
    pub(super) fn options(self) -> impl Iterator<Item = &'static str> {
        let own: &[&str] = match self {
            Self::FlowsToWorld(_) => &["any-drop", "port", "syn-only"],
            _ => &[],
        };
        context::OPTIONS.iter().chain(own).copied()
    }

    /// Sets an option of its own; false if it has none of this name.
    pub(super) fn set(&mut self, option: &str, value: &str) -> Result<bool, InvalidSelection> {
        let metric = self.name();
        let Self::FlowsToWorld(options) = self else { return Ok(false) };
        let (option, flag) = match option {
            "any-drop" => ("any-drop", &mut options.any_drop),
            "port" => ("port", &mut options.port),
            "syn-only" => ("syn-only", &mut options.syn_only),
            _ => return Ok(false),
        };
        if !matches!(value, "" | "true") {
            return Err(InvalidSelection::ValueOfSwitch { metric, option, value: value.to_owned() });
        }
        *flag = true;
        Ok(true)
    }
}

impl FromStr for Metric {
    type Err = InvalidSelection;

    fn from_str(name: &str) -> Result<Self, InvalidSelection> {
        if let Some(metric) = Self::ALL.into_iter().find(|metric| metric.name() == name) {
            return Ok(metric);
        }
        match UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name) {
            Some((name, needs)) => Err(InvalidSelection::Unsupported { metric: name, needs }),
            None => Err(InvalidSelection::UnknownMetric(name.to_owned())),
        }
    }
}
