//! The Kubernetes project's own `NetworkPolicy` truth tables as real traffic: every third step on a node of its own, with
//! an agent that enforces. The tables are not part of this repository: `PALOMAR_NETPOL_E2E` names the file, or it lies at
//! `../shared/netpol/e2e.json` beside the workspace. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::thread;

use palomar_lab::traffic::{Packet, TrafficError};
use palomar_lab::{Lab, Place, Topology, read_pods};
use palomar_manifest::{ManifestObject, Object};
use palomar_model::labels::Labels;
use palomar_model::verdict::Direction;
use serde::Deserialize;
use serde_json::{Value, json};
use support::{Agent, LONG, Options, SHORT};

/// The number of SCTP.
const SCTP: u8 = 132;
/// Where datagrams that nobody answers come from.
const ANY_PORT: u16 = 40_000;

#[derive(Debug, Deserialize)]
struct Step {
    case: String,
    #[serde(rename = "step")]
    number: u32,
    namespaces: Vec<Namespace>,
    pods: Vec<Pod>,
    policies: Vec<Value>,
    probe: Probe,
    /// `namespace/pod` to `namespace/pod`: may the first connect to the second?
    expected: BTreeMap<String, BTreeMap<String, bool>>,
}

#[derive(Debug, Deserialize)]
struct Namespace {
    name: String,
    labels: Value,
}

#[derive(Debug, Deserialize)]
struct Pod {
    namespace: String,
    name: String,
    ip: IpAddr,
    labels: Value,
    ports: Vec<Port>,
}

#[derive(Debug, Deserialize)]
struct Port {
    name: String,
    #[serde(rename = "port")]
    number: u16,
    protocol: String,
}

#[derive(Debug, Deserialize)]
struct Probe {
    port: u16,
    protocol: String,
}

// === what the agent reads ===

/// A stream of YAML documents, each in the JSON that YAML has in it.
fn documents(objects: impl IntoIterator<Item = Value>) -> String {
    objects.into_iter().flat_map(|object| ["---\n".to_owned(), object.to_string(), "\n".to_owned()]).collect()
}

impl Step {
    fn name(&self) -> String {
        format!("{}, step {}", self.case, self.number)
    }

    fn namespaces(&self) -> String {
        documents(self.namespaces.iter().map(|Namespace { name, labels }| {
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        }))
    }

    fn policies(&self) -> String {
        documents(self.policies.iter().cloned())
    }

    fn pods(&self) -> String {
        documents(self.pods.iter().map(|Pod { namespace, name, ip, labels, ports }| {
            let port = |Port { name, number, protocol }: &Port| {
                json!({"name": name, "containerPort": number, "protocol": protocol})
            };
            let ports: Vec<_> = ports.iter().map(port).collect();
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"namespace": namespace, "name": name, "labels": labels},
                "spec": {"containers": [{"name": "serve", "ports": ports}]},
                "status": {"podIP": ip, "podIPs": [{"ip": ip}]},
            })
        }))
    }
}

// === what happens ===

/// Whether the first packet of a connection arrives, and for TCP and UDP an answer comes.
fn connects(
    from: &Place,
    to: &Place,
    Probe { port, protocol }: &Probe,
    patience: std::time::Duration,
) -> bool {
    let server = SocketAddr::new(to.address(), *port);
    let answer = match &**protocol {
        "TCP" => from.connect(server, patience).map(drop),
        "UDP" => from.udp_exchange(server, b"palomar", patience).map(drop),
        "SCTP" => {
            let mut listening = to.listen_to_packets().unwrap();
            // an INIT without parameters
            let init = [1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1];
            let header = [&ANY_PORT.to_be_bytes()[..], &port.to_be_bytes(), &[0; 8]].concat();
            let packet = Packet::other(from.address(), to.address(), SCTP, [&header[..], &init].concat());
            from.inject([&packet]).unwrap();
            // with the addresses and ports of this one: not an answer to one that went the other way
            let begin = |packet: &[u8]| [&packet[9..10], &packet[12..24]].concat();
            let like = begin(&packet.to_bytes());
            listening.wait_for(patience, |seen| seen.len() >= 24 && begin(seen) == like).map(drop)
        }
        other => panic!("no such protocol: {other}"),
    };
    match answer {
        Ok(()) => true,
        Err(TrafficError::Timeout) => false,
        Err(error) => panic!("{} to {server}: {error}", from.name()),
    }
}

/// The names of the policies that isolate a pod, which tell that the kernel holds them.
fn isolating(step: &Step, pod: &Pod, direction: Direction) -> BTreeSet<String> {
    let labels: Labels = serde_json::from_value(pod.labels.clone()).unwrap();
    let manifest = palomar_manifest::parse("policies.yaml", &step.policies());
    let isolates = |object: ManifestObject| match object.object {
        Object::NetworkPolicy(policy) => {
            let selects = policy.name.namespace == pod.namespace && policy.pod_selector.matches(&labels);
            (selects && policy.rules(direction).is_some()).then(|| policy.name.name.clone())
        }
        _ => None,
    };
    manifest.objects.into_iter().filter_map(isolates).collect()
}

/// The probes that went otherwise than expected.
fn play(step: &Step, lab_name: &str, topology: Topology) -> Vec<String> {
    let mut lab = Lab::new(lab_name, topology, Vec::new()).unwrap();
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    agent.apply_all(&[("10-namespaces.yaml", &step.namespaces()), ("20-policies.yaml", &step.policies())]);
    agent.start_again();
    // pods that come later than the agent, so that it has seen the beginning of all their datagrams
    lab.add_pods(read_pods("pods.yaml", &step.pods()).unwrap()).unwrap();
    lab.write_manifests(&agent.manifests).unwrap();
    for pod in &step.pods {
        let [ingress, egress] = Direction::BOTH.map(|direction| json!(isolating(step, pod, direction)));
        agent.wait_for_endpoint(
            &format!("{}/{}", pod.namespace, pod.name),
            "under its policies",
            |endpoint| endpoint["ingress_policies"] == ingress && endpoint["egress_policies"] == egress,
        );
    }
    let place = |pod: &str| lab.pod(pod).unwrap();
    let _tcp: Vec<_> =
        step.expected.keys().map(|pod| place(pod).serve_echo(step.probe.port).unwrap()).collect();
    let _udp: Vec<_> =
        step.expected.keys().map(|pod| place(pod).serve_udp_echo(step.probe.port).unwrap()).collect();
    let wrong = |(from, row): (&String, &BTreeMap<String, bool>)| -> Vec<String> {
        let outcome = |(to, expected): (&String, &bool)| {
            let patience = if *expected { LONG } else { SHORT };
            let connected = connects(place(from), place(to), &step.probe, patience);
            (connected != *expected)
                .then(|| format!("{}, {topology:?}: {from} to {to} should be {expected}", step.name()))
        };
        row.iter().filter_map(outcome).collect()
    };
    thread::scope(|scope| {
        let rows: Vec<_> = step.expected.iter().map(|row| scope.spawn(move || wrong(row))).collect();
        rows.into_iter().flat_map(|row| row.join().unwrap()).collect()
    })
}

#[test]
fn every_third_step_of_the_kubernetes_truth_tables_holds_on_real_traffic_where_the_file_is_there_else_not_run()
 {
    let path = std::env::var_os("PALOMAR_NETPOL_E2E").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/netpol/e2e.json")),
        PathBuf::from,
    );
    if !path.exists() {
        eprintln!("not run: no truth tables at {}; name the file in PALOMAR_NETPOL_E2E", path.display());
        return;
    }
    let steps: Vec<Step> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    let mut played = 0;
    for (number, step) in steps.iter().enumerate().step_by(3) {
        let topology = if number % 2 == 0 { Topology::Routed } else { Topology::Bridge };
        wrong.extend(play(step, &format!("truth{number}"), topology));
        played += step.expected.values().map(BTreeMap::len).sum::<usize>();
    }
    assert!(wrong.is_empty(), "{} of {played} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played > 100, "only {played} expectations");
    eprintln!("{played} expectations hold");
}
