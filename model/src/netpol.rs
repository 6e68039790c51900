//! A `NetworkPolicy` after validation: defaults filled in, shapes that cannot be meant ruled out.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::object::ObjectName;
use crate::packet::Protocol;
use crate::ports::{NamedPort, NamedPorts};
use crate::selector::Selector;
use crate::verdict::Direction;

/// A `networking.k8s.io/v1` `NetworkPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NetworkPolicy {
    /// Namespace and name.
    pub name: ObjectName,
    /// Which pods of its namespace it isolates. An empty selector selects every pod of the namespace.
    pub pod_selector: Selector,
    /// The ingress rules. `None`: the policy does not isolate ingress. An empty list: isolates and allows nothing.
    pub ingress: Option<Vec<Rule>>,
    /// The egress rules. `None`: the policy does not isolate egress. An empty list: isolates and allows nothing.
    pub egress: Option<Vec<Rule>>,
}

impl NetworkPolicy {
    /// The rules of a direction; `None` when the policy does not isolate it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// One allowing rule: a packet matches if any peer and any port match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The peers, any of which matches. Empty: every peer, pods and world alike.
    pub peers: Vec<Peer>,
    /// The ports, any of which matches. Empty: every port of every protocol, portless protocols included.
    pub ports: Vec<PortRule>,
}

/// One peer of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Pods that match both selectors.
    Pods {
        /// Which namespaces. `None`: the policy's own. Empty selector: all.
        namespaces: Option<Selector>,
        /// Which pods in them. `None` or an empty selector: all.
        pods: Option<Selector>,
    },
    /// A range of addresses.
    Block(IpBlock),
}

/// An `ipBlock`: the addresses of `cidr` outside every `except`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpBlock {
    /// The range, host bits cleared.
    pub cidr: IpNet,
    /// Ranges inside `cidr` that do not belong to the block, host bits cleared; sorted, without repeats.
    pub except: Vec<IpNet>,
}

impl IpBlock {
    /// Whether the block holds this address. An address of the other family never belongs.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(&address) && !self.except.iter().any(|except| except.contains(&address))
    }
}

impl fmt::Display for IpBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cidr)?;
        for (position, except) in self.except.iter().enumerate() {
            write!(f, "{}{except}", if position == 0 { " except " } else { ", " })?;
        }
        Ok(())
    }
}

/// A protocol and the destination ports of it that a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortRule {
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The destination ports.
    pub ports: Ports,
}

/// Destination ports of one protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Every port, and packets whose port is not known.
    Every,
    /// From the first to the last, both included; the first is never above the last.
    Range(u16, u16),
    /// Whatever the pod that is connected to calls by this name. A pod without such a port, and whoever is no pod,
    /// has none.
    Named(String),
}

impl PortRule {
    /// Whether a packet of `protocol` to `port` matches; a packet without a known port matches only
    /// [`Ports::Every`]. `named` are the named ports of the pod that is connected to; none where it is no pod.
    pub fn matches(&self, protocol: Protocol, port: Option<u16>, named: &NamedPorts) -> bool {
        self.protocol == protocol
            && match (&self.ports, port) {
                (Ports::Every, _) => true,
                (Ports::Range(first, last), Some(port)) => (*first..=*last).contains(&port),
                (Ports::Named(name), Some(port)) => {
                    named.numbers(name, protocol).any(|number| number == port)
                }
                (Ports::Range(..) | Ports::Named(_), None) => false,
            }
    }

    /// Whether it asks for a port of this name and protocol.
    pub fn asks_for(&self, port: &NamedPort) -> bool {
        matches!(&self.ports, Ports::Named(name) if port.is(name, self.protocol))
    }
}

/// `TCP`, `TCP 80`, `TCP 80-90`, `TCP http`
impl fmt::Display for PortRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.protocol)?;
        match &self.ports {
            Ports::Every => Ok(()),
            Ports::Range(first, last) if first == last => write!(f, " {first}"),
            Ports::Range(first, last) => write!(f, " {first}-{last}"),
            Ports::Named(name) => write!(f, " {name}"),
        }
    }
}
