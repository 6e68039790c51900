//! The kernel's side of a node: real programs and tables, one pod's interface, packets without a wire.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use palomar_agent::decode::KernelEvent;
use palomar_agent::enforce::{
    Desired, DesiredAddress, DesiredEndpoint, Enforcer, Saved, SharedAttributions, Snapshot,
};
use palomar_agent::enrich::{self, Attribution, Attributions as _};
use palomar_agent::kernel::KernelTables;
use palomar_bpf::abi::{IDENTITY_HOST, Mode};
use palomar_bpf::{Constant, Datapath, EventReader, Options};
use palomar_model::attribution::PolicyRef;
use palomar_model::flow::Event;
use palomar_model::packet::Protocol;
use palomar_model::verdict::{Direction, MatchType, Verdict};
use palomar_policy::cidr::{blocks_of, port_names_in_blocks};
use palomar_policy::service::Targets;
use palomar_policy::{RuleSet, RuleSets, Traffic, select_subject};

use crate::craft;
use crate::generate::{Cluster, Pod};

/// The interface of test runs.
const LOOPBACK: u32 = 1;
/// Ports of the side that begins a connection; there are fewer questions about a pod than ports beyond the last.
const FIRST_PORT: u16 = 1_024;
const LAST_PORT: u16 = 50_000;
const PASS: i32 = -1;
const DROP: i32 = 2;
/// Each case comes so much later than the one before: nothing of it lingers.
const BETWEEN: Duration = Duration::from_mins(2);

/// What became of the first packet of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Let through, by no policy.
    Unjudged,
    /// Let through by these rules, which are of these policies, and so specific.
    Allowed(RuleSet, BTreeSet<PolicyRef>, MatchType),
    /// Dropped; these policies isolate the pod.
    Denied(BTreeSet<PolicyRef>),
}

/// Addresses of the node itself.
pub const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(172, 31, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x31, 0, 0, 0, 0, 0, 1))];

/// Where services lead: by their addresses, and by the node's ports in IPv4 and IPv6.
#[derive(Debug, Default)]
pub struct ServiceTargets {
    pub services: BTreeMap<IpAddr, Targets>,
    pub node_ports: [Targets; 2],
}

pub struct Node {
    datapath: Datapath,
    events: EventReader,
    enforcer: Enforcer<KernelTables>,
    attributions: SharedAttributions,
    /// What the numbers of rule sets mean, as the agent keeps it on disk.
    rules: RuleSets,
    now: Instant,
    next_identity: u32,
    /// No two packets have the same, so that each begins a connection.
    next_port: u16,
    pub packets: u64,
}

impl Node {
    pub fn new() -> Self {
        let options = Options {
            connections: 131_072,
            constants: vec![Constant::new("cfg_limit_burst", u32::MAX)],
            ..Options::default()
        };
        let mut datapath =
            Datapath::load(&options, None).expect("root is needed (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)");
        datapath.maps.settings.set_mode(Mode::Enforce);
        let events = datapath.events.take().unwrap();
        let enforcer = Enforcer::adopt(KernelTables(Arc::clone(&datapath.maps)), None).unwrap();
        let attributions = enforcer.attributions();
        let (now, next_identity, next_port) = (Instant::now(), 1_000, FIRST_PORT);
        let rules = RuleSets::default();
        Self { datapath, events, enforcer, attributions, rules, now, next_identity, next_port, packets: 0 }
    }

    /// A number of an identity never changes its meaning.
    pub fn renumber(&mut self, mut cluster: Cluster) -> Cluster {
        for pod in &mut cluster.pods {
            pod.identity = self.next_identity;
            self.next_identity += 1;
        }
        cluster
    }

    /// Makes the pod the one behind the interface, and the cluster what the kernel knows.
    pub fn enforce(&mut self, cluster: &Cluster, targets: &ServiceTargets, pod: &Pod) {
        if self.next_port > LAST_PORT {
            // with the connections that it tracks
            *self = Self { packets: self.packets, next_identity: self.next_identity, ..Self::new() };
        }
        let policies = || cluster.world.policies.values().map(|policy| &**policy);
        let address = |of: &Pod| DesiredAddress { identity: of.identity, endpoint: id(of), node: false };
        let pods = cluster.pods.iter();
        let endpoint = DesiredEndpoint {
            id: id(pod),
            identity: pod.identity,
            policies: select_subject(&cluster.world, pod.labels.subject()),
            enforced: true,
            check_source: true,
        };
        let of_pods = pods.clone().flat_map(|pod| pod.addresses.map(|at| (at, address(pod))));
        let node = DesiredAddress { identity: IDENTITY_HOST, endpoint: 0, node: true };
        let desired = Desired {
            endpoints: [(LOOPBACK, endpoint)].into(),
            addresses: of_pods.chain(ADDRESSES.map(|at| (at, node))).collect(),
            identities: pods.map(|pod| (pod.identity, pod.labels.clone())).collect(),
            services: targets.services.iter().map(|(at, to)| (*at, Arc::new(to.clone()))).collect(),
            node_ports: targets.node_ports.clone().map(Arc::new),
            blocks: Arc::new(blocks_of(policies()).into_iter().cloned().collect()),
            port_names: Arc::new(port_names_in_blocks(policies())),
        };
        self.now += BETWEEN;
        let keep = |snapshot: Snapshot| {
            self.rules = RuleSets::restore(Saved::from(snapshot).rule_sets.unwrap()).unwrap();
        };
        self.enforcer.apply(&desired, self.now, 0, keep).unwrap();
        self.enforcer.collect_garbage(self.now).unwrap();
    }

    /// The first packet of a connection between the pod and a peer.
    pub fn send(&mut self, own: IpAddr, peer: IpAddr, traffic: Traffic) -> Seen {
        self.next_port += 1;
        self.packets += 1;
        let frame = frame(own, peer, traffic, self.next_port);
        let run = self.datapath.attacher.test_run(direction(traffic.direction), &frame, 1).unwrap();
        let mut events = Vec::new();
        self.events.drain(16, |event| events.push(KernelEvent::try_from(&event.unwrap()).unwrap()));
        let judged = events.iter().find(|event| matches!(event.event, Event::PolicyVerdict(_)));
        let Some(judged) = judged else {
            assert_eq!(run.verdict, PASS, "dropped, and no verdict is told: {events:?}");
            return Seen::Unjudged;
        };
        let policies = self.policies(judged);
        match judged.verdict {
            Verdict::Forwarded => {
                assert_eq!(run.verdict, PASS, "{judged:?}");
                let Event::PolicyVerdict(match_type) = judged.event else {
                    unreachable!("it was looked for")
                };
                Seen::Allowed(self.rules(judged), policies, match_type)
            }
            Verdict::Dropped => {
                assert_eq!(run.verdict, DROP, "{judged:?}");
                assert_eq!(judged.event, Event::PolicyVerdict(MatchType::None), "{judged:?}");
                Seen::Denied(policies)
            }
            Verdict::Audit => panic!("the mode is enforce: {judged:?}"),
        }
    }

    /// The rules behind both numbers that the event carries; 0 is none.
    fn rules(&self, event: &KernelEvent) -> RuleSet {
        let numbers = [event.rule_set, event.class_rule_set].into_iter().filter(|number| *number != 0);
        RuleSet::new(numbers.flat_map(|number| self.rules.get(number).unwrap().to_vec()).collect())
    }

    fn policies(&self, event: &KernelEvent) -> BTreeSet<PolicyRef> {
        let decision = enrich::Decision {
            endpoint: event.endpoint,
            policy_set: event.policy.set(),
            revision: event.policy.revision(),
            direction: event.direction,
            verdict: event.verdict,
            rule_set: event.rule_set,
            class_rule_set: event.class_rule_set,
        };
        match self.attributions.attribute(&decision) {
            Attribution::Policies(policies) => policies.iter().cloned().collect(),
            Attribution::Withheld => panic!("nobody knows who decided {event:?}"),
        }
    }
}

/// The number of a pod's endpoint.
fn id(pod: &Pod) -> u32 {
    pod.identity + 1_000_000
}

fn direction(direction: Direction) -> palomar_bpf::abi::Direction {
    match direction {
        Direction::Ingress => palomar_bpf::abi::Direction::Ingress,
        Direction::Egress => palomar_bpf::abi::Direction::Egress,
    }
}

fn frame(own: IpAddr, peer: IpAddr, traffic: Traffic, from: u16) -> Vec<u8> {
    let [source, destination] = match traffic.direction {
        Direction::Ingress => [peer, own],
        Direction::Egress => [own, peer],
    };
    let Some(port) = traffic.port else {
        let (number, kind) = if own.is_ipv4() { (craft::ICMP, 8) } else { (craft::ICMPV6, 128) };
        let message = craft::icmp_message(kind, 0, from, &[]);
        return craft::frame(&craft::ip(source, destination, number, &message));
    };
    let number = match traffic.protocol {
        Protocol::Tcp => craft::TCP,
        Protocol::Udp => craft::UDP,
        Protocol::Sctp => craft::SCTP,
        other => panic!("{other:?} has no ports"),
    };
    let socket = |address, port| SocketAddr::new(address, port).to_string();
    craft::transport(&socket(source, from), &socket(destination, port), number, craft::SYN)
}
