//! What `palomar observe` tells of a packet that leaves one pod for another on the node and never gets there. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use palomar_lab::{Lab, Place, PodSpec, Topology};
use serde_json::Value;
use support::{
    Agent, DEFAULT_DENY, LONG, Options, PATIENCE, PORT, SHORT, field, is_type, names_pod, np_demo, wait_or,
};

/// Where packets pass on their way through the node.
const FORWARD: &str = "hook forward";
/// Long enough for what is told after a second to be told.
const SETTLED: Duration = Duration::from_millis(2_500);

fn pod<'a>(lab: &'a Lab, name: &str) -> &'a Place {
    lab.pod(&format!("np-demo/{name}")).unwrap()
}

fn run(place: &Place, line: &str) {
    let mut words = line.split_whitespace();
    let output = place.command(words.next().unwrap()).args(words).output(PATIENCE).unwrap();
    assert!(output.status.success(), "{line}: {}", output.stderr);
}

fn nft(place: &Place, script: &str) {
    let output = place.command("nft").arg(script).output(PATIENCE).unwrap();
    assert!(output.status.success(), "{script}: {}", output.stderr);
}

/// A datagram; whether sending it fails does not matter.
fn send(from: &Place, to: SocketAddr) {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = from.netns().enter(|| UdpSocket::bind((any, 0)).unwrap()).unwrap();
    let _ = socket.send_to(b"lost", to);
}

fn text(flow: &Value, path: &str) -> String {
    field(flow, path).as_str().unwrap_or_default().to_owned()
}

/// What was told as gone from a pod and not delivered.
fn vanished(agent: &Agent) -> Vec<Value> {
    agent.flows(&["--type", "trace:from-endpoint"])
}

fn vanished_to(agent: &Agent, (to, port): (IpAddr, u16)) -> Vec<Value> {
    let mut flows = vanished(agent);
    flows.retain(|flow| {
        let port_of = |name| field(flow, &format!("/l4/{name}/destination_port")).as_u64();
        ["TCP", "UDP"].iter().any(|name| port_of(name) == Some(port.into()))
            && *field(flow, "/IP/destination") == to.to_string()
    });
    flows
}

/// An agent that watches the pods, and one more that comes later: what UDP packet begins a connection is known of such a
/// pod at once. It and web are neighbours that know each other.
fn observing(lab: &mut Lab, options: Options) -> Agent {
    let agent = Agent::start(lab, options);
    lab.add_pods(vec![PodSpec::new("np-demo", "late")]).unwrap();
    lab.write_manifests(&agent.manifests).unwrap();
    for name in ["web", "frontend", "other", "late"] {
        agent.wait_for_endpoint(&format!("np-demo/{name}"), "attached", |_| true);
    }
    let (web, late) = (pod(lab, "web"), pod(lab, "late"));
    for address in [web.v4().unwrap(), web.v6().unwrap()] {
        late.ping(address, LONG).unwrap();
    }
    agent
}

/// One way to lose a packet from late to web, made and unmade on the node.
struct Loss {
    what: &'static str,
    make: Box<dyn Fn(&Place)>,
    unmake: Box<dyn Fn(&Place)>,
}

impl Loss {
    fn lines(what: &'static str, make: String, unmake: String) -> Self {
        Self {
            what,
            make: Box::new(move |node| run(node, &make)),
            unmake: Box::new(move |node| run(node, &unmake)),
        }
    }

    fn nft(what: &'static str, family: &'static str, hook: impl Into<String>) -> Self {
        let hook = hook.into();
        Self {
            what,
            make: Box::new(move |node| {
                nft(
                    node,
                    &format!(
                        "table {family} lab_vanish {{
                            chain lost {{
                                type filter {hook} priority 0;
                                udp dport 7000-7999 drop
                                tcp dport 7000-7999 drop
                            }}
                        }}"
                    ),
                );
            }),
            unmake: Box::new(move |node| nft(node, &format!("delete table {family} lab_vanish"))),
        }
    }
}

fn losses(lab: &Lab, topology: Topology) -> Vec<Loss> {
    let (web, late) = (pod(lab, "web"), pod(lab, "late"));
    let from = late.host_interface().unwrap().to_owned();
    let to = web.host_interface().unwrap().to_owned();
    let hook = format!("hook ingress device {from}");
    let after_us = Loss::nft("a rule of the interface, behind our program", "netdev", hook);
    match topology {
        Topology::Routed => {
            let address = web.v4().unwrap();
            vec![
                Loss::nft("a rule of netfilter", "inet", FORWARD),
                after_us,
                Loss::lines(
                    "a route that leads nowhere",
                    format!("ip rule add to {address} priority 10 blackhole"),
                    format!("ip rule del to {address} priority 10 blackhole"),
                ),
            ]
        }
        Topology::Bridge => vec![
            Loss::nft("a rule of the bridge", "bridge", FORWARD),
            after_us,
            Loss::lines(
                "a port of the bridge that is disabled",
                format!("bridge link set dev {to} state 0"),
                format!("bridge link set dev {to} state 3"),
            ),
        ],
    }
}

#[test]
fn a_packet_that_nobody_says_he_dropped_is_told_as_not_delivered() {
    for (name, topology) in [("obvanr", Topology::Routed), ("obvanb", Topology::Bridge)] {
        let mut lab = np_demo(name, topology);
        let agent = observing(&mut lab, Options::mode("audit"));
        let (web, late) = (pod(&lab, "web"), pod(&lab, "late"));
        let address = web.v4().unwrap();
        let _server = web.serve_http(PORT).unwrap();
        let mut ports = 7001..;
        for Loss { what, make, unmake } in losses(&lab, topology) {
            make(lab.node());
            let (udp, tcp) = (ports.next().unwrap(), ports.next().unwrap());
            send(late, (address, udp).into());
            let refused = late.connect((address, tcp).into(), LONG).map(drop);
            assert!(refused.is_err(), "{what}: connected");
            for (port, summary) in [(udp, "UDP; not delivered"), (tcp, "TCP Flags: SYN; not delivered")] {
                let none = || {
                    format!("{name}, {what}: {summary}: there are {:#?}\n{}", agent.flows(&[]), agent.log())
                };
                let flow = wait_or(|| vanished_to(&agent, (address, port)).pop(), none);
                assert!(names_pod(&flow, "late", "web"), "{what}: {flow}");
                assert_eq!(text(&flow, "/Summary"), summary, "{what}: {flow}");
                assert_eq!(text(&flow, "/verdict"), "FORWARDED", "{what}: {flow}");
                assert_eq!(text(&flow, "/trace_observation_point"), "FROM_ENDPOINT", "{what}: {flow}");
                assert_eq!(text(&flow, "/traffic_direction"), "EGRESS", "{what}: {flow}");
                assert!(is_type(&flow, 4), "{what}: {flow}");
            }
            let lines = agent.palomar(&["observe", "--all", "--type", "trace:from-endpoint"]);
            assert!(lines.contains("from-endpoint FORWARDED (TCP Flags: SYN; not delivered)"), "{lines}");
            unmake(lab.node());
        }
        let told = vanished(&agent).len();
        assert_eq!(told, 6, "one a connection, however often its SYN was sent: {:#?}", vanished(&agent));

        // what arrives is told there alone, whatever comes of it then
        assert_eq!(late.get_within(&web.url(PORT), LONG).as_deref(), Ok("web\n"));
        send(late, (address, 7999).into());
        late.ping(address, LONG).unwrap();
        late.ping(web.v6().unwrap(), LONG).unwrap();
        thread::sleep(SETTLED);
        assert_eq!(vanished(&agent).len(), told, "{:#?}", vanished(&agent));
        let status = agent.palomar(&["status"]);
        assert!(!status.contains("fate_unknown"), "{status}");
    }
}

#[test]
fn a_drop_is_the_evidence_and_nothing_is_told_beside_it() {
    let mut lab = np_demo("obvand", Topology::Routed);
    let options = Options::mode("enforce").arg("--foreign-drops").arg("on");
    let agent = observing(&mut lab, options);
    let (web, late, other) = (pod(&lab, "web"), pod(&lab, "late"), pod(&lab, "other"));
    let address = web.v4().unwrap();
    let loss = Loss::nft("a rule of netfilter", "inet", FORWARD);
    (loss.make)(lab.node());
    send(late, (address, 7001).into());
    assert!(late.connect((address, 7002).into(), SHORT).is_err());
    agent.isolate_web(&[DEFAULT_DENY]);
    assert!(other.connect((address, PORT).into(), SHORT).is_err());
    agent.wait_for_flows("all three drops", &["--verdict", "DROPPED", "--type", "drop"], |flows| {
        let ports = [7001, 7002, u64::from(PORT)];
        let port_of = |flow: &Value| {
            ["TCP", "UDP"]
                .iter()
                .find_map(|name| field(flow, &format!("/l4/{name}/destination_port")).as_u64())
        };
        ports.iter().all(|port| flows.iter().any(|flow| port_of(flow) == Some(*port))).then_some(())
    });
    thread::sleep(SETTLED);
    assert_eq!(vanished(&agent), Vec::<Value>::new());
}
