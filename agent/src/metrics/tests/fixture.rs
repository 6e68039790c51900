//! Random flows of a small cluster in a ring, and what an exposition says of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};
use proptest::prelude::*;

use crate::metrics::exposition::{Exposition, Format};
use crate::metrics::flow_metrics::FlowMetrics;
use crate::metrics::follower::Follower;
use crate::metrics::selection::Selection;
use crate::ring::{Capacity, Interface, Record, Ring, Writer};

/// Counts by series: the name and the labels, sorted.
pub type Counts = BTreeMap<(String, BTreeMap<String, String>), u64>;

pub struct Fixture {
    pub writer: Writer,
    pub ring: Arc<Ring>,
    pub follower: Follower,
}

impl Fixture {
    pub fn new(selection: &str, max_series: usize, capacity: u64) -> Self {
        let (writer, ring) = Ring::new(Capacity::try_from(capacity).unwrap());
        let flows = FlowMetrics::new(Selection::parse(&[selection]).unwrap(), max_series);
        let follower = Follower::new(Arc::clone(&ring), flows, 0);
        Self { writer, ring, follower }
    }

    /// The same, but begun with a later flow.
    pub fn begin_at(&mut self, selection: &str, next: u64) {
        let flows = FlowMetrics::new(Selection::parse(&[selection]).unwrap(), 100);
        self.follower = Follower::new(Arc::clone(&self.ring), flows, next);
    }

    pub fn write(&mut self, flow: &Flow) {
        let record = record(&mut self.writer, flow);
        self.writer.append(&[record]);
    }

    pub fn text(&self, format: Format) -> String {
        let mut out = Exposition::new(format);
        self.follower.expose(&mut out);
        out.finish()
    }

    /// What the exposition says of flows, without what it says of itself.
    pub fn counts(&self) -> Counts {
        let mut counts = samples(&self.text(Format::Prometheus));
        counts.retain(|(name, _), _| name.starts_with("hubble_"));
        counts
    }

    /// The value of a series without labels, or with the one label `metric`.
    pub fn own(&self, name: &str, metric: Option<&str>) -> u64 {
        let labels = metric.map(|metric| ("metric".to_owned(), metric.to_owned())).into_iter().collect();
        samples(&self.text(Format::Prometheus))[&(name.to_owned(), labels)]
    }
}

fn record(writer: &mut Writer, flow: &Flow) -> Record {
    let (index, name) = flow.interface.clone();
    Record {
        time_ns: flow.time_ns,
        source_address: flow.source_address,
        destination_address: flow.destination_address,
        source: writer.endpoint(&flow.source),
        destination: writer.endpoint(&flow.destination),
        source_service: None,
        destination_service: None,
        interface: writer.interface(&Arc::new(Interface { index, name })),
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

/// The samples of a text.
pub fn samples(text: &str) -> Counts {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut counts = Counts::new();
    for line in lines {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.strip_suffix('}').map_or((series, ""), |s| s.split_once('{').unwrap());
        let key = (name.to_owned(), labels_of(labels));
        assert!(counts.insert(key, value.parse().unwrap()).is_none(), "{line} is there twice");
    }
    counts
}

fn labels_of(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        let name: String = rest.by_ref().take_while(|character| *character != '=').collect();
        assert_eq!(rest.next(), Some('"'), "{text}");
        let mut value = String::new();
        loop {
            match rest.next().unwrap() {
                '"' => break,
                '\\' => value.push(match rest.next().unwrap() {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        assert!(labels.insert(name, value).is_none(), "{text}");
        assert!(matches!(rest.next(), None | Some(',')), "{text}");
    }
    labels
}

/// A pod of an application, owned by something.
pub fn pod(n: u32, namespace: &str, name: &str) -> FlowEndpoint {
    let app_key = ["app.kubernetes.io/name", "app", "k8s-app", "role"][usize::try_from(n % 4).unwrap()];
    FlowEndpoint {
        id: if n.is_multiple_of(3) { 0 } else { n + 10 },
        identity: Identity(300 + n % 5),
        labels: LabelSet::new(vec![
            Label::k8s(app_key, format!("app-{}", n % 3)),
            Label::k8s("k8s-app", if n.is_multiple_of(2) { "dns" } else { "" }),
            Label::k8s("io.kubernetes.pod.namespace", namespace),
        ]),
        pod: Some(ObjectName::new(namespace, name)),
        workload: (!n.is_multiple_of(5)).then(|| Workload {
            name: format!("{name}-owner"),
            kind: if n.is_multiple_of(2) { "Deployment".into() } else { "Job".into() },
        }),
        cluster: Arc::from("default"),
    }
}

/// An end that is no pod.
pub fn podless(identity: Identity, labels: Vec<Label>) -> FlowEndpoint {
    FlowEndpoint {
        id: 0,
        identity,
        labels: LabelSet::new(labels),
        pod: None,
        workload: None,
        cluster: Arc::from(""),
    }
}

fn endpoint() -> impl Strategy<Value = Arc<FlowEndpoint>> {
    let reserved = |number: u32, names: &[&str]| {
        podless(Identity(number), names.iter().map(|name| Label::reserved(*name)).collect())
    };
    let hostile = pod(7, "a\"} 1\n# ", "b\\\n{");
    let cidr = podless(Identity(16_777_218), vec![Label::cidr("8.0.0.0/8"), Label::reserved("world")]);
    let ends = prop_oneof![
        (0_u32..8).prop_map(|n| pod(n, if n < 4 { "np-demo" } else { "other" }, &format!("web-{n}"))),
        // pods that come and go
        (0_u32..400).prop_map(|n| pod(n, "churn", &format!("job-{n}"))),
        prop::sample::select(vec![
            reserved(2, &["world"]),
            reserved(10, &["world-ipv6"]),
            reserved(1, &["host"]),
            reserved(6, &["remote-node"]),
            reserved(7, &["kube-apiserver", "remote-node"]),
            podless(Identity(0), Vec::new()),
            cidr,
            hostile,
        ]),
    ];
    ends.prop_map(Arc::new)
}

fn event() -> impl Strategy<Value = Event> {
    let points = [ObservationPoint::ToEndpoint, ObservationPoint::ToStack, ObservationPoint::FromEndpoint];
    let matches = [
        MatchType::None,
        MatchType::L3Only,
        MatchType::L3L4,
        MatchType::L4Only,
        MatchType::All,
        MatchType::L3Proto,
        MatchType::ProtoOnly,
    ];
    prop_oneof![
        prop::sample::select(points.to_vec()).prop_map(Event::Trace),
        prop::sample::select(vec![0, 132, 133, 133, 133, 181, 222])
            .prop_map(|code| Event::Drop(DropReason(code))),
        prop::sample::select(matches.to_vec()).prop_map(Event::PolicyVerdict),
    ]
}

fn transport() -> impl Strategy<Value = Transport> {
    let port = || prop::sample::select(vec![0_u16, 53, 443, 8_080, 65_535]);
    let number = || prop::sample::select(vec![0_u8, 1, 3, 8, 128, 135, 255]);
    prop_oneof![
        3 => (any::<u16>(), port(), any::<u8>()).prop_map(|(source, destination, flags)| Transport::Tcp {
            source,
            destination,
            flags: TcpFlags(flags),
        }),
        1 => (any::<u16>(), port()).prop_map(|(source, destination)| Transport::Udp { source, destination }),
        1 => (any::<u16>(), port()).prop_map(|(source, destination)| Transport::Sctp { source, destination }),
        1 => (number(), number()).prop_map(|(kind, code)| Transport::Icmp { kind, code }),
        1 => (number(), number()).prop_map(|(kind, code)| Transport::Icmpv6 { kind, code }),
        1 => number().prop_map(Transport::Other),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u8..6).prop_map(|byte| IpAddr::from([10, 0, 0, byte])),
        (0_u16..3).prop_map(|word| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, word])),
    ]
}

/// Any flow, also such as the kernel never tells.
pub fn flow() -> impl Strategy<Value = Flow> {
    let states = [
        ConnectionState::Unknown,
        ConnectionState::New,
        ConnectionState::Established,
        ConnectionState::Reply,
        ConnectionState::Related,
    ];
    let decided = (
        event(),
        prop::sample::select(vec![Verdict::Forwarded, Verdict::Dropped, Verdict::Audit]),
        prop::sample::select(states.to_vec()),
        prop::sample::select(Direction::BOTH.to_vec()),
    );
    (decided, transport(), address(), address(), endpoint(), endpoint()).prop_map(
        |(decided, transport, source_address, destination_address, source, destination)| {
            let (event, verdict, state, direction) = decided;
            Flow {
                time_ns: 1,
                uuid: 0,
                event,
                verdict,
                state,
                direction,
                source_address,
                destination_address,
                transport,
                source,
                destination,
                source_service: None,
                destination_service: None,
                interface: (1, Arc::from("veth0")),
                policies: Arc::from([]),
                policy_revision: 0,
            }
        },
    )
}

/// Any selection, as text.
pub fn selection() -> impl Strategy<Value = String> {
    let contexts = || {
        let names = [
            "identity",
            "namespace",
            "pod",
            "pod-name",
            "dns",
            "ip",
            "reserved-identity",
            "workload",
            "workload-name",
            "app",
        ];
        prop::option::weighted(0.3, prop::sample::subsequence(names.to_vec(), 1..4).prop_shuffle())
    };
    let labels = [
        "source_ip",
        "source_pod",
        "source_namespace",
        "source_workload",
        "source_workload_kind",
        "source_app",
        "destination_ip",
        "destination_pod",
        "destination_namespace",
        "destination_workload",
        "destination_workload_kind",
        "destination_app",
        "traffic_direction",
    ];
    let labels = prop::option::weighted(0.4, prop::sample::subsequence(labels.to_vec(), 1..5));
    let sides = [
        "sourceContext",
        "sourceEgressContext",
        "sourceIngressContext",
        "destinationContext",
        "destinationEgressContext",
        "destinationIngressContext",
    ];
    let options = (prop::collection::vec(contexts(), 6), labels).prop_map(move |(lists, labels)| {
        let lists =
            sides.iter().zip(lists).filter_map(|(side, list)| Some(format!("{side}={}", list?.join("|"))));
        let labels = labels.map(|labels| format!("labelsContext={}", labels.join(",")));
        lists.chain(labels).collect::<Vec<_>>().join(";")
    });
    let world = prop::sample::subsequence(vec!["any-drop", "port", "syn-only"], 0..=3);
    let names = vec!["drop", "flow", "flows-to-world", "icmp", "policy", "port-distribution", "tcp"];
    let metric = (prop::sample::subsequence(names, 1..=7), prop::collection::vec(options, 7), world);
    metric.prop_map(|(names, options, world)| {
        let metrics = names.iter().zip(options).map(|(name, options)| {
            let own = if *name == "flows-to-world" { world.join(";") } else { String::new() };
            format!("{name}:{own};{options}")
        });
        metrics.collect::<Vec<_>>().join(" ")
    })
}
