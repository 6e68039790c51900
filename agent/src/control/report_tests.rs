//! From one state of who is who to the next: which events are told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::Hook;
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet, Labels};
use palomar_model::netpol::{NetworkPolicy, Rule};
use palomar_model::object::ObjectName;
use palomar_model::selector::Selector;
use palomar_model::world::{Node, Pod, World};

use super::facts::{AttachState, EndpointFacts, Facts};
use super::reporter::Reporter;
use crate::directory::{Directory, LocalEndpoint, PodEntry};
use crate::events::{AgentEvent, AgentEvents};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A pod: name, uid, identity, address, interface (0: of another node), node.
type Row = (&'static str, &'static str, u32, &'static str, u32, &'static str);

#[derive(Debug, Clone, Default)]
struct State {
    pods: Vec<Row>,
    /// Interfaces that are no pod's.
    unmanaged: Vec<u32>,
    /// Policies with their numbers of ingress rules.
    policies: Vec<(&'static str, usize)>,
    node_addresses: Vec<&'static str>,
    remote_nodes: Vec<&'static str>,
}

impl State {
    fn directory(&self) -> Arc<Directory> {
        let entry = |(name, uid, identity, text, id, node): &Row| {
            let name = ObjectName::new("shop", *name);
            Arc::new(PodEntry {
                pod: Arc::new(Pod {
                    uid: (*uid).to_owned(),
                    node: (*node).to_owned(),
                    addresses: vec![address(text)],
                    ..Pod::new(name.clone())
                }),
                internal_identity: *identity,
                flow_endpoint: Arc::new(FlowEndpoint {
                    id: *id,
                    identity: Identity(*identity),
                    labels: LabelSet::new(vec![Label::k8s("app", &name.name)]),
                    pod: Some(name),
                    workload: None,
                    cluster: Arc::from("default"),
                }),
            })
        };
        let policy = |(name, rules): &(&str, usize)| {
            let rule = Rule { peers: Vec::new(), ports: Vec::new() };
            let name = ObjectName::new("shop", *name);
            let policy = NetworkPolicy {
                name: name.clone(),
                pod_selector: Selector::default(),
                ingress: Some(vec![rule; *rules]),
                egress: None,
            };
            (name, Arc::new(policy))
        };
        let node = |(name, text): (&str, &str)| {
            let node = Node { name: name.to_owned(), addresses: vec![address(text)], labels: Labels::new() };
            (name.to_owned(), Arc::new(node))
        };
        let mut directory = Directory::empty(Arc::from("here"), Arc::from("default"));
        directory.world = Arc::new(World {
            policies: self.policies.iter().map(policy).collect(),
            nodes: [("here", "192.0.2.1"), ("there", "192.0.2.2")].into_iter().map(node).collect(),
            ..World::default()
        });
        for row in &self.pods {
            let entry = entry(row);
            directory.addresses.insert(address(row.3), Arc::clone(&entry));
            if row.4 != 0 {
                directory.endpoints.insert(row.4, Arc::new(local(row.4, Some(entry))));
            }
        }
        for id in &self.unmanaged {
            directory.endpoints.insert(*id, Arc::new(local(*id, None)));
        }
        directory.node_addresses = self.node_addresses.iter().map(|text| address(text)).collect();
        directory.remote_nodes = self.remote_nodes.iter().map(|text| address(text)).collect();
        Arc::new(directory)
    }
}

fn local(id: u32, pod: Option<Arc<PodEntry>>) -> LocalEndpoint {
    LocalEndpoint { id, interface: Arc::from("veth"), pod, addresses: Vec::new() }
}

/// An event in a few words.
fn words(event: &AgentEvent) -> String {
    match event {
        AgentEvent::Started => "started".to_owned(),
        AgentEvent::PolicyUpdated(policy) => {
            format!("policy {} has {} rules at {}", policy.name, policy.rules, policy.revision)
        }
        AgentEvent::PolicyDeleted(policy) => format!("policy {} had {} rules", policy.name, policy.rules),
        AgentEvent::EndpointCreated(endpoint) => format!("endpoint {} is {}", endpoint.id, endpoint.pod),
        AgentEvent::EndpointDeleted(endpoint) => format!("endpoint {} was {}", endpoint.id, endpoint.pod),
        AgentEvent::Regenerated(of) => {
            let labels = of.labels.to_strings().join(",");
            format!("endpoint {} [{labels}]: {}", of.id, of.error.as_deref().unwrap_or("holds"))
        }
        AgentEvent::AddressUpserted(of) => {
            let old = of.old_identity.map(|old| format!(", was {}", old.0)).unwrap_or_default();
            let host = of.host.map(|host| format!(" behind {host}")).unwrap_or_default();
            let old_host = of.old_host.map(|host| format!(", was behind {host}")).unwrap_or_default();
            let pod = of.pod.as_ref().map(|pod| format!(" {pod}")).unwrap_or_default();
            format!("{} is {}{pod}{old}{host}{old_host}", of.address, of.identity.0)
        }
        AgentEvent::AddressDeleted(of) => format!("{} was {}", of.address, of.identity.0),
    }
}

fn told(events: &AgentEvents, from: u64) -> Vec<String> {
    events.read(from, usize::MAX).events.iter().map(|told| words(&told.event)).collect()
}

/// What is told of the step from one state to another.
fn assert_told(name: &str, before: &State, after: &State, expected: &[&str]) {
    let events = Arc::new(AgentEvents::default());
    let empty = Arc::new(Directory::empty(Arc::from("here"), Arc::from("default")));
    let mut reporter = Reporter::new(Arc::clone(&events), empty);
    reporter.tell(&Facts::of(before.directory()), 4, 1);
    let from = events.range().end;
    reporter.tell(&Facts::of(after.directory()), 5, 2);
    assert_eq!(told(&events, from), expected, "{name}");
    assert!(events.read(from, 99).events.iter().all(|told| told.time_ns == 2), "{name}");
}

#[test]
fn what_changes_is_told_and_nothing_else() {
    const WEB: Row = ("web", "1", 300, "10.0.0.1", 7, "here");
    let state = |pods: &[Row]| State { pods: pods.to_vec(), ..State::default() };
    let table: [(&str, State, State, &[&str]); 12] = [
        ("nothing", state(&[WEB]), state(&[WEB]), &[]),
        (
            "a pod comes",
            state(&[]),
            state(&[WEB]),
            &["10.0.0.1 is 300 shop/web behind 192.0.2.1", "endpoint 7 is shop/web"],
        ),
        ("a pod goes", state(&[WEB]), state(&[]), &["endpoint 7 was shop/web", "10.0.0.1 was 300"]),
        (
            "a pod of another node comes",
            state(&[]),
            state(&[("db", "2", 301, "10.0.1.1", 0, "there")]),
            &["10.0.1.1 is 301 shop/db behind 192.0.2.2"],
        ),
        (
            "a pod moves to another node and keeps its address",
            state(&[WEB]),
            state(&[("web", "1", 300, "10.0.0.1", 0, "there")]),
            &["endpoint 7 was shop/web", "10.0.0.1 is 300 shop/web behind 192.0.2.2, was behind 192.0.2.1"],
        ),
        (
            "a pod's labels change, and with them its identity",
            state(&[WEB]),
            state(&[("web", "1", 310, "10.0.0.1", 7, "here")]),
            &["10.0.0.1 is 310 shop/web, was 300 behind 192.0.2.1"],
        ),
        (
            "a pod is made anew under its name",
            state(&[WEB]),
            state(&[("web", "2", 300, "10.0.0.1", 7, "here")]),
            &[
                "endpoint 7 was shop/web",
                "10.0.0.1 is 300 shop/web behind 192.0.2.1",
                "endpoint 7 is shop/web",
            ],
        ),
        (
            "an address goes to another pod",
            state(&[WEB]),
            state(&[("db", "2", 301, "10.0.0.1", 8, "here")]),
            &[
                "endpoint 7 was shop/web",
                "10.0.0.1 is 301 shop/db, was 300 behind 192.0.2.1",
                "endpoint 8 is shop/db",
            ],
        ),
        (
            "an interface that is no pod's is not told until it is one's",
            State { unmanaged: vec![9], ..State::default() },
            state(&[("db", "2", 301, "10.0.0.9", 9, "here")]),
            &["10.0.0.9 is 301 shop/db behind 192.0.2.1", "endpoint 9 is shop/db"],
        ),
        (
            "an interface that is no pod's comes",
            State::default(),
            State { unmanaged: vec![9], ..State::default() },
            &[],
        ),
        (
            "addresses of nodes come in order",
            State::default(),
            State {
                node_addresses: vec!["192.0.2.1", "10.0.0.254"],
                remote_nodes: vec!["192.0.2.2"],
                ..State::default()
            },
            &["10.0.0.254 is 1", "192.0.2.1 is 1", "192.0.2.2 is 6"],
        ),
        (
            "another node's address is this node's own",
            State { remote_nodes: vec!["192.0.2.2"], ..State::default() },
            State { remote_nodes: vec!["192.0.2.2"], node_addresses: vec!["192.0.2.2"], ..State::default() },
            &["192.0.2.2 is 1, was 6"],
        ),
    ];
    for (name, before, after, expected) in table {
        assert_told(name, &before, &after, expected);
    }
}

#[test]
fn a_policy_is_told_as_it_comes_changes_and_goes() {
    let policies =
        |policies: &[(&'static str, usize)]| State { policies: policies.to_vec(), ..State::default() };
    let table: [(&str, State, State, &[&str]); 3] = [
        ("a policy comes", policies(&[]), policies(&[("deny", 0)]), &["policy shop/deny has 0 rules at 5"]),
        (
            "a policy changes and another stays",
            policies(&[("allow", 1), ("deny", 0)]),
            policies(&[("allow", 2), ("deny", 0)]),
            &["policy shop/allow has 2 rules at 5"],
        ),
        (
            "a policy goes and another comes",
            policies(&[("deny", 0)]),
            policies(&[("allow", 2)]),
            &["policy shop/deny had 0 rules", "policy shop/allow has 2 rules at 5"],
        ),
    ];
    for (name, before, after, expected) in table {
        assert_told(name, &before, &after, expected);
    }
}

#[test]
fn an_endpoint_tells_once_what_came_of_each_policy() {
    let web = State { pods: vec![("web", "1", 300, "10.0.0.1", 7, "here")], ..State::default() };
    let directory = State { unmanaged: vec![9], ..web }.directory();
    let attached = AttachState::Attached { hook: Hook::Tcx, ingress_first: true, egress_first: true };
    let failed = AttachState::Failed("no such hook".to_owned());
    let events = Arc::new(AgentEvents::default());
    let mut reporter = Reporter::new(Arc::clone(&events), Arc::clone(&directory));
    for (name, attach, revision, failure, expected) in [
        ("not attached yet", &AttachState::Pending, 1, None, None),
        ("attached", &attached, 1, None, Some("holds")),
        ("looked at again", &attached, 1, None, None),
        ("another policy", &attached, 2, None, Some("holds")),
        ("the kernel cannot hold the newest world", &attached, 2, Some("map full"), Some("map full")),
        ("it still cannot", &attached, 2, Some("map full"), None),
        ("it can again", &attached, 2, None, Some("holds")),
        ("the program is gone", &failed, 2, None, Some("no such hook")),
        ("and comes back", &attached, 2, None, Some("holds")),
    ] {
        let from = events.range().end;
        let endpoint = EndpointFacts {
            attach: attach.clone(),
            enforced: true,
            ingress_policies: Arc::default(),
            egress_policies: Arc::default(),
            revision,
            policy_set: 1,
        };
        let endpoints = BTreeMap::from([(7, endpoint.clone()), (9, endpoint)]);
        let facts = Facts {
            endpoints: Arc::new(endpoints),
            failure: failure.map(str::to_owned),
            ..Facts::of(Arc::clone(&directory))
        };
        reporter.tell(&facts, revision, 1);
        let expected: Vec<String> =
            expected.iter().map(|what| format!("endpoint 7 [k8s:app=web]: {what}")).collect();
        assert_eq!(told(&events, from), expected, "{name}");
    }
}
