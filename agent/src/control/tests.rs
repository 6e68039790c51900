//! World + interfaces → who is who → what the kernel is to hold.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::{IDENTITY_HOST, IDENTITY_UNMANAGED};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet, Labels};
use palomar_model::netpol::NetworkPolicy;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::selector::Selector;
use palomar_model::shared_map::SharedMap;
use palomar_model::world::{Node, Pod, Service, ServicePort, TargetPort, World};

use super::view::{Inputs, View, Viewer};
use super::wanted::{EnforceScope, Wishes};
use crate::directory::Directory;
use crate::enforce::Desired;
use crate::identity::{InternalId, PodIdentity};
use crate::links::{Link, Links};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pod(namespace: &str, name: &str, addresses: &[&str], host_network: bool) -> Arc<Pod> {
    Arc::new(Pod {
        labels: Labels::from([("app".into(), name.into())]),
        node: "here".into(),
        host_network,
        addresses: addresses.iter().map(|text| address(text)).collect(),
        ..Pod::new(ObjectName::new(namespace, name))
    })
}

fn link(ifindex: u32, addresses: &[&str]) -> Link {
    Link {
        ifindex,
        name: format!("veth{ifindex}"),
        peer: 2,
        namespace: 1,
        addresses: addresses.iter().map(|text| address(text)).collect(),
    }
}

/// One view after the other.
struct Followed {
    viewer: Viewer,
    before: Directory,
}

impl Default for Followed {
    fn default() -> Self {
        Self { viewer: Viewer::default(), before: Directory::empty("here".into(), "default".into()) }
    }
}

fn wanted(directory: &Directory, scope: &EnforceScope) -> Desired {
    let mut wishes = Wishes::default();
    wishes.follow(&Arc::new(directory.clone()), &SharedMap::new(), scope);
    wishes.desired().clone()
}

fn made(pods: &[Arc<Pod>], links: &[Link]) -> View {
    made_after(pods, links, &mut Followed::default())
}

fn made_after(pods: &[Arc<Pod>], links: &[Link], followed: &mut Followed) -> View {
    let policy = NetworkPolicy {
        name: ObjectName::new("a", "isolate"),
        pod_selector: Selector::default(),
        ingress: Some(Vec::new()),
        egress: None,
    };
    let node = |name: &str, text: &str| Node {
        name: name.into(),
        addresses: vec![address(text)],
        labels: Labels::new(),
    };
    // both claim the address outside the cluster
    let service = |name: &str, own: &str, node_port| Service {
        cluster_ips: vec![address(own)],
        external_addresses: vec![address("192.0.2.9")],
        ports: vec![ServicePort {
            name: String::new(),
            protocol: Protocol::Tcp,
            port: 80,
            target: TargetPort::Number(80),
            node_port,
        }],
        ..Service::new(ObjectName::new("a", name))
    };
    let services = [service("db", "10.96.0.1", None), service("web", "10.96.0.2", Some(30_080))];
    let world = Arc::new(World {
        services: services.map(|service| (service.name.clone(), Arc::new(service))).into(),
        pods: pods.iter().map(|pod| (pod.name.clone(), Arc::clone(pod))).collect(),
        policies: SharedMap::from([(policy.name.clone(), Arc::new(policy))]),
        nodes: SharedMap::from([
            ("here".to_owned(), Arc::new(node("here", "192.0.2.1"))),
            ("there".to_owned(), Arc::new(node("there", "192.0.2.2"))),
        ]),
        ..World::default()
    });
    let assigned = (300..)
        .zip(pods.iter().filter(|pod| !pod.host_network))
        .map(|(number, pod)| {
            let labels = LabelSet::new(vec![Label::k8s("app", pod.name.name.clone())]);
            let identity = Identity(number);
            (pod.name.clone(), PodIdentity { internal: InternalId(number + 1000), identity, labels })
        })
        .collect();
    let links = Arc::new(Links {
        veths: links.iter().map(|link| (link.ifindex, link.clone())).collect(),
        node_addresses: BTreeSet::from([address("192.0.2.1"), address("10.0.0.254")]),
    });
    let Followed { viewer, before } = followed;
    let view = viewer.view(&Inputs {
        before,
        world: &world,
        links: &links,
        assigned: &assigned,
        identities: &SharedMap::new(),
    });
    *before = view.directory.clone();
    view
}

#[test]
fn a_veth_is_the_pod_whose_address_is_behind_it_and_one_that_nobody_names_is_unmanaged() {
    let web = pod("a", "web", &["10.0.0.1", "fd00::1"], false);
    let View { directory, contested } =
        made(&[web], &[link(7, &["fd00::1"]), link(8, &["10.0.0.9"]), link(9, &[])]);
    assert_eq!(contested, []);
    let pod_of =
        |ifindex: u32| directory.endpoints[&ifindex].pod.as_ref().map(|entry| entry.pod.name.to_string());
    assert_eq!([pod_of(7), pod_of(8), pod_of(9)], [Some("a/web".to_owned()), None, None]);
    assert_eq!(
        directory.addresses[&address("10.0.0.1")].flow_endpoint.id,
        7,
        "every address of the pod is its veth's"
    );

    let desired = wanted(&directory, &EnforceScope::default());
    let web = &desired.endpoints[&7];
    assert!(web.check_source && web.enforced && web.policies.len() == 1);
    let unknown = &desired.endpoints[&8];
    assert!(!unknown.check_source && !unknown.enforced && unknown.policies.is_empty());
    let row = |text: &str| {
        let found = desired.addresses[&address(text)];
        (found.identity, found.endpoint, found.node)
    };
    assert_eq!(row("10.0.0.1"), (1300, 7, false));
    assert_eq!(row("fd00::1"), (1300, 7, false));
    assert_eq!(row("10.0.0.9"), (IDENTITY_UNMANAGED, 8, false));
    assert_eq!(row("192.0.2.1"), (IDENTITY_HOST, 0, true));
    assert_eq!(row("192.0.2.2"), (Identity::REMOTE_NODE.0, 0, false));
}

#[test]
fn a_veth_with_the_address_of_a_pod_of_another_node_is_told_and_taken_for_nobodys() {
    let of_node = |node: &str| {
        let web = pod("a", "web", &["10.0.0.1"], false);
        let web = Arc::new(Pod { node: node.into(), ..(*web).clone() });
        let View { directory, .. } = made(&[web], &[link(7, &["10.0.0.1"]), link(8, &["10.0.0.9"])]);
        let names = directory
            .misplaced()
            .map(|(endpoint, entry)| (endpoint.id, entry.pod.name.to_string()))
            .collect();
        let names: Vec<(u32, String)> = names;
        (directory.endpoints[&7].pod.is_some(), names)
    };
    assert_eq!(of_node("there"), (false, vec![(7, "a/web".to_owned())]));
    assert_eq!(of_node("here"), (true, vec![]), "of this node");
    assert_eq!(of_node(""), (true, vec![]), "nobody said of which");
}

#[test]
fn a_service_is_known_by_its_own_addresses_those_outside_and_its_ports_at_the_node() {
    let View { directory, .. } = made(&[], &[]);
    let known = |text: &str| directory.services.get(&address(text)).map(|name| name.name.as_str());
    assert_eq!((known("10.96.0.1"), known("10.96.0.2")), (Some("db"), Some("web")));
    assert_eq!((known("192.0.2.9"), known("192.0.2.1")), (Some("db"), None));
    let ports = directory.node_ports.iter();
    let ports: Vec<_> = ports.map(|((_, port), name)| (*port, name.name.as_str())).collect();
    assert_eq!(ports, [(30_080, "web")]);
}

#[test]
fn a_host_network_pod_is_the_node_and_has_no_address_of_its_own() {
    let proxy = pod("a", "proxy", &["192.0.2.1"], true);
    let View { directory, .. } = made(&[proxy], &[]);
    assert!(directory.addresses.is_empty());
    assert_eq!(directory.pods[&ObjectName::new("a", "proxy")].flow_endpoint.identity, Identity::HOST);
    let desired = wanted(&directory, &EnforceScope::default());
    assert!(desired.addresses[&address("192.0.2.1")].node);
}

#[test]
fn of_two_pods_that_claim_one_address_the_first_by_name_has_it_and_the_other_is_told() {
    let pods = [pod("a", "new", &["10.0.0.1"], false), pod("a", "old", &["10.0.0.1"], false)];
    let View { directory, contested } = made(&pods, &[link(7, &["10.0.0.1"])]);
    assert_eq!(directory.addresses[&address("10.0.0.1")].pod.name.name, "new");
    let claim = (ObjectName::new("a", "old"), address("10.0.0.1"), ObjectName::new("a", "new"));
    assert_eq!(contested, [claim]);
}

#[test]
fn enforcement_can_be_narrowed_to_namespaces() {
    let pods = [pod("a", "one", &["10.0.0.1"], false), pod("b", "two", &["10.0.0.2"], false)];
    let View { directory, .. } = made(&pods, &[link(7, &["10.0.0.1"]), link(8, &["10.0.0.2"])]);
    let scope = EnforceScope { namespaces: BTreeSet::from(["b".to_owned()]), ..EnforceScope::default() };
    let desired = wanted(&directory, &scope);
    assert_eq!([desired.endpoints[&7].enforced, desired.endpoints[&8].enforced], [false, true]);
}

#[test]
fn a_pod_that_changes_the_addresses_of_its_interface_stays_the_pod_it_was_and_takes_nobody_elses_place() {
    let victim = pod("a", "victim", &["10.0.0.1"], false);
    let villain = pod("a", "villain", &["10.0.0.2"], false);
    let remote =
        Arc::new(Pod { node: "there".into(), ..(*pod("a", "remote", &["10.0.1.1"], false)).clone() });
    let pods = [victim, villain, remote];
    let mut followed = Followed::default();
    let names = |view: &View| {
        let name = |ifindex: u32| {
            view.directory.endpoints[&ifindex].pod.as_ref().map(|entry| entry.pod.name.name.clone())
        };
        [name(7), name(8)]
    };
    let told = [Some("victim".to_owned()), Some("villain".to_owned())];
    let table = [
        ("as they begin", vec!["10.0.0.1"], vec!["10.0.0.2"]),
        ("without any address", vec!["10.0.0.1"], vec![]),
        ("with its neighbour's", vec!["10.0.0.1"], vec!["10.0.0.1", "10.0.0.2"]),
        ("with its neighbour's, who is not told at the moment", vec![], vec!["10.0.0.1"]),
        ("with one of another node", vec!["10.0.0.1"], vec!["10.0.1.1"]),
    ];
    for (name, first, second) in table {
        let view = made_after(&pods, &[link(7, &first), link(8, &second)], &mut followed);
        assert_eq!(names(&view), told, "{name}");
        let at = |text: &str| view.directory.addresses[&address(text)].flow_endpoint.id;
        assert_eq!([at("10.0.0.1"), at("10.0.0.2"), at("10.0.1.1")], [7, 8, 0], "{name}");
    }
}

#[test]
fn a_pod_made_again_is_found_at_its_new_interface_once_the_old_one_is_gone() {
    let mut followed = Followed::default();
    let view = made_after(&[pod("a", "web", &["10.0.0.1"], false)], &[link(7, &["10.0.0.1"])], &mut followed);
    assert_eq!(view.directory.addresses[&address("10.0.0.1")].flow_endpoint.id, 7);
    let view = made_after(&[pod("a", "web", &["10.0.0.5"], false)], &[link(9, &["10.0.0.5"])], &mut followed);
    assert_eq!(view.directory.addresses[&address("10.0.0.5")].flow_endpoint.id, 9);
}
