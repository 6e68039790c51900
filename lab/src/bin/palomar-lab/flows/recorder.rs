//! Typed flows into the ring.

use std::collections::HashMap;
use std::sync::Arc;

use palomar_agent::enrich::{NamespaceWriter, SeenNamespaces};
use palomar_agent::ring::{EndpointId, Interface, Record, ServiceId, Writer};
use palomar_model::flow::{Flow, FlowEndpoint};
use palomar_model::object::ObjectName;

use super::feed::Told;

/// Writes flows, and tells of the namespaces that they name, as an enricher does.
#[derive(Debug)]
pub struct Recorder {
    writer: Writer,
    namespaces: NamespaceWriter,
    /// One shared value for each that repeats: the ring knows it again by its address.
    services: HashMap<ObjectName, Arc<ObjectName>>,
    interfaces: HashMap<u32, Arc<Interface>>,
    records: Vec<Record>,
    erasures: u64,
}

// === impl Recorder ===

impl Recorder {
    /// A recorder that writes to a ring.
    pub fn new(writer: Writer, namespaces: Arc<SeenNamespaces>) -> Self {
        Self {
            erasures: writer.erasures(),
            writer,
            namespaces: NamespaceWriter::new(namespaces),
            services: HashMap::new(),
            interfaces: HashMap::new(),
            records: Vec::new(),
        }
    }

    /// Writes some flows at once. They can be read when this returns. A flow's UUID is not kept: the ring has its own.
    pub fn write(&mut self, flows: impl Iterator<Item = Told>) {
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        records.extend(flows.map(|told| self.record(&told)));
        self.writer.append(&records);
        self.records = records;
        if self.erasures != self.writer.erasures() {
            self.erasures = self.writer.erasures();
            self.namespaces.forget();
        }
    }

    fn record(&mut self, told: &Told) -> Record {
        let Told { time_ns, flow, rest } = told;
        let Flow {
            time_ns: _,
            uuid: _,
            event,
            verdict,
            state,
            direction,
            source_address,
            destination_address,
            transport,
            source,
            destination,
            source_service,
            destination_service,
            interface,
            policies,
            policy_revision,
        } = &**flow;
        Record {
            time_ns: *time_ns,
            source_address: *source_address,
            destination_address: *destination_address,
            source: self.end(source, *time_ns),
            destination: self.end(destination, *time_ns),
            source_service: source_service.as_ref().map(|name| self.service(name)),
            destination_service: destination_service.as_ref().map(|name| self.service(name)),
            interface: {
                let interface = self.interface(interface);
                self.writer.interface(&interface)
            },
            policies: self.writer.policies(policies),
            policy_revision: *policy_revision,
            transport: *transport,
            event: *event,
            verdict: *verdict,
            state: *state,
            direction: *direction,
            rest: rest.as_ref().map(|rest| self.writer.rest(rest)),
        }
    }

    fn end(&mut self, endpoint: &Arc<FlowEndpoint>, time_ns: i64) -> EndpointId {
        let id = self.writer.endpoint(endpoint);
        self.namespaces.see(id.index(), endpoint, time_ns);
        id
    }

    fn service(&mut self, name: &ObjectName) -> ServiceId {
        if let Some(known) = self.services.get(name) {
            return self.writer.service(known);
        }
        let shared = Arc::new(name.clone());
        self.services.insert(name.clone(), Arc::clone(&shared));
        self.writer.service(&shared)
    }

    fn interface(&mut self, (index, name): &(u32, Arc<str>)) -> Arc<Interface> {
        let known = self.interfaces.get(index).filter(|known| known.name == *name);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let shared = Arc::new(Interface { index: *index, name: Arc::clone(name) });
        self.interfaces.insert(*index, Arc::clone(&shared));
        shared
    }
}
