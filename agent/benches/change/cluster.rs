//! A cluster as YAML: deployments of five pods, one file each; policies and services, one file each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use palomar_agent::links::{Link, Links};

pub const NODE: &str = "node0";
pub const NAMESPACES: u32 = 50;
pub const POLICIES: u32 = 2_000;
pub const DEPLOYMENTS: u32 = 2_200;
pub const REPLICAS: u32 = 5;
/// One pod of so many is this node's.
const NODES: u32 = 11;

/// A pod as its manifest tells it.
#[derive(Debug, Clone, Copy)]
pub struct Pod {
    pub deployment: u32,
    pub replica: u32,
    pub is_local: bool,
    /// 0 as it begins; another one stands for other labels.
    pub track: u32,
}

/// Name and text of every file, with so many services.
pub fn files(services: u32) -> Vec<(String, String)> {
    let mut files = vec![("namespaces.yaml".to_owned(), namespaces()), ("nodes.yaml".to_owned(), nodes())];
    files.extend((0..DEPLOYMENTS).map(|number| deployment(number, &pods(number))));
    files.extend((0..POLICIES).map(|number| policy(number, 8_000 + number % 20)));
    files.extend((0..services).map(|number| service(number, 8_000)));
    files
}

pub fn pods(deployment: u32) -> Vec<Pod> {
    let pod = |replica: u32| {
        let is_local = (deployment * REPLICAS + replica).is_multiple_of(NODES);
        Pod { deployment, replica, is_local, track: 0 }
    };
    (0..REPLICAS).map(pod).collect()
}

/// The veths of this node's pods, with the addresses behind them.
pub fn links() -> Links {
    let local = (0..DEPLOYMENTS).flat_map(pods).filter(|pod| pod.is_local);
    let veths: BTreeMap<u32, Link> = local.map(|pod| (pod.ifindex(), pod.link())).collect();
    Links { veths, node_addresses: BTreeSet::from([node_address(0)]) }
}

impl Pod {
    fn address(self) -> IpAddr {
        IpAddr::from((0x0a00_0000 + 256 + self.deployment * 32 + self.replica).to_be_bytes())
    }

    pub fn ifindex(self) -> u32 {
        100 + self.deployment * 32 + self.replica
    }

    pub fn link(self) -> Link {
        let (ifindex, addresses) = (self.ifindex(), vec![self.address()]);
        Link { ifindex, name: format!("veth{ifindex}"), peer: 2, namespace: 1, addresses }
    }

    fn manifest(self) -> String {
        let Self { deployment, replica, is_local, track } = self;
        let (namespace, app, tier) = (deployment % NAMESPACES, deployment / NAMESPACES % 10, deployment % 3);
        let node = if is_local { NODE.to_owned() } else { format!("node{}", 1 + replica) };
        let address = self.address();
        let uid = 100_000 + deployment * 100 + replica;
        let track = if track == 0 { "stable".to_owned() } else { format!("track{track}") };
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: ns{namespace}\n  name: app{deployment}-{replica}\n  \
             uid: 00000000-0000-0000-0000-000000{uid}\n  labels:\n    app: app{app}\n    deployment: \"{deployment}\"\n    \
             tier: tier{tier}\n    track: {track}\n    pod-template-hash: h{deployment}\n  ownerReferences:\n  \
             - {{apiVersion: apps/v1, kind: ReplicaSet, name: app{deployment}-h{deployment}, uid: r{deployment}, controller: true}}\n\
             spec:\n  nodeName: {node}\n  containers:\n  - name: main\n    ports:\n    - {{name: http, containerPort: 8080}}\n\
             status:\n  phase: Running\n  podIP: {address}\n  podIPs:\n  - ip: {address}\n"
        )
    }
}

/// The file of a deployment with these pods.
pub fn deployment(number: u32, pods: &[Pod]) -> (String, String) {
    let text: Vec<String> = pods.iter().map(|pod| pod.manifest()).collect();
    (format!("app{number}.yaml"), text.join("---\n"))
}

/// Ingress from a tier of the namespace and from a whole namespace on a port; egress to a block, to DNS, and for every
/// fourth policy to the pods of its namespace. One of ten is for a whole namespace.
pub fn policy(number: u32, port: u32) -> (String, String) {
    let (namespace, block, other) = (number % NAMESPACES, number % 50, number % 11);
    let app = number / 7 % 10;
    let selector = if number.is_multiple_of(10) {
        "{}".to_owned()
    } else {
        format!("{{matchLabels: {{app: app{app}}}}}")
    };
    let own = if number.is_multiple_of(4) {
        "  - to: [{podSelector: {}}]\n    ports: [{port: 8080}]\n"
    } else {
        ""
    };
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{namespace: ns{namespace}, name: policy{number}}}\n\
         spec:\n  podSelector: {selector}\n  policyTypes: [Ingress, Egress]\n  ingress:\n  - from:\n    \
         - podSelector: {{matchLabels: {{tier: tier1}}}}\n    \
         - namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: ns{other}}}}}\n    ports: [{{port: {port}}}]\n  \
         egress:\n  - to: [{{ipBlock: {{cidr: 172.{block}.0.0/16, except: [172.{block}.7.0/24]}}}}]\n    ports: [{{port: 443}}]\n  \
         - ports: [{{protocol: UDP, port: 53}}]\n{own}"
    );
    (format!("policy{number}.yaml"), text)
}

/// In front of the pods of a deployment.
pub fn service(number: u32, port: u32) -> (String, String) {
    let namespace = number % NAMESPACES;
    let address = Ipv4Addr::from_bits(0xac40_0000 + number);
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{namespace: ns{namespace}, name: service{number}}}\n\
         spec:\n  clusterIP: {address}\n  clusterIPs: [{address}]\n  selector: {{deployment: \"{number}\"}}\n  \
         ports: [{{name: web, port: {port}, targetPort: http}}]\n"
    );
    (format!("service{number}.yaml"), text)
}

fn namespaces() -> String {
    let mut text = String::new();
    for number in 0..NAMESPACES {
        let team = number % 7;
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: ns{number}, labels: {{team: team{team}}}}}\n"
        );
    }
    text
}

fn node_address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number + 1])
}

fn nodes() -> String {
    let mut text = String::new();
    for number in 0..=5 {
        let address = node_address(number);
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: node{number}}}\nstatus: {{addresses: [{{type: InternalIP, \
             address: {address}}}]}}\n"
        );
    }
    text
}
