//! Egress policy where endpoint slices tell who stands behind a service: a pod, an address outside, or both. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use palomar_lab::{Lab, Place, Topology, read_pods};
use support::{Agent, LONG, Options, PORT, SHORT, echo, field, is_type};

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {namespace: np-demo, name: client, labels: {role: client}}
spec: {containers: [{name: c, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: np-demo, name: inner, labels: {side: inner}}
spec: {containers: [{name: c, image: none}]}
";

/// Services without selectors, by the last number of their addresses: of the pod, of the address outside, of both; and
/// one that the node leads to the pod alone, whatever is told of it.
const SERVICES: [&str; 4] = ["inner", "outer", "both", "moved"];

/// Whether each of the two is ready.
#[derive(Debug, Clone, Copy)]
struct Ready {
    inner: bool,
    outer: bool,
}

const BOTH: Ready = Ready { inner: true, outer: true };

struct Stage {
    lab: Lab,
}

impl Stage {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name, Topology::Routed, read_pods("pods.yaml", PODS).unwrap()).unwrap();
        let stage = Self { lab };
        for is_ipv4 in [true, false] {
            let [inner, outer] = stage.ends(is_ipv4).map(|own| SocketAddr::new(own, PORT));
            let lead = |number, ends: &[SocketAddr]| {
                stage.lab.add_service(service(number, is_ipv4), ends).unwrap();
            };
            lead(1, &[inner]);
            lead(2, &[outer]);
            lead(3, &[inner, outer]);
            lead(4, &[inner]);
        }
        stage
    }

    fn client(&self) -> &Place {
        self.lab.pod("np-demo/client").unwrap()
    }

    /// The pod and the address outside, in one family.
    fn ends(&self, is_ipv4: bool) -> [IpAddr; 2] {
        let own = if is_ipv4 { Place::v4 } else { Place::v6 };
        [self.lab.pod("np-demo/inner").unwrap(), self.lab.outside()].map(|place| own(place).unwrap())
    }

    /// The services, and their slices as a controller writes them.
    fn manifests(&self, moved: Ready) -> String {
        let mut text = String::new();
        for (number, name) in (1..).zip(SERVICES) {
            let [v4, v6] = [true, false].map(|is_ipv4| service(number, is_ipv4).ip());
            write!(
                text,
                "
---
apiVersion: v1
kind: Service
metadata: {{namespace: np-demo, name: {name}}}
spec: {{clusterIPs: ['{v4}', '{v6}'], ports: [{{name: echo, port: 80}}]}}
"
            )
            .unwrap();
            let ready = match name {
                "inner" => Ready { outer: false, ..BOTH },
                "outer" => Ready { inner: false, ..BOTH },
                "both" => BOTH,
                _ => moved,
            };
            for (is_ipv4, family) in [(true, "IPv4"), (false, "IPv6")] {
                let [inner, outer] = self.ends(is_ipv4);
                let Ready { inner: inner_is_ready, outer: outer_is_ready } = ready;
                write!(
                    text,
                    "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: np-demo
  name: {name}-{}
  labels: {{kubernetes.io/service-name: {name}, endpointslice.kubernetes.io/managed-by: np-demo.example}}
addressType: {family}
ports: [{{name: echo, protocol: TCP, port: {PORT}}}]
endpoints:
- addresses: ['{inner}']
  conditions: {{ready: {inner_is_ready}, serving: {inner_is_ready}, terminating: false}}
  nodeName: {}
  targetRef: {{kind: Pod, namespace: np-demo, name: inner}}
- addresses: ['{outer}']
  conditions: {{ready: {outer_is_ready}}}
",
                    family.to_lowercase(),
                    self.lab.node_name()
                )
                .unwrap();
            }
        }
        text
    }

    fn agent(&self, egress: &str) -> Agent {
        let mut agent = Agent::prepare(&self.lab, Options::mode("enforce"));
        agent.apply_all(&[(SLICES, &self.manifests(BOTH)), (EGRESS, &policy(egress))]);
        agent.start_again();
        agent.wait_for_endpoint("np-demo/client", "isolated", |client| client["egress_isolated"] == true);
        agent
    }

    /// Whether a service answers in either family.
    fn answers(&self, number: u16, patience: Duration) -> [bool; 2] {
        [true, false].map(|is_ipv4| {
            let connected = self.client().connect(service(number, is_ipv4), patience);
            connected.is_ok_and(|mut connection| connection.ping(patience).is_ok())
        })
    }

    fn outer_blocks(&self) -> String {
        let [v4, v6] = [true, false].map(|is_ipv4| self.ends(is_ipv4)[1]);
        format!("{{ipBlock: {{cidr: {v4}/32}}}}, {{ipBlock: {{cidr: '{v6}/128'}}}}")
    }
}

const SLICES: &str = "15-slices.yaml";
const EGRESS: &str = "20-egress.yaml";
const INNER: &str = "{podSelector: {matchLabels: {side: inner}}}";

fn service(number: u16, is_ipv4: bool) -> SocketAddr {
    let text = if is_ipv4 { format!("10.96.0.{number}") } else { format!("fd00:10:96::{number}") };
    SocketAddr::new(text.parse().unwrap(), 80)
}

fn policy(peers: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{namespace: np-demo, name: out}}
spec:
  podSelector: {{matchLabels: {{role: client}}}}
  policyTypes: [Egress]
  egress: [{{to: [{peers}], ports: [{{port: {PORT}}}]}}]
"
    )
}

#[test]
fn a_service_is_judged_by_whom_its_slices_name_pods_and_addresses_outside() {
    let stage = Stage::new("slices");
    let _servers = [echo(stage.lab.pod("np-demo/inner").unwrap()), echo(stage.lab.outside())];
    let agent = stage.agent(INNER);
    let [inner, outer, both] = [1, 2, 3];
    assert_eq!(stage.answers(inner, LONG), [true; 2], "the pod is allowed\n{}", agent.log());
    assert_eq!(stage.answers(outer, SHORT), [false; 2], "the address outside is not");
    for _ in 0..2 {
        assert_eq!(stage.answers(both, SHORT), [false; 2], "where it leads would not show here");
    }
    agent.apply((EGRESS, &policy(&stage.outer_blocks())));
    support::wait_for("now the address is", || (stage.answers(outer, SHORT) == [true; 2]).then_some(()));
    assert_eq!(stage.answers(inner, SHORT), [false; 2], "and the pod is not");
    agent.apply((EGRESS, &policy(&format!("{INNER}, {}", stage.outer_blocks()))));
    support::wait_for("both are", || (stage.answers(inner, SHORT) == [true; 2]).then_some(()));
    for _ in 0..2 {
        assert_eq!(stage.answers(both, LONG), [true; 2], "whichever of them it is");
    }
    let expected = [("inner", "FORWARDED"), ("outer", "DROPPED"), ("both", "DROPPED"), ("both", "FORWARDED")];
    agent.wait_for_flows("egress verdicts", &["--type", "policy-verdict"], |flows| {
        let text = |flow, path| field(flow, path).as_str().unwrap_or_default().to_owned();
        let told: Vec<(String, String)> = flows
            .iter()
            .filter(|flow| is_type(flow, 5))
            .map(|flow| (text(flow, "/destination_service/name"), text(flow, "/verdict")))
            .collect();
        let is_told = |wanted: &(&str, &str)| told.contains(&(wanted.0.to_owned(), wanted.1.to_owned()));
        expected.iter().all(is_told).then_some(())
    });
}

#[test]
fn a_slice_that_changes_is_followed() {
    let stage = Stage::new("slicedit");
    let _server = echo(stage.lab.pod("np-demo/inner").unwrap());
    let agent = stage.agent(INNER);
    let moved = 4;
    let told = |ready: Ready| agent.apply((SLICES, &stage.manifests(ready)));
    let becomes = |what: &str, expected: bool| {
        support::wait_for(what, || (stage.answers(moved, SHORT) == [expected; 2]).then_some(()));
    };
    assert_eq!(stage.answers(moved, SHORT), [false; 2], "the address outside is not allowed");
    told(Ready { outer: false, ..BOTH });
    becomes("the address outside is not ready any more", true);
    let explained = |expected: &str| {
        let asked =
            ["policy", "explain", "--from", "np-demo/client", "--to", "svc/np-demo/moved", "--port", "80"];
        let text = agent.palomar(&asked);
        assert!(text.contains(&format!("Egress of np-demo/client: {expected}")), "{text}");
    };
    explained("allowed");
    told(Ready { inner: false, ..BOTH });
    becomes("it is ready, and the pod is not", false);
    explained("denied");
    told(Ready { inner: false, outer: false });
    becomes("nobody is", false);
    told(Ready { outer: false, ..BOTH });
    becomes("the pod is again", true);
}

/// A service for the client's own node, whose slice names the pod and the address outside, each on a node.
fn own_node(stage: &Stage, inner_on: &str, outer_on: &str) -> String {
    let at = service(4, true).ip();
    let [inner, outer] = stage.ends(true);
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{namespace: np-demo, name: near}}
spec: {{clusterIP: {at}, internalTrafficPolicy: Local, ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: np-demo, name: near-1, labels: {{kubernetes.io/service-name: near}}}}
addressType: IPv4
ports: [{{port: {PORT}}}]
endpoints: [{{addresses: [{inner}], nodeName: {inner_on}}}, {{addresses: [{outer}], nodeName: {outer_on}}}]
"
    )
}

#[test]
fn a_service_for_its_own_node_is_judged_by_those_on_this_node() {
    let stage = Stage::new("slicenear");
    let _server = echo(stage.lab.pod("np-demo/inner").unwrap());
    let here = &*stage.lab.node_name();
    let mut agent = Agent::prepare(&stage.lab, Options::mode("enforce"));
    agent.apply_all(&[(SLICES, &own_node(&stage, here, "elsewhere")), (EGRESS, &policy(INNER))]);
    agent.start_again();
    agent.wait_for_endpoint("np-demo/client", "isolated", |client| client["egress_isolated"] == true);
    let [answers, _] = stage.answers(4, LONG);
    assert!(answers, "the one elsewhere is not allowed, and never answers here\n{}", agent.log());
    for (what, inner_on, outer_on) in [
        ("nobody of this node stands behind it", "elsewhere", "elsewhere"),
        ("of this node stands the one that is not allowed", "elsewhere", here),
    ] {
        agent.apply((SLICES, &own_node(&stage, inner_on, outer_on)));
        support::wait_for(what, || (!stage.answers(4, SHORT)[0]).then_some(()));
        agent.apply((SLICES, &own_node(&stage, here, "elsewhere")));
        support::wait_for("as before", || stage.answers(4, SHORT)[0].then_some(()));
    }
}
