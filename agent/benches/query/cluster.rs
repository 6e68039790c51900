//! Flows of the shape that the stock server was measured with, as records: 244 pods in 21 namespaces, six to eight
//! labels each, a node with eight labels, policy names, both IP versions.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use palomar_agent::ring::{Interface, Record, Writer};
use palomar_flow::convert::NodeContext;
use palomar_model::flow::Flow;
use palomar_model::object::ObjectName;
use palomar_proto::flow::NetworkInterface;
use palomar_sample::{Cluster, Traffic};

/// Flows that differ; the ring is filled with them over and over.
const FLOWS: usize = 65_536;
/// Nanoseconds from flow to flow.
pub const TICK_NS: i64 = 20_000;
/// When the first flow was.
pub const BEGIN_NS: i64 = 1_768_471_200_000_000_000;

/// The flows, with what the ring interns behind shared pointers.
pub struct Flows(Vec<Shared>);

struct Shared {
    flow: Flow,
    source_service: Option<Arc<ObjectName>>,
    destination_service: Option<Arc<ObjectName>>,
    interface: Arc<Interface>,
}

/// What a filter of each kind may ask for, so that it matches some flows.
pub struct Known {
    /// The destination of about one flow in a hundred.
    pub pod: Flow,
    pub service: ObjectName,
    pub interface: NetworkInterface,
}

/// Equal values behind one pointer.
struct Pool<T>(HashMap<T, Arc<T>>);

impl<T: Clone + Eq + Hash> Pool<T> {
    fn share(&mut self, value: &T) -> Arc<T> {
        Arc::clone(self.0.entry(value.clone()).or_insert_with(|| Arc::new(value.clone())))
    }
}

impl Flows {
    pub fn new() -> Self {
        let mut traffic = Traffic::new(Cluster::new(1), 1);
        let (mut services, mut interfaces) = (Pool(HashMap::new()), Pool(HashMap::new()));
        let mut share = |flow: Flow| {
            let (index, name) = flow.interface.clone();
            let mut service =
                |service: &Option<ObjectName>| service.as_ref().map(|service| services.share(service));
            Shared {
                source_service: service(&flow.source_service),
                destination_service: service(&flow.destination_service),
                interface: interfaces.share(&Interface { index, name }),
                flow,
            }
        };
        Self((0..FLOWS).map(|_| share(traffic.next_flow(0))).collect())
    }

    /// Writes so many flows in batches; `from` counts on from the flows of before.
    pub fn write(&self, writer: &mut Writer, from: u64, count: u64, batch: usize) {
        let mut records = Vec::with_capacity(batch);
        for sequence in from..from + count {
            let at = usize::try_from(sequence).expect("few flows");
            let time_ns = BEGIN_NS + i64::try_from(sequence).expect("few flows") * TICK_NS;
            records.push(record(&self.0[at % FLOWS], writer, time_ns));
            if records.len() == batch {
                writer.append(&records);
                records.clear();
            }
        }
        writer.append(&records);
    }

    pub fn known(&self) -> Known {
        let mut counts = BTreeMap::new();
        for Shared { flow, .. } in &self.0 {
            if let Some(pod) = &flow.destination.pod {
                *counts.entry(pod).or_insert(0) += 1;
            }
        }
        let rare =
            counts.iter().min_by_key(|(_, count)| FLOWS.abs_diff(**count * 100)).expect("there are pods");
        let to_it = |shared: &&Shared| shared.flow.destination.pod.as_ref() == Some(*rare.0);
        let pod = self.0.iter().find(to_it).expect("it is a destination").flow.clone();
        let service = self.0.iter().find_map(|shared| shared.flow.destination_service.clone());
        let (index, name) = pod.interface.clone();
        Known {
            interface: NetworkInterface { index, name: name.as_ref().to_owned() },
            service: service.expect("there are services"),
            pod,
        }
    }
}

/// The node that sees the flows.
pub fn node() -> NodeContext {
    NodeContext::new(Cluster::NODE, Cluster::NAME, &Cluster::node_labels(), "0.1.0")
}

/// A flow with numbers that are good for the next batch.
fn record(shared: &Shared, writer: &mut Writer, time_ns: i64) -> Record {
    let Shared { flow, source_service, destination_service, interface } = shared;
    Record {
        time_ns,
        source_address: flow.source_address,
        destination_address: flow.destination_address,
        source: writer.endpoint(&flow.source),
        destination: writer.endpoint(&flow.destination),
        source_service: source_service.as_ref().map(|service| writer.service(service)),
        destination_service: destination_service.as_ref().map(|service| writer.service(service)),
        interface: writer.interface(interface),
        policies: writer.policies(&flow.policies),
        policy_revision: flow.policy_revision,
        transport: flow.transport,
        event: flow.event,
        verdict: flow.verdict,
        state: flow.state,
        direction: flow.direction,
        rest: None,
    }
}
