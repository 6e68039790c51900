//! What the numbers in records mean.

use std::num::NonZeroU32;
use std::sync::Arc;

use palomar_flow::rest::Rest;
use palomar_model::attribution::PolicyRef;
use palomar_model::flow::{Flow, FlowEndpoint};
use palomar_model::object::ObjectName;

use super::id::{EndpointId, InterfaceId, PoliciesId, RestId, ServiceId};
use super::record::Record;
use super::table::Table;

/// An interface as flows show it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Interface {
    /// Its index in the kernel.
    pub index: u32,
    /// Its name; empty if it was gone when the flow was read.
    pub name: Arc<str>,
}

/// An immutable version of the meaning of all numbers. It holds for the records that were copied with it; a
/// later version may give a number that they use to something else, or to nothing.
#[derive(Debug, Clone, Default)]
pub struct Names {
    pub(super) endpoints: Table<FlowEndpoint>,
    pub(super) services: Table<ObjectName>,
    pub(super) interfaces: Table<Interface>,
    pub(super) policies: Table<[PolicyRef]>,
    pub(super) rests: Table<Rest>,
    /// See [`Names::erasures`].
    pub(super) erasures: u64,
}

// === impl Names ===

impl Names {
    /// Raised whenever numbers were taken back. What was remembered by number under another value may be wrong.
    pub const fn erasures(&self) -> u64 {
        self.erasures
    }

    /// An end of a flow.
    pub fn endpoint(&self, id: EndpointId) -> &Arc<FlowEndpoint> {
        held(&self.endpoints, id.0)
    }

    /// A service.
    pub fn service(&self, id: ServiceId) -> &Arc<ObjectName> {
        held(&self.services, id.0)
    }

    /// An interface.
    pub fn interface(&self, id: InterfaceId) -> &Arc<Interface> {
        held(&self.interfaces, id.0)
    }

    /// A list of policies.
    pub fn policies(&self, id: PoliciesId) -> &Arc<[PolicyRef]> {
        held(&self.policies, id.0)
    }

    /// What a flow's message says beyond its record.
    pub fn rest(&self, id: RestId) -> &Arc<Rest> {
        held(&self.rests, id.0)
    }

    /// Every end of a flow that has a number now.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<FlowEndpoint>> {
        self.endpoints.iter()
    }

    /// The whole flow of a record; what its message says beyond that is [`Names::rest`].
    pub fn flow(&self, record: &Record, uuid: u128) -> Flow {
        let Record {
            time_ns,
            source_address,
            destination_address,
            source,
            destination,
            source_service,
            destination_service,
            interface,
            policies,
            policy_revision,
            transport,
            event,
            verdict,
            state,
            direction,
            rest: _,
        } = *record;
        let interface = self.interface(interface);
        Flow {
            time_ns,
            uuid,
            event,
            verdict,
            state,
            direction,
            source_address,
            destination_address,
            transport,
            source: Arc::clone(self.endpoint(source)),
            destination: Arc::clone(self.endpoint(destination)),
            source_service: source_service.map(|id| ObjectName::clone(self.service(id))),
            destination_service: destination_service.map(|id| ObjectName::clone(self.service(id))),
            interface: (interface.index, Arc::clone(&interface.name)),
            policies: policies.map_or_else(|| Arc::from([]), |id| Arc::clone(self.policies(id))),
            policy_revision,
        }
    }
}

fn held<T: ?Sized>(table: &Table<T>, number: NonZeroU32) -> &Arc<T> {
    table.get(number).expect("invariant: the names that came with a record hold all its numbers")
}
