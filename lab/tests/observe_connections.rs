//! What `palomar connections` tells of real connections. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use palomar_lab::traffic::TrafficError;
use palomar_lab::{Place, Topology};
use serde_json::Value;
use support::{
    ALLOW_ECHO, Agent, DEFAULT_DENY, LONG, Options, PATIENCE, PORT, SHORT, connect, echo, field, names_pod,
    np_demo, wait_or,
};

/// Where nobody may connect to web.
const DENIED_PORT: u16 = 9999;
/// Where the node loses packets.
const LOST_PORT: u16 = 7777;
/// A cluster address of web's.
const SERVICE: &str = "10.96.0.10:80";
const SERVICE_MANIFEST: (&str, &str) = (
    "50-service.yaml",
    "apiVersion: v1
kind: Service
metadata: {namespace: np-demo, name: web-vip}
spec:
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
",
);

/// other may connect nowhere.
const MUTE_OTHER: (&str, &str) = (
    "25-mute-other.yaml",
    "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: np-demo, name: mute-other}
spec:
  podSelector: {matchLabels: {role: other}}
  policyTypes: [Egress]
",
);

/// The connections with these flags.
fn connections(agent: &Agent, flags: &[&str]) -> Vec<Value> {
    let text = agent.palomar(&[&["connections", "-o", "json"], flags].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until one of those with these flags is as wanted.
fn wait_for_connection(agent: &Agent, what: &str, flags: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let seen = || connections(agent, flags).into_iter().find(|connection| wanted(connection));
    wait_or(seen, || format!("no connection is {what}; there are\n{}", agent.palomar(&["connections"])))
}

fn port(connection: &Value, end: &str) -> u16 {
    u16::try_from(field(connection, &format!("/{end}/port")).as_u64().unwrap()).unwrap()
}

fn number(connection: &Value, path: &str) -> u64 {
    field(connection, path).as_u64().unwrap_or_else(|| panic!("{path} of {connection}"))
}

/// The one connection that began at this port.
fn from_port(agent: &Agent, port: u16) -> Value {
    let found = connections(agent, &["--from-port", &port.to_string()]);
    let [connection] = &found[..] else { panic!("one connection, not {found:?}") };
    connection.clone()
}

/// Packets to a port are lost on the node, between the interfaces of its pods.
fn lose_packets(node: &Place, port: u16) {
    let script = format!(
        "table inet lab_loss {{
            chain forward {{ type filter hook forward priority 0; }}
        }}
        add rule inet lab_loss forward tcp dport {port} drop"
    );
    let output = node.command("nft").arg(&script).output(PATIENCE).unwrap();
    assert!(output.status.success(), "{}", output.stderr);
}

#[test]
fn an_open_connection_is_told_once_with_what_both_pods_saw_of_it() {
    for (name, topology, attach) in
        [("obconnr", Topology::Routed, "tcx"), ("obconnb", Topology::Bridge, "clsact")]
    {
        let lab = np_demo(name, topology);
        let pod = |name: &str| lab.pod(&format!("np-demo/{name}")).unwrap();
        let (web, frontend) = (pod("web"), pod("frontend"));
        let mut agent = Agent::prepare(&lab, Options::mode("enforce").attach(attach));
        agent.apply_all(&[DEFAULT_DENY, ALLOW_ECHO]);
        agent.start_again();
        agent.wait_for_endpoint("np-demo/web", "isolated", |web| web["ingress_isolated"] == true);
        let _servers = echo(web);
        let (mut open, client_port) = connect(frontend, web).unwrap();
        open.ping(LONG).unwrap();

        let first = wait_for_connection(&agent, "open", &["--from-port", &client_port.to_string()], |c| {
            c["state"] == "established" && number(c, "/received/packets") >= 2
        });
        assert!(names_pod(&first, "frontend", "web"), "{first}");
        assert_eq!((port(&first, "source"), port(&first, "destination")), (client_port, PORT), "{first}");
        assert_eq!((&first["protocol"], &first["is_oriented"]), (&"TCP".into(), &true.into()), "{first}");
        assert_eq!(first["arrival"], "arrived", "{first}");
        for way in ["sent", "received"] {
            let [there, here] = ["source_side", "destination_side"].map(|side| &first[side][way]);
            assert_eq!(there, here, "{way}: nothing is lost between the two: {first}");
            assert_eq!(there, &first[way], "{first}");
        }
        assert_eq!(field(&first, "/destination_side/policies/0/name"), "allow-echo", "{first}");
        assert_eq!(first["source_side"]["policies"], Value::Array(Vec::new()), "{first}");

        for _ in 0..5 {
            open.ping(LONG).unwrap();
        }
        let second = from_port(&agent, client_port);
        assert!(number(&second, "/age_ns") > number(&first, "/age_ns"), "{second}");
        assert!(number(&second, "/idle_ns") <= number(&second, "/age_ns"), "{second}");
        assert!(number(&second, "/sent/packets") >= number(&first, "/sent/packets") + 5, "{second}");

        // what was pinned is found by the next agent
        agent.restart();
        let adopted = from_port(&agent, client_port);
        assert!(number(&adopted, "/age_ns") > number(&second, "/age_ns"), "{adopted}");
        open.ping(LONG).unwrap();

        // a policy that is gone closes it
        agent.delete(ALLOW_ECHO);
        agent.wait_for_endpoint("np-demo/web", "closed", |web| {
            web["ingress_policies"].as_array().is_some_and(|names| names.len() == 1)
        });
        assert_eq!(open.ping(SHORT), Err(TrafficError::Timeout));
        let closed = from_port(&agent, client_port);
        assert_eq!(closed["state"], "established", "{closed}");
        assert_eq!(field(&closed, "/destination_side/is_denied"), true, "{closed}");
        assert_eq!(field(&closed, "/destination_side/policies/0/name"), "default-deny", "{closed}");
        let table = agent.palomar(&["connections", "--from-port", &client_port.to_string()]);
        assert!(table.lines().nth(1).unwrap().ends_with("denied ingress"), "{table}");
    }
}

#[test]
fn a_syn_without_an_answer_tells_where_it_got_to() {
    let lab = np_demo("obconnu", Topology::Routed);
    let pod = |name: &str| lab.pod(&format!("np-demo/{name}")).unwrap();
    let (web, frontend, other) = (pod("web"), pod("frontend"), pod("other"));
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    agent.apply_all(&[DEFAULT_DENY, MUTE_OTHER]);
    agent.start_again();
    agent.wait_for_endpoint("np-demo/web", "isolated", |web| web["ingress_isolated"] == true);
    agent.wait_for_endpoint("np-demo/other", "isolated", |other| other["egress_isolated"] == true);
    lose_packets(lab.node(), LOST_PORT);
    let call = |from: &Place, to: IpAddr, port: u16| {
        from.connect(SocketAddr::new(to, port), LONG).expect_err("nobody is to answer")
    };
    let (web_v4, other_v4, other_v6) = (web.v4().unwrap(), other.v4().unwrap(), other.v6().unwrap());

    // it vanishes on the node; its SYN is sent again after a second, and the client gives up after three
    for to in [other_v4, other_v6] {
        assert_eq!(call(frontend, to, LOST_PORT), TrafficError::Timeout);
        let ip = to.to_string();
        let lost = wait_for_connection(&agent, "lost", &["--unanswered", "--to-ip", &ip], |c| {
            port(c, "destination") == LOST_PORT
        });
        assert!(names_pod(&lost, "frontend", "other"), "{lost}");
        assert_eq!((&lost["state"], &lost["arrival"]), (&"unanswered".into(), &"missing".into()), "{lost}");
        assert!(number(&lost, "/unanswered_syns") >= 2, "{lost}");
        assert_eq!(number(&lost, "/unanswered_syns"), number(&lost, "/sent/packets"), "{lost}");
        assert_eq!(number(&lost, "/received/packets"), 0, "{lost}");
        let age = Duration::from_nanos(number(&lost, "/age_ns"));
        assert!(age >= Duration::from_secs(2), "{age:?}: {lost}");
        assert!(number(&lost, "/idle_ns") < number(&lost, "/age_ns"), "{lost}");
        assert_eq!(lost["destination_side"], Value::Null, "{lost}");
    }
    let table = agent.palomar(&["connections", "--unanswered", "--to-ip", &other_v4.to_string()]);
    let line = table.lines().nth(1).unwrap();
    assert!(line.starts_with("np-demo/frontend:") && line.ends_with("did not arrive"), "{table}");
    assert!(line.contains(" SYNs)"), "{table}");

    // policy drops it at web's interface, where it leaves no entry
    assert_eq!(call(frontend, web_v4, DENIED_PORT), TrafficError::Timeout);
    let denied = wait_for_connection(&agent, "denied", &["--unanswered", "--to-port", "9999"], |_| true);
    assert_eq!(
        (&denied["arrival"], &denied["destination_side"]),
        (&"denied".into(), &Value::Null),
        "{denied}"
    );
    // at the interface of a pod that may not speak it leaves none at all
    assert_eq!(call(other, web_v4, DENIED_PORT), TrafficError::Timeout);
    agent.wait_for_flows("a drop of what other sends", &["--type", "drop"], |flows| {
        flows.iter().any(|flow| names_pod(flow, "other", "web")).then_some(())
    });
    let from_other = ["--from-pod", "np-demo/other", "--to-pod", "np-demo/web"];
    assert_eq!(connections(&agent, &from_other), Vec::<Value>::new());
    let none = agent.palomar_output(&[&["connections"], &from_other[..]].concat());
    assert!(none.stderr.starts_with("no live connection matches; the kernel tracks "), "{}", none.stderr);

    // nobody listens, and the pod says so
    assert_eq!(call(frontend, other_v4, 5555), TrafficError::Refused);
    let refused = wait_for_connection(&agent, "refused", &["--to-port", "5555"], |_| true);
    assert_eq!((&refused["state"], &refused["arrival"]), (&"refused".into(), &"arrived".into()), "{refused}");

    let limited = agent.palomar_output(&["connections", "--limit", "1", "--sort", "age"]);
    assert_eq!(limited.stdout.lines().count(), 2, "{}", limited.stdout);
    assert!(limited.stdout.contains(":7777 "), "the oldest: {}", limited.stdout);
    assert!(limited.stderr.contains(" connections are not shown"), "{}", limited.stderr);
}

#[test]
fn a_connection_by_a_cluster_address_names_the_service() {
    let lab = np_demo("obconns", Topology::Routed);
    let pod = |name: &str| lab.pod(&format!("np-demo/{name}")).unwrap();
    let (web, frontend) = (pod("web"), pod("frontend"));
    let mut agent = Agent::prepare(&lab, Options::mode("audit"));
    agent.apply_all(&[DEFAULT_DENY, SERVICE_MANIFEST]);
    agent.start_again();
    agent.wait_for_endpoint("np-demo/web", "isolated", |web| web["ingress_isolated"] == true);
    let _servers = echo(web);
    let service: SocketAddr = SERVICE.parse().unwrap();
    lab.add_service(service, &[SocketAddr::new(web.v4().unwrap(), PORT)]).unwrap();
    let mut open = frontend.connect(service, LONG).unwrap();
    open.ping(LONG).unwrap();
    let client_port = open.local_address().unwrap().port().to_string();

    // the address is rewritten between the two interfaces, and nothing says that the two are one
    let to_service = wait_for_connection(
        &agent,
        "to the service",
        &["--from-port", &client_port, "--to-service", "np-demo/web-vip"],
        |_| true,
    );
    assert_eq!(field(&to_service, "/destination/service_name"), "web-vip", "{to_service}");
    assert_eq!((&to_service["arrival"], &to_service["destination_side"]), (&"unknown".into(), &Value::Null));
    let to_pod = wait_for_connection(
        &agent,
        "to the pod",
        &["--from-port", &client_port, "--to-pod", "np-demo/web"],
        |_| true,
    );
    assert_eq!((&to_pod["source_side"], &to_pod["state"]), (&Value::Null, &"established".into()), "{to_pod}");
    assert_eq!(field(&to_pod, "/destination_side/is_audited"), true, "{to_pod}");
    assert_eq!(field(&to_pod, "/destination_side/policies/0/name"), "default-deny", "{to_pod}");
    let table = agent.palomar(&["connections", "--print-policy-names", "--from-port", &client_port]);
    assert!(table.contains("np-demo/web-vip:80 (service)"), "{table}");
    assert!(table.contains("audited ingress by default-deny"), "{table}");
}
