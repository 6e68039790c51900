//! The labels of a metric beside its own: who was at the ends.

use std::str::FromStr;

use palomar_flow::view::Side;
use palomar_model::verdict::Direction;

use super::error::InvalidSelection;

/// Options that every metric takes, as Hubble spells them; any case is taken.
pub const OPTIONS: [&str; 7] = [
    "sourceContext",
    "sourceEgressContext",
    "sourceIngressContext",
    "destinationContext",
    "destinationEgressContext",
    "destinationIngressContext",
    "labelsContext",
];

/// The labels of a metric beside its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contexts {
    /// The label `source`.
    pub source: SideContext,
    /// The label `destination`.
    pub destination: SideContext,
    /// One label each, sorted, without repeats.
    pub labels: Vec<ContextLabel>,
}

/// How the value of the label `source` or `destination` is found: the first of a list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SideContext {
    /// For traffic of any direction, unless there is a list for its own.
    pub any: Vec<Identifier>,
    /// For egress traffic; empty if not given.
    pub egress: Vec<Identifier>,
    /// For ingress traffic; empty if not given.
    pub ingress: Vec<Identifier>,
}

/// What an end is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifier {
    /// All labels of its identity, separated by commas.
    Identity,
    /// The namespace of its pod.
    Namespace,
    /// Namespace and name of its pod.
    Pod,
    /// The name of its pod.
    PodName,
    /// Its DNS names. Always empty: flows of this agent carry none yet.
    Dns,
    /// Its address.
    Ip,
    /// `reserved:kube-apiserver`, or the first other reserved label.
    ReservedIdentity,
    /// Namespace and name of what owns its pod.
    Workload,
    /// The name of what owns its pod.
    WorkloadName,
    /// The name of its application, by the usual pod labels.
    App,
}

/// A label that `labelsContext` adds. The order is that in which Hubble lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContextLabel {
    /// A fact of the source, e.g. `source_pod`.
    Source(SideFact),
    /// A fact of the destination, e.g. `destination_pod`.
    Destination(SideFact),
    /// `traffic_direction`: `ingress`, `egress` or `unknown`.
    TrafficDirection,
}

/// What a label of `labelsContext` tells of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SideFact {
    /// Its address.
    Ip,
    /// The name of its pod.
    Pod,
    /// The namespace of its pod.
    Namespace,
    /// The name of what owns its pod.
    Workload,
    /// The kind of what owns its pod.
    WorkloadKind,
    /// The name of its application.
    App,
}

// === impl Contexts ===

impl Contexts {
    /// The context of a side.
    pub fn side(&self, side: Side) -> &SideContext {
        side.of(&self.source, &self.destination)
    }

    /// Sets an option, whose name is in lower case; false if there is none of this name.
    pub(super) fn set(
        &mut self,
        metric: &'static str,
        option: &str,
        value: &str,
    ) -> Result<bool, InvalidSelection> {
        let Some(option) = OPTIONS.into_iter().find(|known| known.to_lowercase() == option) else {
            return Ok(false);
        };
        let Self { source, destination, labels } = self;
        let list = match option {
            "sourceContext" => &mut source.any,
            "sourceEgressContext" => &mut source.egress,
            "sourceIngressContext" => &mut source.ingress,
            "destinationContext" => &mut destination.any,
            "destinationEgressContext" => &mut destination.egress,
            "destinationIngressContext" => &mut destination.ingress,
            _ => {
                *labels =
                    value.split(',').map(|label| parse_label(metric, label)).collect::<Result<_, _>>()?;
                labels.sort_unstable();
                labels.dedup();
                return Ok(true);
            }
        };
        let parse = |context: &str| {
            context.parse().map_err(|UnknownIdentifier| InvalidSelection::UnknownContext {
                metric,
                option,
                context: context.to_owned(),
            })
        };
        *list = value.split('|').map(parse).collect::<Result<_, _>>()?;
        Ok(true)
    }
}

fn parse_label(metric: &'static str, label: &str) -> Result<ContextLabel, InvalidSelection> {
    ContextLabel::all()
        .find(|known| known.name() == label)
        .ok_or_else(|| InvalidSelection::UnknownLabel { metric, label: label.to_owned() })
}

// === impl SideContext ===

impl SideContext {
    /// Whether there is no such label.
    pub fn is_absent(&self) -> bool {
        self.lists().all(<[Identifier]>::is_empty)
    }

    /// Whether the value depends on the direction of the traffic.
    pub fn minds_direction(&self) -> bool {
        !(self.egress.is_empty() && self.ingress.is_empty())
    }

    /// The lists, absent ones as empty.
    pub fn lists(&self) -> impl Iterator<Item = &[Identifier]> {
        [&self.any, &self.egress, &self.ingress].into_iter().map(Vec::as_slice)
    }

    /// The list for traffic of a direction; `None` for an unknown one.
    pub fn list(&self, direction: Option<Direction>) -> &[Identifier] {
        let own = match direction {
            Some(Direction::Egress) => &self.egress,
            Some(Direction::Ingress) => &self.ingress,
            None => return &self.any,
        };
        if own.is_empty() { &self.any } else { own }
    }
}

// === impl Identifier ===

/// A text that is no [`Identifier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownIdentifier;

impl Identifier {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Identity,
        Self::Namespace,
        Self::Pod,
        Self::PodName,
        Self::Dns,
        Self::Ip,
        Self::ReservedIdentity,
        Self::Workload,
        Self::WorkloadName,
        Self::App,
    ];

    /// Its name in an option.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Namespace => "namespace",
            Self::Pod => "pod",
            Self::PodName => "pod-name",
            Self::Dns => "dns",
            Self::Ip => "ip",
            Self::ReservedIdentity => "reserved-identity",
            Self::Workload => "workload",
            Self::WorkloadName => "workload-name",
            Self::App => "app",
        }
    }
}

impl FromStr for Identifier {
    type Err = UnknownIdentifier;

    fn from_str(text: &str) -> Result<Self, UnknownIdentifier> {
        Self::ALL.into_iter().find(|known| known.name() == text.to_lowercase()).ok_or(UnknownIdentifier)
    }
}

// === impl ContextLabel ===

impl ContextLabel {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        let sides = SideFact::ALL.map(Self::Source).into_iter().chain(SideFact::ALL.map(Self::Destination));
        sides.chain([Self::TrafficDirection])
    }

    /// Its name, in an option and on a series.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source(SideFact::Ip) => "source_ip",
            Self::Source(SideFact::Pod) => "source_pod",
            Self::Source(SideFact::Namespace) => "source_namespace",
            Self::Source(SideFact::Workload) => "source_workload",
            Self::Source(SideFact::WorkloadKind) => "source_workload_kind",
            Self::Source(SideFact::App) => "source_app",
            Self::Destination(SideFact::Ip) => "destination_ip",
            Self::Destination(SideFact::Pod) => "destination_pod",
            Self::Destination(SideFact::Namespace) => "destination_namespace",
            Self::Destination(SideFact::Workload) => "destination_workload",
            Self::Destination(SideFact::WorkloadKind) => "destination_workload_kind",
            Self::Destination(SideFact::App) => "destination_app",
            Self::TrafficDirection => "traffic_direction",
        }
    }

    /// The fact that it tells of a side, if it does.
    pub fn fact_of(self, side: Side) -> Option<SideFact> {
        match (self, side) {
            (Self::Source(fact), Side::Source) | (Self::Destination(fact), Side::Destination) => Some(fact),
            _ => None,
        }
    }
}

// === impl SideFact ===

impl SideFact {
    const ALL: [Self; 6] =
        [Self::Ip, Self::Pod, Self::Namespace, Self::Workload, Self::WorkloadKind, Self::App];
}
