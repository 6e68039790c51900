//! Egress policy where a service's address is rewritten on the node: judged by the pods behind it. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::{IpAddr, SocketAddr};

use palomar_lab::{Lab, NodePortSource, Place, Topology, read_pods};
use serde_json::Value;
use support::{Agent, LONG, Options, PORT, SHORT, echo, field, is_type};

/// A client, and two servers behind one service that differ in one label.
const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {namespace: np-demo, name: client, labels: {role: client}}
spec: {containers: [{name: c, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: np-demo, name: good, labels: {app: shop, side: good, tier: any}}
spec: {containers: [{name: c, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: np-demo, name: bad, labels: {app: shop, side: bad}}
spec: {containers: [{name: c, image: none}]}
";

/// Services of either server and of both, with an address of each family and a port of the node, by which clients keep
/// their address.
const SERVICES: (&str, &str) = (
    "15-services.yaml",
    "
apiVersion: v1
kind: Service
metadata: {namespace: np-demo, name: good}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  clusterIPs: [10.96.0.1, 'fd00:10:96::1']
  selector: {side: good}
  ports:
    - {name: tcp, port: 80, targetPort: 8080, nodePort: 30001}
    - {name: udp, protocol: UDP, port: 80, targetPort: 8080, nodePort: 30001}
---
apiVersion: v1
kind: Service
metadata: {namespace: np-demo, name: bad}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  clusterIPs: [10.96.0.2, 'fd00:10:96::2']
  selector: {side: bad}
  ports:
    - {name: tcp, port: 80, targetPort: 8080, nodePort: 30002}
    - {name: udp, protocol: UDP, port: 80, targetPort: 8080, nodePort: 30002}
---
apiVersion: v1
kind: Service
metadata: {namespace: np-demo, name: both}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  clusterIPs: [10.96.0.3, 'fd00:10:96::3']
  selector: {app: shop}
  ports:
    - {name: tcp, port: 80, targetPort: 8080, nodePort: 30003}
    - {name: udp, protocol: UDP, port: 80, targetPort: 8080, nodePort: 30003}
",
);

/// The client may connect to the good server, to the port that its service does not have.
const EGRESS: (&str, &str) = (
    "20-egress.yaml",
    "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: np-demo, name: to-good}
spec:
  podSelector: {matchLabels: {role: client}}
  policyTypes: [Egress]
  egress:
    - to: [{podSelector: {matchLabels: {side: good}}}]
      ports: [{protocol: TCP, port: 8080}, {protocol: UDP, port: 8080}]
",
);

fn lab(name: &str) -> Lab {
    lab_with(name, NodePortSource::Kept)
}

fn lab_with(name: &str, source: NodePortSource) -> Lab {
    let lab = Lab::new(name, Topology::Routed, read_pods("pods.yaml", PODS).unwrap()).unwrap();
    for family in [Place::v4, Place::v6] {
        let [good, bad] = ["good", "bad"].map(|name| SocketAddr::new(family(pod(&lab, name)).unwrap(), PORT));
        let is_ipv4 = good.is_ipv4();
        lab.add_service(service(1, is_ipv4), &[good]).unwrap();
        lab.add_service(service(2, is_ipv4), &[bad]).unwrap();
        lab.add_service(service(3, is_ipv4), &[good, bad]).unwrap();
        lab.add_node_port(30_001, &[good], source).unwrap();
        lab.add_node_port(30_002, &[bad], source).unwrap();
        lab.add_node_port(30_003, &[good, bad], source).unwrap();
    }
    lab
}

fn pod<'a>(lab: &'a Lab, name: &str) -> &'a Place {
    lab.pod(&format!("np-demo/{name}")).unwrap()
}

fn service(number: u16, is_ipv4: bool) -> SocketAddr {
    let text = if is_ipv4 { format!("10.96.0.{number}") } else { format!("fd00:10:96::{number}") };
    SocketAddr::new(text.parse::<IpAddr>().unwrap(), 80)
}

/// Service `number` at the node's own address.
fn node_port(lab: &Lab, number: u16, is_ipv4: bool) -> SocketAddr {
    let address = if is_ipv4 { lab.node().v4() } else { lab.node().v6() };
    SocketAddr::new(address.unwrap(), 30_000 + number)
}

fn agent(lab: &Lab, mode: &'static str) -> Agent {
    agent_with(lab, mode, SERVICES)
}

fn agent_with(lab: &Lab, mode: &'static str, services: (&str, &str)) -> Agent {
    let mut agent = Agent::prepare(lab, Options::mode(mode));
    agent.apply_all(&[services, EGRESS]);
    agent.start_again();
    agent.wait_for_endpoint("np-demo/client", "isolated", |client| client["egress_isolated"] == true);
    agent
}

fn answers(from: &Place, to: SocketAddr, patience: std::time::Duration) -> bool {
    from.connect(to, patience).is_ok_and(|mut connection| connection.ping(patience).is_ok())
}

fn answers_datagram(from: &Place, to: SocketAddr) -> bool {
    from.udp_exchange(to, b"ping", SHORT).is_ok()
}

/// Type 5 of egress from the client: the service that it names, the pod that it names, the verdict.
fn verdicts(flows: &[Value]) -> Vec<(String, String, String)> {
    let text = |flow: &Value, path: &str| field(flow, path).as_str().unwrap_or_default().to_owned();
    let egress = flows.iter().filter(|flow| {
        is_type(flow, 5)
            && *field(flow, "/source/pod_name") == "client"
            && *field(flow, "/traffic_direction") == "EGRESS"
    });
    egress
        .map(|flow| {
            let service = text(flow, "/destination_service/name");
            (service, text(flow, "/destination/pod_name"), text(flow, "/verdict"))
        })
        .collect()
}

fn verdict(service: &str, pod: &str, verdict: &str) -> (String, String, String) {
    (service.to_owned(), pod.to_owned(), verdict.to_owned())
}

#[test]
fn a_service_is_allowed_or_denied_as_the_pod_behind_it_and_where_they_differ_each_connection_is() {
    let lab = lab("svcpol");
    let client = pod(&lab, "client");
    let _servers = [echo(pod(&lab, "good")), echo(pod(&lab, "bad"))];
    let agent = agent(&lab, "enforce");
    for is_ipv4 in [true, false] {
        assert!(
            answers(client, service(1, is_ipv4), LONG),
            "the service's port is not the policy's\n{}",
            agent.log()
        );
        assert!(!answers(client, service(2, is_ipv4), SHORT), "the pod behind it is not allowed");
        // the node gives connections to the two in turn
        let turns: Vec<bool> = (0..4).map(|_| answers(client, service(3, is_ipv4), SHORT)).collect();
        assert!(turns == [true, false, true, false] || turns == [false, true, false, true], "{turns:?}");
    }
    let expected = [
        verdict("good", "", "FORWARDED"),
        verdict("bad", "", "DROPPED"),
        // denied where it shows which of them it was
        verdict("", "bad", "DROPPED"),
    ];
    let found = agent.wait_for_flows("egress verdicts", &["--type", "policy-verdict"], |flows| {
        let found = verdicts(flows);
        expected.iter().all(|wanted| found.contains(wanted)).then_some(found)
    });
    assert!(found.iter().all(|told| expected.contains(told)), "{found:?}");
    let dropped = agent.flows(&["--verdict", "DROPPED", "--type", "drop", "--to-pod", "np-demo/bad"]);
    let dropped = dropped.last().expect("a drop at the server's interface");
    assert_eq!(field(dropped, "/egress_denied_by/0/name"), "to-good", "{dropped}");
    let lines = agent.palomar(&["observe", "--to-service", "np-demo/good", "--last", "100", "-o", "compact"]);
    assert!(lines.contains("np-demo/good:80 (world) policy-verdict:L3-L4 EGRESS ALLOWED"), "{lines}");
    assert!(lines.contains("np-demo/good:80 (world) to-stack FORWARDED"), "{lines}");
    let replies =
        agent.palomar(&["observe", "--from-service", "np-demo/good", "--last", "100", "-o", "compact"]);
    assert!(replies.contains("<- np-demo/good:80"), "{replies}");
}

#[test]
fn a_port_of_the_node_is_allowed_or_denied_as_the_pod_behind_it_where_the_client_keeps_its_address() {
    let lab = lab("svcport");
    let client = pod(&lab, "client");
    let _servers = [echo(pod(&lab, "good")), echo(pod(&lab, "bad"))];
    let agent = agent(&lab, "enforce");
    for is_ipv4 in [true, false] {
        let at = |number| node_port(&lab, number, is_ipv4);
        assert!(answers(client, at(1), LONG), "the node's port is not the policy's\n{}", agent.log());
        assert!(!answers(client, at(2), SHORT), "the pod behind it is not allowed");
        let turns: Vec<bool> = (0..4).map(|_| answers(client, at(3), SHORT)).collect();
        assert!(turns == [true, false, true, false] || turns == [false, true, false, true], "{turns:?}");
        assert!(answers_datagram(client, at(1)), "datagrams alike");
    }
    let expected =
        [verdict("good", "", "FORWARDED"), verdict("bad", "", "DROPPED"), verdict("", "bad", "DROPPED")];
    let found = agent.wait_for_flows("egress verdicts", &["--type", "policy-verdict"], |flows| {
        let found = verdicts(flows);
        expected.iter().all(|wanted| found.contains(wanted)).then_some(found)
    });
    assert!(found.iter().all(|told| expected.contains(told)), "{found:?}");
    let lines = agent.palomar(&["observe", "--to-service", "np-demo/good", "--last", "100", "-o", "compact"]);
    assert!(lines.contains(":30001 (host) policy-verdict:L3-L4 EGRESS ALLOWED"), "{lines}");
    let replies =
        agent.palomar(&["observe", "--from-service", "np-demo/good", "--last", "100", "-o", "compact"]);
    assert!(replies.contains("np-demo/client") && replies.contains(":30001 (host)"), "{replies}");
}

#[test]
fn where_the_node_masks_the_client_backends_that_differ_are_closed_and_others_judged_as_they_are() {
    let lab = lab_with("svcmask", NodePortSource::Masked);
    let client = pod(&lab, "client");
    let _servers = [echo(pod(&lab, "good")), echo(pod(&lab, "bad"))];
    let services = SERVICES.1.replace("externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster");
    let agent = agent_with(&lab, "enforce", (SERVICES.0, &services));
    for is_ipv4 in [true, false] {
        let at = |number| node_port(&lab, number, is_ipv4);
        assert!(answers(client, at(1), LONG), "the pod behind it is allowed\n{}", agent.log());
        assert!(!answers(client, at(2), SHORT), "the pod behind it is not allowed");
        let turns: Vec<bool> = (0..4).map(|_| answers(client, at(3), SHORT)).collect();
        assert_eq!(turns, [false; 4], "which of them it is would never show");
        let turns: Vec<bool> = (0..4).map(|_| answers(client, service(3, is_ipv4), SHORT)).collect();
        assert_eq!(turns.iter().filter(|answers| **answers).count(), 2, "the cluster address masks nobody");
    }
    let found = agent.wait_for_flows("egress verdicts", &["--type", "policy-verdict"], |flows| {
        let found = verdicts(flows);
        found.contains(&verdict("both", "", "DROPPED")).then_some(found)
    });
    assert!(found.contains(&verdict("good", "", "FORWARDED")), "{found:?}");
    let good = agent.flows(&["--to-pod", "np-demo/good", "--type", "trace"]);
    let masked = |flow: &&Value| *field(flow, "/source/identity") == 2;
    assert!(good.iter().any(|flow| masked(&flow)), "told as world, since the node hides who it is: {good:?}");
}

#[test]
fn where_the_node_masks_every_client_and_the_agent_is_told_backends_that_differ_are_closed() {
    let lab = lab("svcall");
    lab.masquerade_services().unwrap();
    let client = pod(&lab, "client");
    let _servers = [echo(pod(&lab, "good")), echo(pod(&lab, "bad"))];
    let mut agent = Agent::prepare(&lab, Options::mode("enforce").arg("--masquerade-all"));
    agent.apply_all(&[SERVICES, EGRESS]);
    agent.start_again();
    agent.wait_for_endpoint("np-demo/client", "isolated", |client| client["egress_isolated"] == true);
    for is_ipv4 in [true, false] {
        assert!(answers(client, service(1, is_ipv4), LONG), "the pod behind it is allowed\n{}", agent.log());
        for at in [service(3, is_ipv4), node_port(&lab, 3, is_ipv4)] {
            let turns: Vec<bool> = (0..2).map(|_| answers(client, at, SHORT)).collect();
            assert_eq!(turns, [false; 2], "{at}: which of them it is would never show");
        }
        for (at, expected) in [(service(1, is_ipv4), "allowed"), (service(3, is_ipv4), "denied")] {
            let (to, port) = (at.ip().to_string(), at.port().to_string());
            let asked = ["policy", "explain", "--from", "np-demo/client", "--to", &to, "--port", &port];
            let told = agent.palomar(&asked);
            assert!(told.contains(&format!("Egress of np-demo/client: {expected}")), "{at}: {told}");
            let verdict = format!("np-demo/client -> {to}, TCP {port}: {expected}\n");
            assert!(expected == "allowed" || told.starts_with(&verdict), "{at}: {told}");
        }
    }
}

/// A pod elsewhere stands behind the good server's service, or behind that of both.
fn far(lab: &Lab, labels: &str) -> String {
    let [v4, v6] = [lab.outside().v4(), lab.outside().v6()].map(Result::unwrap);
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{namespace: np-demo, name: far, labels: {{{labels}}}}}
spec: {{nodeName: elsewhere, containers: [{{name: c, image: none}}]}}
status: {{phase: Running, podIP: '{v4}', podIPs: [{{ip: '{v4}'}}, {{ip: '{v6}'}}]}}
"
    )
}

#[test]
fn with_a_pod_elsewhere_behind_it_a_service_is_open_where_it_is_allowed_and_closed_where_it_is_not() {
    let lab = Lab::new("svcfar", Topology::Routed, read_pods("pods.yaml", PODS).unwrap()).unwrap();
    let client = pod(&lab, "client");
    let _servers = [echo(pod(&lab, "good")), echo(lab.outside())];
    for family in [Place::v4, Place::v6] {
        let [good, far] =
            [pod(&lab, "good"), lab.outside()].map(|place| SocketAddr::new(family(place).unwrap(), PORT));
        lab.add_service(service(1, good.is_ipv4()), &[good, far]).unwrap();
    }
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    let file = "12-far.yaml";
    agent.apply_all(&[SERVICES, EGRESS, (file, &far(&lab, "side: good"))]);
    agent.start_again();
    agent.wait_for_endpoint("np-demo/client", "isolated", |client| client["egress_isolated"] == true);
    let both = || [true, false].map(|is_ipv4| answers(client, service(1, is_ipv4), SHORT));
    for _ in 0..2 {
        assert_eq!(both(), [true; 2], "both of them are allowed\n{}", agent.log());
    }
    let services = SERVICES.1.replace("selector: {side: good}", "selector: {tier: any}");
    agent.apply_all(&[(SERVICES.0, &services), (file, &far(&lab, "side: far, tier: any"))]);
    support::wait_for("closed, since where it leads does not show here", || {
        (0..2).all(|_| both() == [false; 2]).then_some(())
    });
}

#[test]
fn a_change_of_policy_or_of_backends_counts_for_services_and_cuts_connections_to_them() {
    let lab = lab("svcedit");
    let client = pod(&lab, "client");
    let _servers = [echo(pod(&lab, "good")), echo(pod(&lab, "bad"))];
    let agent = agent(&lab, "enforce");
    let both = service(3, true);
    agent.apply((EGRESS.0, &EGRESS.1.replace("side: good", "app: shop")));
    support::wait_for("both are allowed", || (0..4).all(|_| answers(client, both, SHORT)).then_some(()));
    let mut open: Vec<_> = (0..2).map(|_| client.connect(both, LONG).unwrap()).collect();
    for connection in &mut open {
        connection.ping(LONG).unwrap();
    }
    agent.apply(EGRESS);
    support::wait_for("one is denied again", || {
        let turns: Vec<bool> = (0..2).map(|_| answers(client, both, SHORT)).collect();
        (turns[0] != turns[1]).then_some(())
    });
    let alive = open.iter_mut().filter_map(|connection| connection.ping(SHORT).ok()).count();
    assert_eq!(alive, 1, "the open connection to the one that is denied is cut, the other is not");
}

#[test]
fn where_nothing_is_enforced_all_are_reached_and_a_denial_is_told_of_the_service_and_of_the_pod() {
    let lab = lab("svcaudit");
    let client = pod(&lab, "client");
    let _servers = [echo(pod(&lab, "good")), echo(pod(&lab, "bad"))];
    let agent = agent(&lab, "audit");
    let direct = SocketAddr::new(pod(&lab, "bad").v4().unwrap(), PORT);
    for to in [service(2, true), service(3, true), service(3, true), direct] {
        assert!(answers(client, to, LONG), "{to}");
    }
    let found = agent.wait_for_flows("egress verdicts", &["--type", "policy-verdict"], |flows| {
        let found = verdicts(flows);
        (found.len() >= 4).then_some(found)
    });
    let count = |wanted: &(String, String, String)| found.iter().filter(|told| *told == wanted).count();
    let to_pod = count(&verdict("", "bad", "AUDIT"));
    assert_eq!(count(&verdict("bad", "", "AUDIT")), 1, "{found:?}");
    assert_eq!(
        (to_pod, found.len()),
        (3, 4),
        "by the service of its own, by that of both, and directly: {found:?}"
    );
}
