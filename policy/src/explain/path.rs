//! The ways that a connection may take: one for each address family, and for each pod behind a service.

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_model::world::Service;

use super::missing::Missing;
use super::party::{Party, Standing};

/// A way that the connection may take, from pod to pod: what a service was in between has been resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'w> {
    /// Who connects.
    pub from: Party<'w>,
    /// Who answers.
    pub to: Party<'w>,
    /// The destination port at the end that answers.
    pub port: Option<u16>,
    /// The other node, and its port, that the client connects to and that leads it on: egress is judged for that. `None`: it
    /// is judged for the end that answers.
    pub other_node: Option<(Party<'w>, Option<u16>)>,
    /// The service whose address, or port at a node, the client connects to; `None` where it connects to the other end
    /// itself.
    pub service: Option<&'w ObjectName>,
    /// Whether the end that answers sees who connects.
    pub source: Source,
    /// Whether the node leads on and hides who connects, so that the backend's own interface cannot tell either: all ways
    /// of the service are then closed to a pod that may not go one of them.
    pub is_hidden: bool,
    /// Why it is not known who answers there; `None`: it is.
    pub(super) open: Option<Open>,
}

/// Whether the end that answers sees the address of the end that connects, or a node's in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It sees it.
    Kept,
    /// It sees it of pods. Of others from outside the cluster, nodes may have replaced it.
    KeptOfPods,
    /// Nodes may have replaced it.
    MayBeMasked,
    /// A node has replaced it by an address of its own.
    Masked,
}

/// Why it is not known who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// The service does not have this port.
    Port(Option<u16>),
    /// Nobody stands behind this port.
    Backend(Option<u16>),
    /// Nobody on the client's own node does.
    OnNode(Option<u16>),
}

// === impl Path ===

impl<'w> Path<'w> {
    /// The other end of a direction as it is judged there, and the port of the destination.
    pub(super) fn peer(&self, direction: Direction) -> (Party<'w>, Option<u16>) {
        match direction {
            Direction::Ingress => (self.from, self.port),
            Direction::Egress => self.other_node.unwrap_or((self.to, self.port)),
        }
    }

    /// What would have to be known of who answers; `None`: it is known.
    pub(super) fn unknown(&self, protocol: Protocol) -> Option<Missing> {
        let service = self.service?.clone();
        Some(match self.open? {
            Open::Port(port) => {
                let Standing::Service(of) = self.to.standing else { return None };
                Missing::ServicePort { service, protocol, port, choices: choices(of) }
            }
            Open::Backend(port) => Missing::Backend { service, protocol, port, node: None },
            Open::OnNode(port) => {
                let node =
                    self.from.node().map_or_else(|| "its own node".to_owned(), |node| format!("node {node}"));
                Missing::Backend { service, protocol, port, node: Some(node) }
            }
        })
    }
}

fn choices(service: &Service) -> String {
    let ports = service.ports.iter().map(|port| format!("{} {}", port.protocol, port.port));
    let ports: Vec<String> = ports.collect();
    if ports.is_empty() { "none".to_owned() } else { ports.join(", ") }
}
