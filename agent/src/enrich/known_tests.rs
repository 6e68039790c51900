//! What is remembered is what would be found out: an enricher against one that forgets all before each event.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use palomar_bpf::abi::{IDENTITY_HOST, IDENTITY_UNMANAGED, IDENTITY_WORLD, PolicyWord};
use palomar_model::attribution::PolicyRef;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::ObjectName;
use palomar_model::packet::Transport;
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};
use palomar_model::world::Pod;
use proptest::prelude::*;

use super::*;
use crate::clock::TimeAnchor;
use crate::decode::KernelEvent;
use crate::directory::{Directory, LocalEndpoint, PodEntry};
use crate::ring::{Capacity, Ring};

const IDENTITIES: [u32; 6] = [IDENTITY_HOST, IDENTITY_WORLD, IDENTITY_UNMANAGED, 256, 257, 258];

/// What a test does to both.
#[derive(Debug, Clone)]
enum Step {
    /// Events in one batch.
    Events(Vec<KernelEvent>),
    /// Gives an address to another pod, or to nobody, at a moment.
    Move { address: u8, to: Option<(u8, u32)>, at_ns: u64 },
    /// Puts a pod behind an interface, or nobody.
    Bind { ifindex: u32, to: Option<(u8, u32)>, at_ns: u64 },
    /// Makes an address a service's, or nobody's.
    Serve { address: u8, by: Option<u8>, at_ns: u64 },
    /// Gives a policy set, rule set or class its next meaning.
    Decide(u32),
}

/// Names that change when they are told to.
struct Changing {
    meanings: Mutex<HashMap<u32, u32>>,
    version: AtomicU64,
    /// Says at each question for the version that something has changed.
    is_restless: bool,
}

impl Changing {
    fn new(is_restless: bool) -> Self {
        Self { meanings: Mutex::default(), version: AtomicU64::new(0), is_restless }
    }

    fn change(&self, number: u32) {
        *self.meanings.lock().unwrap().entry(number).or_default() += 1;
        self.version.fetch_add(1, Ordering::Release);
    }

    fn name(&self, number: u32) -> String {
        format!("{number}-{}", self.meanings.lock().unwrap().get(&number).copied().unwrap_or_default())
    }
}

impl Attributions for Changing {
    fn version(&self) -> u64 {
        if self.is_restless {
            self.version.fetch_add(1, Ordering::Release)
        } else {
            self.version.load(Ordering::Acquire)
        }
    }

    fn attribute(&self, decision: &Decision) -> Attribution {
        if decision.revision == 3 {
            return Attribution::Withheld;
        }
        let numbers = [decision.policy_set, decision.rule_set, decision.class_rule_set];
        let names = numbers.map(|number| self.name(number)).join(" ");
        let name = format!("{names} {:?} {:?} {}", decision.direction, decision.verdict, decision.endpoint);
        Attribution::Policies([PolicyRef::network_policy(ObjectName::new("demo", name))].into())
    }

    fn class_labels(&self, class: u32) -> Option<LabelSet> {
        (class != 2).then(|| LabelSet::new(vec![Label::k8s("class", self.name(class))]))
    }
}

/// An enricher and its world.
struct Side {
    enricher: Enricher,
    ring: Arc<Ring>,
    directory: Arc<ArcSwap<Directory>>,
    attributions: Arc<Changing>,
}

impl Side {
    fn new(forgets: bool) -> Self {
        let (writer, ring) = Ring::new(Capacity::try_from(255).unwrap());
        let directory =
            Arc::new(ArcSwap::from_pointee(Directory::empty(Arc::from("node-1"), Arc::from("default"))));
        let attributions = Arc::new(Changing::new(forgets));
        let sources = Sources {
            directory: Arc::clone(&directory),
            attributions: Arc::clone(&attributions) as Arc<dyn Attributions>,
            namespaces: Arc::default(),
        };
        let mut enricher = Enricher::new(sources, writer);
        enricher.set_anchor(TimeAnchor::new(0, 0));
        Self { enricher, ring, directory, attributions }
    }

    fn flows(&mut self, events: &[KernelEvent], size: usize) -> Vec<Flow> {
        let mut flows = Vec::new();
        for batch in events.chunks(size) {
            let mut at = self.ring.written();
            self.enricher.enrich(batch.iter().copied());
            let mut records = Vec::new();
            while at < self.ring.written() {
                let batch = self.ring.read(at..u64::MAX, &mut records);
                flows.extend(records.iter().map(|record| batch.names.flow(record, 0)));
                at = batch.first + records.len() as u64;
            }
        }
        flows
    }

    fn change(&mut self, at_ns: u64, change: impl FnOnce(&mut Directory)) {
        let mut directory = Directory::clone(&self.directory.load());
        change(&mut directory);
        directory.made_at_ns = at_ns;
        self.directory.store(Arc::new(directory));
        self.enricher.follow_directory();
    }

    fn step(&mut self, step: &Step, size: usize) -> Vec<Flow> {
        match step {
            Step::Events(events) => return self.flows(events, size),
            Step::Move { address: at, to, at_ns } => self.change(*at_ns, |directory| match to {
                Some(to) => drop(directory.addresses.insert(address(*at), pod(*to))),
                None => drop(directory.addresses.remove(&address(*at))),
            }),
            Step::Bind { ifindex, to, at_ns } => self.change(*at_ns, |directory| {
                let pod = to.map(pod);
                let local = LocalEndpoint {
                    id: *ifindex,
                    interface: Arc::from(format!("veth{}", to.map_or(0, |(name, _)| name % 2))),
                    pod,
                    addresses: Vec::new(),
                };
                directory.endpoints.insert(*ifindex, Arc::new(local));
            }),
            Step::Serve { address: at, by, at_ns } => self.change(*at_ns, |directory| match by {
                Some(by) => {
                    let name = ObjectName::new("demo", format!("service-{by}"));
                    directory.services.insert(address(*at), name);
                }
                None => drop(directory.services.remove(&address(*at))),
            }),
            Step::Decide(number) => self.attributions.change(*number),
        }
        Vec::new()
    }
}

/// Some IPv4 addresses, and IPv6 ones that look like them.
fn address(n: u8) -> IpAddr {
    let address = std::net::Ipv4Addr::new(10, 0, 0, n / 2);
    if n.is_multiple_of(2) { address.into() } else { address.to_ipv6_mapped().into() }
}

fn pod((name, internal_identity): (u8, u32)) -> Arc<PodEntry> {
    let name = ObjectName::new("demo", format!("pod-{name}"));
    Arc::new(PodEntry {
        internal_identity,
        flow_endpoint: Arc::new(FlowEndpoint {
            id: 0,
            identity: Identity(internal_identity * 10),
            labels: LabelSet::new(Vec::new()),
            pod: Some(name.clone()),
            workload: None,
            cluster: Arc::from("default"),
        }),
        pod: Arc::new(Pod::new(name)),
    })
}

fn event() -> impl Strategy<Value = KernelEvent> {
    let identity = || prop::sample::select(IDENTITIES.to_vec());
    let addresses = (0_u8..6, 0_u8..6, identity(), identity());
    let policy = (0_u32..3, 1_u32..4, 0_u32..3, 0_u32..3, 0_u32..4);
    (0_u64..1_000, addresses, policy, 0_u32..3, any::<bool>(), any::<bool>(), 0_u8..3).prop_map(
        |(monotonic_ns, addresses, policy, ifindex, is_egress, source_masked, kind)| {
            let (source, destination, source_identity, destination_identity) = addresses;
            let (set, revision, rule_set, class_rule_set, class) = policy;
            KernelEvent {
                monotonic_ns,
                event: match kind {
                    0 => Event::Trace(ObservationPoint::ToEndpoint),
                    _ => Event::PolicyVerdict(MatchType::L3L4),
                },
                verdict: if kind == 2 { Verdict::Audit } else { Verdict::Forwarded },
                state: ConnectionState::New,
                direction: if is_egress { Direction::Egress } else { Direction::Ingress },
                source_address: address(source),
                destination_address: address(destination),
                transport: Transport::Udp { source: 1, destination: 2 },
                source_masked,
                source_identity,
                destination_identity,
                ifindex,
                endpoint: ifindex,
                policy: PolicyWord::new(set, revision, 0).unwrap(),
                rule_set,
                class_rule_set,
                suppressed: 0,
                class,
                foreign: None,
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let pod = || prop::option::of((0_u8..4, 256_u32..259));
    let at_ns = || 1_u64..1_000;
    prop_oneof![
        6 => prop::collection::vec(event(), 1..60).prop_map(Step::Events),
        3 => (0_u8..6, pod(), at_ns()).prop_map(|(address, to, at_ns)| Step::Move { address, to, at_ns }),
        1 => (0_u32..3, pod(), at_ns()).prop_map(|(ifindex, to, at_ns)| Step::Bind { ifindex, to, at_ns }),
        1 => (0_u8..6, prop::option::of(0_u8..2), at_ns())
            .prop_map(|(address, by, at_ns)| Step::Serve { address, by, at_ns }),
        1 => (0_u32..4).prop_map(Step::Decide),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 2))]

    #[test]
    fn what_is_remembered_is_what_would_be_found_out(
        size in 1_usize..60,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let (mut remembers, mut forgets) = (Side::new(false), Side::new(true));
        for step in &steps {
            let (remembered, found_out) = (remembers.step(step, size), forgets.step(step, 1));
            prop_assert_eq!(remembered.len(), found_out.len());
            for (remembered, found_out) in remembered.iter().zip(&found_out) {
                prop_assert_eq!(remembered, found_out);
            }
        }
    }
}
