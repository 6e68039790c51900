//! Who is given what, one sentence a test.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use palomar_bpf::abi::{self, IDENTITY_HOST, IDENTITY_UNMANAGED, IDENTITY_WORLD, PolicyWord};
use palomar_flow::convert::NodeContext;
use palomar_model::attribution::PolicyRef;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::ObjectName;
use palomar_model::packet::{Protocol, TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};
use palomar_model::world::Pod;

use super::*;
use crate::clock::{TimeAnchor, monotonic_now_ns};
use crate::decode::{ForeignDrop, KernelEvent};
use crate::directory::{Directory, LocalEndpoint, PodEntry};
use crate::losses::{LossSource, Losses};
use crate::ring::{Capacity, Ring};
use crate::source;

const WEB: [u8; 4] = [10, 0, 0, 2];
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const NODE: [u8; 4] = [192, 168, 1, 1];
const OTHER_NODE: [u8; 4] = [192, 168, 1, 2];
const VIP: [u8; 4] = [10, 96, 0, 10];
const OUTSIDE: [u8; 4] = [203, 0, 113, 9];

fn pod(name: &str, internal_identity: u32, uid: &str) -> Arc<PodEntry> {
    let name = ObjectName::new("np-demo", name);
    Arc::new(PodEntry {
        pod: Arc::new(Pod { uid: uid.into(), node: "node-1".into(), ..Pod::new(name.clone()) }),
        internal_identity,
        flow_endpoint: Arc::new(FlowEndpoint {
            id: 0,
            identity: Identity(internal_identity * 100),
            labels: LabelSet::new(vec![Label::k8s("role", name.name.clone())]),
            pod: Some(name),
            workload: None,
            cluster: Arc::from("default"),
        }),
    })
}

fn directory() -> Directory {
    let mut directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
    let (web, client) = (pod("web", 10, "w"), pod("client", 11, "c"));
    directory.addresses.insert(WEB.into(), Arc::clone(&web));
    directory.addresses.insert(CLIENT.into(), client);
    directory.endpoints.insert(
        7,
        Arc::new(LocalEndpoint {
            id: 7,
            interface: Arc::from("veth7"),
            pod: Some(web),
            addresses: vec![WEB.into()],
        }),
    );
    directory.node_addresses.insert(NODE.into());
    directory.remote_nodes.insert(OTHER_NODE.into());
    directory.services.insert(VIP.into(), ObjectName::new("np-demo", "web"));
    directory.identities.insert(12, (Identity(1_200), LabelSet::new(vec![Label::k8s("role", "gone")])));
    directory
}

/// Names the rule set or the policy set in the policy's name.
struct ByNumber;

impl Attributions for ByNumber {
    fn version(&self) -> u64 {
        0
    }

    fn attribute(&self, decision: &Decision) -> Attribution {
        if decision.revision == 99 {
            return Attribution::Withheld;
        }
        let name = match decision.verdict {
            Verdict::Forwarded => format!("rules-{}-{}", decision.rule_set, decision.class_rule_set),
            Verdict::Dropped | Verdict::Audit => {
                format!("set-{}-{}", decision.policy_set, decision.direction)
            }
        };
        Attribution::Policies([PolicyRef::network_policy(ObjectName::new("np-demo", name))].into())
    }

    fn class_labels(&self, class: u32) -> Option<LabelSet> {
        (class == 3).then(|| LabelSet::new(vec![Label::cidr("203.0.113.0/24"), Label::reserved("world")]))
    }
}

/// A packet from the client that is delivered to web, behind interface 7.
fn event() -> KernelEvent {
    KernelEvent {
        monotonic_ns: 5_000,
        event: Event::Trace(ObservationPoint::ToEndpoint),
        verdict: Verdict::Forwarded,
        state: ConnectionState::New,
        direction: Direction::Ingress,
        source_address: CLIENT.into(),
        destination_address: WEB.into(),
        transport: Transport::Tcp { source: 4_000, destination: 80, flags: TcpFlags(TcpFlags::SYN) },
        source_masked: false,
        source_identity: 11,
        destination_identity: 10,
        ifindex: 7,
        endpoint: 7,
        policy: PolicyWord::new(4, 2, 0).unwrap(),
        rule_set: 0,
        class_rule_set: 0,
        suppressed: 0,
        class: 0,
        foreign: None,
    }
}

struct Bench {
    enricher: Enricher,
    ring: Arc<Ring>,
    directory: Arc<ArcSwap<Directory>>,
    namespaces: Arc<SeenNamespaces>,
}

fn bench() -> Bench {
    let (writer, ring) = Ring::new(Capacity::try_from(1_023).unwrap());
    let directory = Arc::new(ArcSwap::from_pointee(directory()));
    let namespaces = Arc::new(SeenNamespaces::default());
    let sources = Sources {
        directory: Arc::clone(&directory),
        attributions: Arc::new(ByNumber),
        namespaces: Arc::clone(&namespaces),
    };
    let mut enricher = Enricher::new(sources, writer);
    enricher.set_anchor(TimeAnchor::new(1_000_000, 0));
    Bench { enricher, ring, directory, namespaces }
}

impl Bench {
    fn flow(&mut self, event: KernelEvent) -> Flow {
        self.enricher.enrich([event].into_iter());
        let mut records = Vec::new();
        let newest = self.ring.written() - 1;
        let batch = self.ring.read(newest..u64::MAX, &mut records);
        batch.names.flow(&records[0], self.ring.uuids().of(newest))
    }

    fn change(&mut self, change: impl FnOnce(&mut Directory)) {
        let mut directory = Directory::clone(&self.directory.load());
        change(&mut directory);
        self.directory.store(Arc::new(directory));
    }
}

fn pod_name(endpoint: &FlowEndpoint) -> Option<&str> {
    endpoint.pod.as_ref().map(|pod| pod.name.as_str())
}

#[test]
fn both_ends_are_named_and_the_time_is_the_wall_clocks() {
    let flow = bench().flow(event());
    assert_eq!((pod_name(&flow.source), pod_name(&flow.destination)), (Some("client"), Some("web")));
    assert_eq!(flow.time_ns, 1_005_000);
    assert_eq!(flow.interface, (7, Arc::from("veth7")));
    assert_eq!(flow.policy_revision, 2);
}

#[test]
fn an_end_that_is_no_pod_is_what_the_kernel_said_it_was() {
    // (what it shows, address, internal identity, class, masked) → identity, first label
    let cases: [(&str, IpAddr, u32, u32, bool, u32, &str); 8] = [
        ("the node", NODE.into(), IDENTITY_HOST, 0, false, 1, "reserved:host"),
        ("a hidden sender", NODE.into(), IDENTITY_HOST, 3, true, 2, "reserved:world"),
        ("another node", OTHER_NODE.into(), IDENTITY_WORLD, 0, false, 6, "reserved:remote-node"),
        ("the world", OUTSIDE.into(), IDENTITY_WORLD, 0, false, 2, "reserved:world"),
        ("a CIDR", OUTSIDE.into(), IDENTITY_WORLD, 3, false, 16_777_219, "cidr:203.0.113.0/24"),
        ("a CIDR no longer known", OUTSIDE.into(), IDENTITY_WORLD, 4, false, 16_777_220, "reserved:world"),
        ("an identity without a pod", OUTSIDE.into(), 12, 0, false, 1_200, "k8s:role=gone"),
        ("an identity no longer known", OUTSIDE.into(), 13, 0, false, 0, "reserved:unknown"),
    ];
    for (what, address, internal, class, source_masked, identity, label) in cases {
        let flow = bench().flow(KernelEvent {
            source_address: address,
            source_identity: internal,
            class,
            source_masked,
            ..event()
        });
        assert_eq!(flow.source.identity, Identity(identity), "{what}");
        assert_eq!(flow.source.labels.to_strings()[0], label, "{what}");
        assert_eq!(flow.source.pod, None, "{what}");
    }
}

#[test]
fn an_unmanaged_interface_shows_its_endpoint_number() {
    let flow = bench().flow(KernelEvent {
        destination_address: OUTSIDE.into(),
        destination_identity: IDENTITY_UNMANAGED,
        ifindex: 9,
        endpoint: 9,
        ..event()
    });
    assert_eq!((flow.destination.identity, flow.destination.id), (Identity::UNMANAGED, 9));
    assert_eq!(flow.interface, (9, Arc::from("")));
}

#[test]
fn a_false_source_address_is_not_taken_for_the_pod_it_names() {
    let flow = bench().flow(KernelEvent {
        event: Event::Drop(DropReason::INVALID_SOURCE_IP),
        verdict: Verdict::Dropped,
        direction: Direction::Egress,
        source_address: CLIENT.into(),
        source_identity: 10,
        destination_address: OUTSIDE.into(),
        destination_identity: IDENTITY_WORLD,
        ..event()
    });
    assert_eq!(pod_name(&flow.source), Some("web"), "it came out of web's interface");
    assert!(flow.policies.is_empty());
}

#[test]
fn a_used_address_gives_its_new_pod_nothing_of_the_old_one() {
    let mut bench = bench();
    bench.flow(event());
    bench.change(|directory| {
        directory.addresses.insert(CLIENT.into(), pod("newcomer", 15, "n"));
    });
    let flow = bench.flow(event());
    assert_eq!(pod_name(&flow.source), Some("client"), "the event is of the old identity");
    let flow = bench.flow(KernelEvent { source_identity: 15, ..event() });
    assert_eq!(pod_name(&flow.source), Some("newcomer"));
}

#[test]
fn of_two_pods_of_one_identity_the_moment_decides() {
    let mut bench = bench();
    bench.flow(event());
    let before = monotonic_now_ns();
    bench.change(|directory| {
        directory.addresses.insert(CLIENT.into(), pod("client-2", 11, "c2"));
    });
    bench.flow(event());
    let after = monotonic_now_ns();
    let mut at = |monotonic_ns| bench.flow(KernelEvent { monotonic_ns, ..event() });
    assert_eq!(pod_name(&at(before).source), Some("client"));
    assert_eq!(pod_name(&at(after).source), Some("client-2"));
}

#[test]
fn a_pod_that_has_gone_keeps_its_last_flows() {
    let mut bench = bench();
    bench.flow(event());
    bench.change(|directory| {
        directory.addresses.remove(&IpAddr::from(CLIENT));
        directory.endpoints.remove(&7);
        directory.addresses.remove(&IpAddr::from(WEB));
    });
    let flow = bench.flow(event());
    assert_eq!((pod_name(&flow.source), pod_name(&flow.destination)), (Some("client"), Some("web")));
    assert_eq!(flow.interface, (7, Arc::from("veth7")));
}

#[test]
fn a_service_address_names_its_service() {
    let flow = bench().flow(KernelEvent {
        direction: Direction::Egress,
        source_address: WEB.into(),
        source_identity: 10,
        destination_address: VIP.into(),
        destination_identity: IDENTITY_WORLD,
        ..event()
    });
    assert_eq!(flow.destination_service, Some(ObjectName::new("np-demo", "web")));
    assert_eq!(flow.source_service, None);
}

#[test]
fn a_port_of_this_node_names_its_service_where_a_pod_connects_to_it_and_where_it_answers() {
    let web = || Some(ObjectName::new("np-demo", "web"));
    let to = |address: [u8; 4], port, state| KernelEvent {
        direction: Direction::Egress,
        state,
        source_address: WEB.into(),
        source_identity: 10,
        destination_address: address.into(),
        destination_identity: IDENTITY_WORLD,
        transport: Transport::Tcp { source: 40_000, destination: port, flags: TcpFlags(TcpFlags::SYN) },
        ..event()
    };
    let from = |port, state| KernelEvent {
        direction: Direction::Ingress,
        state,
        source_address: NODE.into(),
        source_identity: IDENTITY_HOST,
        destination_address: WEB.into(),
        destination_identity: 10,
        transport: Transport::Tcp { source: port, destination: 40_000, flags: TcpFlags(TcpFlags::ACK) },
        ..event()
    };
    for (what, event, expected) in [
        ("a pod connects", to(NODE, 30_080, ConnectionState::New), (None, web())),
        ("a later packet", to(NODE, 30_080, ConnectionState::Established), (None, web())),
        ("an answer", from(30_080, ConnectionState::Reply), (web(), None)),
        ("another port", to(NODE, 30_081, ConnectionState::New), (None, None)),
        ("another node", to(OTHER_NODE, 30_080, ConnectionState::New), (None, None)),
        (
            "a pod answers what a node connected to from such a port",
            to(NODE, 30_080, ConnectionState::Reply),
            (None, None),
        ),
        ("a node connects from such a port", from(30_080, ConnectionState::New), (None, None)),
        ("nobody knows who began", to(NODE, 30_080, ConnectionState::Unknown), (None, None)),
    ] {
        let mut bench = bench();
        bench.change(|directory| {
            let name = Arc::new(ObjectName::new("np-demo", "web"));
            directory.node_ports.insert((Protocol::Tcp, 30_080), name);
        });
        let flow = bench.flow(event);
        assert_eq!((flow.source_service, flow.destination_service), expected, "{what}");
    }
}

#[test]
fn a_decision_names_who_decided_and_a_reply_nobody() {
    let named = |change: &dyn Fn(KernelEvent) -> KernelEvent| {
        let flow = bench().flow(change(event()));
        flow.policies.first().map(|policy| policy.name.name.clone())
    };
    let verdict = |event: KernelEvent, verdict| KernelEvent {
        event: Event::PolicyVerdict(MatchType::None),
        verdict,
        ..event
    };
    assert_eq!(named(&|event| verdict(event, Verdict::Audit)).as_deref(), Some("set-4-ingress"));
    assert_eq!(named(&|event| verdict(event, Verdict::Forwarded)), None, "no rule allowed it: not isolated");
    assert_eq!(
        named(&|event| KernelEvent { rule_set: 8, class_rule_set: 9, ..verdict(event, Verdict::Forwarded) })
            .as_deref(),
        Some("rules-8-9")
    );
    let drop = |event| KernelEvent {
        event: Event::Drop(DropReason::POLICY_DENIED),
        verdict: Verdict::Dropped,
        direction: Direction::Egress,
        ..event
    };
    assert_eq!(named(&drop).as_deref(), Some("set-4-egress"));
    assert_eq!(named(&|event| KernelEvent { rule_set: 8, ..event }).as_deref(), Some("rules-8-0"));
    let reply = |event| KernelEvent { rule_set: 8, state: ConnectionState::Reply, ..event };
    assert_eq!(named(&reply), None);
    let settling = |event| KernelEvent { rule_set: 8, policy: PolicyWord::new(4, 99, 0).unwrap(), ..event };
    assert_eq!(named(&settling), None, "withheld");
}

#[test]
fn namespaces_are_seen_for_an_hour() {
    let mut bench = bench();
    bench.flow(event());
    let key = NamespaceKey { cluster: "default".into(), namespace: "np-demo".into() };
    assert_eq!(bench.namespaces.list(2_000_000), [key]);
    assert_eq!(bench.namespaces.list(3_600_000_000_000 + 1_005_000), []);
}

#[test]
fn the_namespaces_of_a_ring_that_was_restored_are_known() {
    const HOUR: i64 = 3_600_000_000_000;
    let mut bench = bench();
    let key = |name: &str| NamespaceKey { cluster: "default".into(), namespace: name.into() };
    bench.change(|directory| {
        let Some(entry) = directory.addresses.get(&IpAddr::from(CLIENT)) else { panic!("no client") };
        let mut elsewhere = PodEntry::clone(entry);
        let mut end = (*elsewhere.flow_endpoint).clone();
        end.pod = Some(ObjectName::new("elsewhere", "client"));
        elsewhere.flow_endpoint = Arc::new(end);
        directory.addresses.insert(OUTSIDE.into(), Arc::new(elsewhere));
    });
    bench.flow(KernelEvent { source_address: OUTSIDE.into(), ..event() });
    let before = 1_005_000;
    let later = HOUR.unsigned_abs() / 2;
    for _ in 0..900 {
        bench.flow(KernelEvent { monotonic_ns: later, ..event() });
    }
    let learnt = |now_ns| {
        let namespaces = Arc::new(SeenNamespaces::default());
        namespaces.learn(&bench.ring, now_ns);
        namespaces.list(now_ns)
    };
    assert_eq!(learnt(before + HOUR - 1), bench.namespaces.list(before + HOUR - 1));
    assert_eq!(learnt(before + HOUR + 1), [key("np-demo")]);
    assert_eq!(learnt(before + 2 * HOUR), []);
}

#[test]
fn what_the_queue_gave_was_written_or_counted_as_lost() {
    let Bench { enricher, ring, .. } = bench();
    let losses = Arc::new(Losses::default());
    let (mut sender, receiver) = source::queue(1_000);
    let thread = spawn(enricher, receiver, Arc::clone(&losses)).unwrap();
    for n in 0..700_u16 {
        let family = if n % 7 == 0 { 5 } else { 6 };
        let event = abi::Event { kind: 4, verdict: 1, direction: 1, family, ..abi::Event::default() };
        assert_eq!(sender.send(&[event]), 1);
    }
    drop(sender);
    drop(thread);
    assert_eq!((ring.written(), losses.count(LossSource::Decode)), (600, 100));
    let [_, _, stage, _] = losses.stages();
    assert_eq!((stage.taken, stage.given, stage.in_hand()), (700, 600, 0));
}

/// Knows reason 12 and the function at 77.
struct Words;

impl KernelWords for Words {
    fn reason(&self, number: u32) -> Option<String> {
        (number == 12).then(|| "NETFILTER_DROP".to_owned())
    }

    fn place(&self, address: u64) -> Option<String> {
        (address == 77).then(|| "nft_do_chain".to_owned())
    }
}

#[test]
fn a_drop_by_somebody_else_has_a_code_of_hubbles_and_the_kernels_words_in_its_summary() {
    let cases = [
        ("reason and place", true, 12, 77, 181, "TCP Flags: SYN; kernel: NETFILTER_DROP at nft_do_chain"),
        ("no place", true, 12, 78, 181, "TCP Flags: SYN; kernel: NETFILTER_DROP"),
        ("a reason without a name", true, 13, 77, 255, "TCP Flags: SYN; kernel: 13 at nft_do_chain"),
        ("nobody knows", false, 12, 77, 255, "TCP Flags: SYN; kernel: 12"),
    ];
    for (what, knows, reason, place, code, summary) in cases {
        let mut bench = bench();
        if knows {
            bench.enricher = bench.enricher.with_kernel_words(Arc::new(Words));
        }
        let drop = KernelEvent {
            event: Event::Drop(DropReason(0)),
            verdict: Verdict::Dropped,
            state: ConnectionState::Unknown,
            foreign: Some(ForeignDrop { reason, place }),
            ..event()
        };
        // the second is as it was remembered
        for _ in 0..2 {
            let flow = bench.flow(drop);
            assert_eq!(flow.event, Event::Drop(DropReason(code)), "{what}");
            assert_eq!(
                (pod_name(&flow.source), pod_name(&flow.destination)),
                (Some("client"), Some("web")),
                "{what}"
            );
            assert!(flow.policies.is_empty(), "{what}");
            let mut records = Vec::new();
            let batch = bench.ring.read(bench.ring.written() - 1..u64::MAX, &mut records);
            let node = NodeContext::new("node-1", "default", &BTreeMap::new(), "0");
            let message = batch.names.rest(records[0].rest.unwrap()).with(&flow, &node);
            assert_eq!(message.summary, summary, "{what}");
        }
        assert_eq!(bench.flow(event()).event, event().event, "{what}: others are as they were");
    }
}

#[test]
fn verdicts_are_counted_by_policy_with_the_denials_that_were_left_out() {
    let mut bench = bench();
    let hits = Arc::new(Hits::default());
    bench.enricher = bench.enricher.with_hits(&hits);
    let verdict = |verdict, suppressed| KernelEvent {
        event: Event::PolicyVerdict(MatchType::None),
        verdict,
        suppressed,
        ..event()
    };
    let drop = KernelEvent { event: Event::Drop(DropReason::POLICY_DENIED), ..verdict(Verdict::Dropped, 7) };
    let allowed = KernelEvent { rule_set: 8, ..verdict(Verdict::Forwarded, 0) };
    for event in [event(), verdict(Verdict::Dropped, 7), drop, verdict(Verdict::Audit, 0), allowed] {
        bench.enricher.enrich([event].into_iter());
    }
    let counts = hits.by_endpoint();
    let [ingress, egress] = &counts[&7];
    assert_eq!((ingress.allowed, ingress.denied), (1, 9), "a drop is its verdict again");
    assert_eq!(ingress.isolating.values().copied().collect::<Vec<_>>(), [9]);
    assert_eq!(*egress, DirectionHits::default());
}
