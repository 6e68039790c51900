//! Services by the ports that they have at this node's own addresses.

use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::object::ObjectName;
use palomar_model::verdict::{ConnectionState, Direction};

use crate::decode::KernelEvent;
use crate::directory::Directory;

/// The end of an event that is a service's port at this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At<'d> {
    /// A pod sends to it.
    Destination(&'d Arc<ObjectName>),
    /// It answers.
    Source(&'d Arc<ObjectName>),
}

/// The service that a pod's connection went to by a node port; `None` for any other connection. A packet whose
/// connection's beginning is not known is of none: a node that masquerades may use such a port for its own end.
pub(super) fn service<'d>(directory: &'d Directory, event: &KernelEvent) -> Option<At<'d>> {
    if directory.node_ports.is_empty() {
        return None;
    }
    let (source, destination) = event.transport.ports()?;
    let find = |address: IpAddr, port| {
        let at_node = directory.node_addresses.contains(&address);
        at_node.then(|| directory.node_ports.get(&(event.transport.protocol(), port))).flatten()
    };
    match (event.direction, event.state) {
        (Direction::Egress, ConnectionState::New | ConnectionState::Established) => {
            find(event.destination_address, destination).map(At::Destination)
        }
        (Direction::Ingress, ConnectionState::Reply) => find(event.source_address, source).map(At::Source),
        _ => None,
    }
}
