//! Source addresses that are not the sender's. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::IpAddr;

use palomar_lab::traffic::{Packet, TrafficError};
use palomar_lab::{Lab, PodSpec, Topology, read_pods};
use support::{
    ALLOW_FRONTEND, Agent, DEFAULT_DENY, LONG, Options, PODS, SHORT, field, is_type, np_demo, wait_or,
};

/// A datagram from frontend that says it comes from other.
fn forged(lab: &Lab, port: u16) -> Packet {
    let address = |pod: &str| lab.pod(&format!("np-demo/{pod}")).unwrap().v4().unwrap();
    Packet::udp((address("other"), 4000), (address("web"), port), b"forged")
}

/// Whether a packet gets through from frontend to web.
fn passes(lab: &Lab, packet: &Packet, patience: std::time::Duration) -> bool {
    let mut listener = lab.pod("np-demo/web").unwrap().listen_to_packets().unwrap();
    lab.pod("np-demo/frontend").unwrap().inject([packet]).unwrap();
    match listener.wait_for_packet_like(packet, patience) {
        Ok(_) => true,
        Err(TrafficError::Timeout) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_forged_source_is_dropped_and_told_in_enforce_and_only_told_in_audit() {
    let lab = np_demo("brforged", Topology::Bridge);
    let packet = forged(&lab, 9000);
    assert!(passes(&lab, &packet, LONG), "the lab itself stops forged packets: nothing is tested");

    let mut agent = Agent::start(&lab, Options::mode("audit"));
    assert!(passes(&lab, &packet, LONG), "audit has changed a packet's fate");
    let told = |flows: &[serde_json::Value], verdict: &str| {
        flows.iter().find(|flow| field(flow, "/verdict") == verdict).cloned()
    };
    let told_in_audit =
        agent.wait_for_flows("the forged packet, audited", &["--port", "9000", "--type", "drop"], |flows| {
            told(flows, "AUDIT")
        });
    assert_eq!(field(&told_in_audit, "/drop_reason_desc"), "INVALID_SOURCE_IP", "{told_in_audit}");
    assert_eq!(field(&told_in_audit, "/source/pod_name"), "frontend", "who sent it: {told_in_audit}");
    assert!(agent.terminate().success());

    agent.options.mode = "enforce";
    agent.start_again();
    let packet = forged(&lab, 9001);
    assert!(!passes(&lab, &packet, SHORT), "a forged packet passed");
    let drop = agent
        .wait_for_flows("the drop", &["--port", "9001", "--type", "drop"], |flows| told(flows, "DROPPED"));
    assert_eq!(field(&drop, "/drop_reason"), 132, "{drop}");
    assert_eq!(field(&drop, "/source/pod_name"), "frontend", "who sent it: {drop}");
    assert_eq!(field(&drop, "/drop_reason_desc"), "INVALID_SOURCE_IP", "{drop}");
    assert!(is_type(&drop, 1), "{drop}");
    let line = agent.palomar(&["observe", "--all", "--port", "9001", "--verdict", "DROPPED"]);
    assert!(line.contains("Invalid source ip DROPPED (UDP)"), "{line}");
    // its own address is nobody else's business
    let own = Packet::udp(
        (lab.pod("np-demo/frontend").unwrap().v4().unwrap(), 4001),
        (lab.pod("np-demo/web").unwrap().v4().unwrap(), 9002),
        b"own",
    );
    assert!(passes(&lab, &own, LONG));
}

#[test]
fn a_pod_that_takes_over_an_address_is_judged_by_its_own_labels_and_old_flows_keep_the_old_name() {
    let pods = read_pods("10-pods.yaml", PODS).unwrap();
    let mut lab = Lab::new("brreuse", Topology::Routed, pods).unwrap();
    let agent = Agent::start(&lab, Options::mode("enforce"));
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
    let web = lab.pod("np-demo/web").unwrap().clone();
    let server = web.serve_http(8080).unwrap();
    let url = web.url(8080);
    let addresses: Vec<IpAddr> = lab.pod("np-demo/frontend").unwrap().addresses().to_vec();
    let (source, from) = (addresses[0], addresses[0].to_string());
    assert_eq!(lab.pod("np-demo/frontend").unwrap().get_within(&url, LONG).as_deref(), Ok("web\n"));
    let names = |flows: &[serde_json::Value]| -> Vec<(String, String)> {
        let text = |flow: &serde_json::Value, path: &str| field(flow, path).to_string();
        flows.iter().map(|f| (text(f, "/source/pod_name"), text(f, "/source/labels"))).collect()
    };
    let filters = ["--from-ip", from.as_str(), "--to-port", "8080"];
    let before =
        agent.wait_for_flows("frontend's", &filters, |flows| (flows.len() > 1).then(|| names(flows)));
    assert!(before.iter().all(|(name, labels)| name == "\"frontend\"" && labels.contains("role=frontend")));

    // the new one comes to the same address without the right label
    lab.remove_pod("np-demo/frontend").unwrap();
    let mut spec = PodSpec::new("np-demo", "usurper").label("role", "usurper");
    spec.addresses.clone_from(&addresses);
    lab.add_pods(vec![spec]).unwrap();
    lab.write_manifests(&agent.manifests).unwrap();
    agent.wait_for_endpoint("np-demo/usurper", "attached", |_| true);
    let usurper = lab.pod("np-demo/usurper").unwrap();
    assert_eq!(usurper.address(), source);
    assert_eq!(
        usurper.get_within(&url, SHORT),
        Err(TrafficError::Timeout),
        "the old pod's policy holds for it"
    );
    let after = agent.wait_for_flows("the usurper's drop", &filters, |flows| {
        flows.iter().any(|flow| field(flow, "/verdict") == "DROPPED").then(|| names(flows))
    });
    for (name, labels) in &after {
        let right = match name.as_str() {
            "\"frontend\"" => labels.contains("role=frontend"),
            "\"usurper\"" => labels.contains("role=usurper"),
            _ => false,
        };
        assert!(right, "{name} with {labels}");
    }
    let old = after.iter().filter(|(name, _)| name == "\"frontend\"").count();
    assert!(old >= before.len(), "old flows have another name now: {after:?}");

    // and the other way round: web's own address under another pod is open
    let web_addresses: Vec<IpAddr> = web.addresses().to_vec();
    drop(server);
    lab.remove_pod("np-demo/web").unwrap();
    let mut spec = PodSpec::new("np-demo", "open").label("app", "open");
    spec.addresses = web_addresses;
    lab.add_pods(vec![spec]).unwrap();
    lab.write_manifests(&agent.manifests).unwrap();
    let _server = lab.pod("np-demo/open").unwrap().serve_http(8080).unwrap();
    agent.wait_for_endpoint("np-demo/open", "open", |e| e["ingress_isolated"] != true);
    let usurper = lab.pod("np-demo/usurper").unwrap();
    wait_or(|| usurper.get_within(&url, LONG).ok(), || agent.log());
}

/// A pod that has ended has no address any more, whatever its status still says: who has it now is judged by labels of its
/// own.
#[test]
fn a_pod_that_has_completed_gives_its_labels_to_nobody() {
    let lab = np_demo("e2edone", Topology::Routed);
    let pod = |name: &str| lab.pod(&format!("np-demo/{name}")).unwrap().clone();
    let (web, frontend, other) = (pod("web"), pod("frontend"), pod("other"));
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    // the first by name, with the label that is allowed
    let done = format!(
        "apiVersion: v1
kind: Pod
metadata: {{namespace: np-demo, name: a-done, labels: {{role: frontend}}}}
spec: {{nodeName: {}}}
status: {{phase: Succeeded, podIP: {}}}
",
        agent.node_name,
        other.v4().unwrap()
    );
    agent.apply(("05-done.yaml", &done));
    agent.start_again();
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
    agent.wait_for_endpoint("np-demo/other", "attached", |_| true);
    let _server = web.serve_http(8080).unwrap();
    let url = palomar_lab::url(web.v4().unwrap(), 8080);
    assert_eq!(frontend.get_within(&url, LONG).as_deref(), Ok("web\n"));
    assert_eq!(
        other.get_within(&url, SHORT),
        Err(TrafficError::Timeout),
        "by the labels of a pod that ended"
    );
    let from = other.v4().unwrap().to_string();
    let flow = agent.wait_for_flows("the drop", &["--from-ip", &from, "--verdict", "DROPPED"], |flows| {
        flows.first().cloned()
    });
    assert_eq!(field(&flow, "/source/pod_name"), "other", "{flow}");
    let unseen = agent.endpoint_list()["unseen_pods"].clone();
    assert_eq!(unseen[0]["pod_name"], "a-done", "{unseen}");
    assert_eq!(unseen[0]["reason"], "no address yet", "{unseen}");
    assert_eq!(unseen.as_array().map(Vec::len), Some(1), "no address is claimed twice: {unseen}");
}
