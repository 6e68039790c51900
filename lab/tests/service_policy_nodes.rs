//! Egress policy where a pod connects to a port of another node, which leads to a service there. Needs root.

mod support;

use std::net::{IpAddr, SocketAddr};

use palomar_lab::{Lab, Topology, read_pods};
use support::{Agent, LONG, Options, SHORT};

const PORT: u16 = 30_001;
const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {namespace: np-demo, name: client, labels: {role: client}}
spec: {containers: [{name: c, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: np-demo, name: web, labels: {app: web}}
spec: {containers: [{name: c, image: none}]}
";

/// A service of the pod at a port of every node, and another node.
fn service(node: [IpAddr; 2]) -> String {
    let [v4, v6] = node;
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{namespace: np-demo, name: web}}
spec: {{type: NodePort, clusterIP: 10.96.0.1, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080, nodePort: {PORT}}}]}}
---
apiVersion: v1
kind: Node
metadata: {{name: far}}
status: {{addresses: [{{type: InternalIP, address: '{v4}'}}, {{type: InternalIP, address: '{v6}'}}]}}
"
    )
}

fn egress(rules: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{namespace: np-demo, name: out}}
spec: {{podSelector: {{matchLabels: {{role: client}}}}, policyTypes: [Egress], egress: [{rules}]}}
"
    )
}

#[test]
fn a_port_of_another_node_is_allowed_or_denied_as_that_node_and_explain_says_so() {
    let lab = Lab::new("svcnode", Topology::Routed, read_pods("pods.yaml", PODS).unwrap()).unwrap();
    let client = lab.pod("np-demo/client").unwrap();
    let far = lab.outside();
    // what the other node does with it is its own affair: it answers
    let _server = far.serve_echo(PORT).unwrap();
    let node = [far.v4().unwrap(), far.v6().unwrap()];
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    let file = "20-egress.yaml";
    let to_pods = egress("{to: [{podSelector: {matchLabels: {app: web}}}]}");
    agent.apply_all(&[("15-service.yaml", &service(node)), (file, &to_pods)]);
    agent.start_again();
    agent.wait_for_endpoint("np-demo/client", "isolated", |client| client["egress_isolated"] == true);
    let answers = |patience| {
        node.map(|own| {
            let connected = client.connect(SocketAddr::new(own, PORT), patience);
            connected.is_ok_and(|mut connection| connection.ping(patience).is_ok())
        })
    };
    let explained = |expected: &str| {
        for own in node {
            let (own, port) = (own.to_string(), PORT.to_string());
            let words = ["policy", "explain", "--from", "np-demo/client", "--to", &own, "--port", &port];
            let told = agent.palomar(&words);
            let title = format!("np-demo/client -> {own}, TCP {port}: {expected}\n");
            assert!(told.starts_with(&title), "{told}");
            let seen = format!("egress is judged for node far ({own}), TCP {port}: that node leads it on");
            assert!(told.contains(&seen), "{told}");
        }
    };
    assert_eq!(answers(SHORT), [false; 2], "the pod behind it does not show here");
    explained("denied");
    let [v4, v6] = node;
    let blocks = format!("[{{ipBlock: {{cidr: {v4}/32}}}}, {{ipBlock: {{cidr: '{v6}/128'}}}}]");
    agent.apply((file, &egress(&format!("{{to: {blocks}, ports: [{{port: {PORT}}}]}}"))));
    support::wait_for("its address and port are allowed", || (answers(LONG) == [true; 2]).then_some(()));
    explained("allowed");
    agent.apply((file, &egress(&format!("{{to: {blocks}, ports: [{{port: 8080}}]}}"))));
    support::wait_for("the pod's port is not the node's", || (answers(SHORT) == [false; 2]).then_some(()));
    explained("denied");
}
