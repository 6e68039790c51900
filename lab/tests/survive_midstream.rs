//! Connections that were there before the policy that judges them. Needs root.

mod support;

use palomar_lab::Topology;
use palomar_lab::traffic::TrafficError;
use support::{
    ALLOW_ECHO, Agent, DEFAULT_DENY, LONG, Options, SHORT, connect, echo, field, is_reply, names_pod, np_demo,
};

/// other may connect to web's echo server.
const ALLOW_OTHER: (&str, &str) = (
    "40-allow-other.yaml",
    "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: np-demo, name: allow-other}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {role: other}}}]
      ports: [{protocol: TCP, port: 8080}]
",
);

/// web may connect nowhere.
const NO_EGRESS: (&str, &str) = (
    "25-no-egress.yaml",
    "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: np-demo, name: no-egress}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
",
);

#[test]
fn the_first_enforce_keeps_allowed_connections_and_cuts_denied_ones() {
    for (name, topology, attach) in
        [("e2midr", Topology::Routed, "tcx"), ("e2midb", Topology::Bridge, "clsact")]
    {
        let lab = np_demo(name, topology);
        let [web, frontend, other] =
            ["web", "frontend", "other"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
        let _servers = echo(web);
        let (mut allowed, allowed_port) = connect(frontend, web).unwrap();
        let (mut denied, denied_port) = connect(other, web).unwrap();
        allowed.ping(LONG).unwrap();
        denied.ping(LONG).unwrap();

        let mut agent = Agent::prepare(&lab, Options::mode("enforce").attach(attach));
        // isolated in both directions: else the denied one could be the answer to a connection of web's
        agent.apply_all(&[DEFAULT_DENY, NO_EGRESS, ALLOW_ECHO]);
        agent.start_again();
        agent.wait_for_endpoint("np-demo/web", "isolated", |web| web["ingress_isolated"] == true);
        allowed.ping(LONG).unwrap();
        assert_eq!(denied.ping(SHORT), Err(TrafficError::Timeout), "{topology:?}");
        let again = other.connect((web.v4().unwrap(), support::PORT).into(), SHORT);
        assert_eq!(again.map(drop), Err(TrafficError::Timeout), "{topology:?}");

        let filters = ["--port", &allowed_port.to_string()];
        agent.wait_for_flows("the allowed connection, both ways", &filters, |flows| {
            assert!(flows.iter().all(|flow| is_reply(flow).is_none()), "{flows:#?}");
            assert!(flows.iter().all(|flow| field(flow, "/verdict") == "FORWARDED"), "{flows:#?}");
            let seen = |from, to| flows.iter().any(|flow| names_pod(flow, from, to));
            (seen("frontend", "web") && seen("web", "frontend")).then_some(())
        });
        let filters = ["--port", &denied_port.to_string()];
        agent.wait_for_flows("the denied connection's drop", &filters, |flows| {
            flows.iter().any(support::is_dropped).then_some(())
        });
    }
}

#[test]
fn an_edit_cuts_the_connections_that_it_closes_and_leaves_the_others() {
    for (name, topology, attach) in
        [("e2editr", Topology::Routed, "clsact"), ("e2editb", Topology::Bridge, "tcx")]
    {
        let lab = np_demo(name, topology);
        let [web, frontend, other] =
            ["web", "frontend", "other"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
        let _servers = echo(web);
        let agent = Agent::start(&lab, Options::mode("enforce").attach(attach));
        agent.isolate_web(&[DEFAULT_DENY, ALLOW_ECHO, ALLOW_OTHER]);
        let (mut kept, kept_port) = connect(frontend, web).unwrap();
        let (mut closed, closed_port) = connect(other, web).unwrap();
        for _ in 0..20 {
            kept.ping(LONG).unwrap();
            closed.ping(LONG).unwrap();
        }
        agent.delete(ALLOW_OTHER);
        agent.wait_for_endpoint("np-demo/web", "isolated by two", |web| {
            web["ingress_policies"].as_array().is_some_and(|names| names.len() == 2)
        });
        assert_eq!(closed.ping(SHORT), Err(TrafficError::Timeout), "{topology:?}");
        for _ in 0..20 {
            kept.ping(LONG).unwrap();
        }
        let drop = agent.wait_for_flows("the drop", &["--port", &closed_port.to_string()], |flows| {
            flows.iter().find(|flow| support::is_dropped(flow)).cloned()
        });
        assert!(names_pod(&drop, "other", "web"), "{drop}");
        let kept_flows = agent.flows(&["--port", &kept_port.to_string()]);
        assert!(!kept_flows.iter().any(support::is_dropped), "{kept_flows:#?}");
        assert!(kept_flows.iter().all(|flow| is_reply(flow).is_some()), "{kept_flows:#?}");
    }
}
