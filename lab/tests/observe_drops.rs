//! What `palomar observe` tells of packets that others in the kernel drop. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use palomar_lab::traffic::TrafficError;
use palomar_lab::{Lab, Place, Topology};
use serde_json::Value;
use support::{
    Agent, DEFAULT_DENY, LONG, Options, PATIENCE, PORT, SHORT, field, is_type, names_pod, np_demo, wait_or,
};

/// Long enough for what is told twice to be told the second time.
const SETTLED: Duration = Duration::from_millis(300);
/// Nobody has it, and no route leads there.
const NOWHERE: &str = "203.0.113.77";

fn observing(lab: &Lab, mode: &'static str) -> Agent {
    Agent::prepare(lab, Options::mode(mode).arg("--foreign-drops").arg("on"))
}

fn pod<'a>(lab: &'a Lab, name: &str) -> &'a Place {
    lab.pod(&format!("np-demo/{name}")).unwrap()
}

fn nft(place: &Place, script: &str) {
    let output = place.command("nft").arg(script).output(PATIENCE).unwrap();
    assert!(output.status.success(), "{}", output.stderr);
}

/// What is sent to a UDP port is dropped in a chain of this hook.
fn drop_datagrams(place: &Place, hook: &str, port: u16) {
    nft(
        place,
        &format!(
            "table inet lab_drop_{hook} {{
                chain lost {{ type filter hook {hook} priority 0; }}
            }}
            add rule inet lab_drop_{hook} lost udp dport {port} counter drop"
        ),
    );
}

/// Sends one datagram; whether that fails does not matter.
fn send(from: &Place, to: SocketAddr, ttl: u32) {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = from.netns().enter(|| UdpSocket::bind((any, 0)).unwrap()).unwrap();
    if to.is_ipv4() {
        socket.set_ttl(ttl).unwrap();
    }
    let _ = socket.send_to(b"lost", to);
}

fn destination_port(flow: &Value) -> Option<u64> {
    ["TCP", "UDP"].iter().find_map(|name| field(flow, &format!("/l4/{name}/destination_port")).as_u64())
}

fn dropped(agent: &Agent) -> Vec<Value> {
    agent.flows(&["--verdict", "DROPPED"])
}

/// The dropped packets to a port and an address.
fn dropped_to(agent: &Agent, (to, port): (IpAddr, u16)) -> Vec<Value> {
    let mut flows = dropped(agent);
    let is = |flow: &Value| {
        destination_port(flow) == Some(port.into()) && *field(flow, "/IP/destination") == to.to_string()
    };
    flows.retain(is);
    flows
}

fn text(flow: &Value, path: &str) -> String {
    field(flow, path).as_str().unwrap_or_default().to_owned()
}

/// One way to lose a packet of frontend's.
struct Loss<'a> {
    what: &'static str,
    /// The pod that it was for; empty for an address outside.
    to_pod: &'static str,
    to: (IpAddr, u16),
    lose: Box<dyn Fn() + 'a>,
    told: Told,
}

/// What an agent tells of one: the code's name, how the summary begins, what the command line prints.
type Told = (&'static str, &'static str, &'static str);

const NETFILTER: Told = (
    "POLICY_DENY",
    "UDP; kernel: NETFILTER_DROP",
    "Policy denied by denylist DROPPED (UDP; kernel: NETFILTER_DROP",
);
const NO_SOCKET: Told = (
    "SOCKET_LOOKUP_FAILED",
    "UDP; kernel: NO_SOCKET",
    "Socket lookup failed DROPPED (UDP; kernel: NO_SOCKET",
);
const CLOSED_PORT: Told = (
    "SOCKET_LOOKUP_FAILED",
    "TCP Flags: SYN; kernel: NO_SOCKET",
    "Socket lookup failed DROPPED (TCP Flags: SYN; kernel: NO_SOCKET",
);
const NO_ROUTE: Told = ("FIB_LOOKUP_FAILED", "UDP; kernel: IP_INNOROUTES", "FIB lookup failed DROPPED");
const NO_HOPS: Told = ("TTL_EXCEEDED", "UDP; kernel: IP_INHDR at ip_forward", "TTL exceeded DROPPED");

/// Each way to lose a packet, to a port of its own.
fn losses(lab: &Lab, topology: Topology) -> Vec<Loss<'_>> {
    let (web, frontend) = (pod(lab, "web"), pod(lab, "frontend"));
    let (v4, v6) = (web.v4().unwrap(), web.v6().unwrap());
    let nowhere: IpAddr = NOWHERE.parse().unwrap();
    let udp = |what, to: (IpAddr, u16), told| Loss {
        what,
        to_pod: "web",
        to,
        lose: Box::new(move || send(frontend, to.into(), 64)),
        told,
    };
    let mut losses = vec![
        udp("a rule in the other pod", (v4, 7002), NETFILTER),
        udp("a rule in the other pod, IPv6", (v6, 7002), NETFILTER),
        udp("a rule in the pod itself", (v4, 7003), NETFILTER),
        udp("no socket", (v4, 7004), NO_SOCKET),
        udp("no socket, IPv6", (v6, 7004), NO_SOCKET),
        Loss {
            what: "a closed port",
            to_pod: "web",
            to: (v4, 7006),
            lose: Box::new(move || {
                let refused = frontend.connect((v4, 7006).into(), LONG).map(drop);
                assert_eq!(refused, Err(TrafficError::Refused));
            }),
            told: CLOSED_PORT,
        },
    ];
    if topology == Topology::Routed {
        losses.push(udp("a rule of the node", (v4, 7001), NETFILTER));
        losses.push(udp("a rule of the node, IPv6", (v6, 7001), NETFILTER));
        losses.push(Loss {
            lose: Box::new(move || send(frontend, (v4, 7007).into(), 1)),
            ..udp("no more hops", (v4, 7007), NO_HOPS)
        });
    }
    // the last, because the pods' neighbour is asked for by the node's routes
    losses.push(Loss {
        to_pod: "",
        lose: Box::new(move || {
            let route = lab.node().command("ip").args(["route", "del", "default"]).output(PATIENCE).unwrap();
            assert!(route.status.success(), "{}", route.stderr);
            send(frontend, (nowhere, 7005).into(), 64);
        }),
        ..udp("no route on the node", (nowhere, 7005), NO_ROUTE)
    });
    losses
}

#[test]
fn each_packet_that_somebody_else_drops_is_told_once_with_both_ends_and_the_kernels_reason() {
    for (name, topology) in [("obdropr", Topology::Routed), ("obdropb", Topology::Bridge)] {
        let lab = np_demo(name, topology);
        let (web, frontend) = (pod(&lab, "web"), pod(&lab, "frontend"));
        let mut agent = observing(&lab, "audit");
        agent.start_again();
        agent.wait_for_endpoint("np-demo/web", "attached", |_| true);
        agent.wait_for_endpoint("np-demo/frontend", "attached", |_| true);
        drop_datagrams(lab.node(), "forward", 7001);
        drop_datagrams(web, "input", 7002);
        drop_datagrams(frontend, "output", 7003);

        let losses = losses(&lab, topology);
        for Loss { what, to_pod, to, lose, told: (code, summary, printed) } in &losses {
            lose();
            let none =
                || format!("{name}, {what}: not told; there are {:#?}\n{}", dropped(&agent), agent.log());
            let flow = wait_or(|| dropped_to(&agent, *to).pop(), none);
            if to_pod.is_empty() {
                assert_eq!(field(&flow, "/source/pod_name"), "frontend", "{what}: {flow}");
            } else {
                assert!(names_pod(&flow, "frontend", to_pod), "{what}: {flow}");
            }
            assert_eq!(text(&flow, "/drop_reason_desc"), *code, "{what}: {flow}");
            assert!(text(&flow, "/Summary").starts_with(summary), "{what}: {flow}");
            assert!(text(&flow, "/Summary").contains(" at "), "{what}: no place: {flow}");
            assert!(is_type(&flow, 1), "{what}: {flow}");
            assert_eq!(*field(&flow, "/is_reply"), Value::Null, "{what}: {flow}");
            assert_ne!(text(&flow, "/interface/name"), "", "{what}: {flow}");
            let lines = agent.palomar(&["observe", "--all", "--verdict", "DROPPED"]);
            assert!(lines.contains(printed), "{what}: no {printed:?} in\n{lines}");
        }
        thread::sleep(SETTLED);
        for Loss { what, to, .. } in &losses {
            assert_eq!(dropped_to(&agent, *to).len(), 1, "{name}, {what}: {:#?}", dropped(&agent));
        }
        assert!(agent.palomar(&["status"]).contains("\nDrops by Others: told\n"));
    }
}

#[test]
fn a_packet_that_our_policy_drops_is_told_as_ours_alone() {
    for (name, attach) in [("obdropt", "tcx"), ("obdropc", "clsact")] {
        let lab = np_demo(name, Topology::Routed);
        let (web, other) = (pod(&lab, "web"), pod(&lab, "other"));
        let mut agent = observing(&lab, "enforce");
        agent.options.attach = attach;
        agent.apply(DEFAULT_DENY);
        agent.start_again();
        agent.wait_for_endpoint("np-demo/web", "isolated", |web| web["ingress_isolated"] == true);
        let to = |place: &Place, port| SocketAddr::from((place.v4().unwrap(), port));
        // each ends before its SYN is sent again
        for _ in 0..4 {
            assert!(other.connect(to(web, PORT), SHORT).is_err());
        }
        // what was dropped before it is in the ring before it
        send(web, to(other, 7004), 64);
        wait_or(|| dropped_to(&agent, (other.v4().unwrap(), 7004)).pop(), || agent.log());

        let ours = dropped_to(&agent, (web.v4().unwrap(), PORT));
        let drops: Vec<&Value> = ours.iter().filter(|flow| is_type(flow, 1)).collect();
        assert_eq!(drops.len(), 4, "{attach}: one a packet: {ours:#?}");
        for flow in &ours {
            assert_eq!(text(flow, "/drop_reason_desc"), "POLICY_DENIED", "{attach}: {flow}");
            assert!(!text(flow, "/Summary").contains("kernel"), "{attach}: {flow}");
        }
    }
}

/// A number before these words in `palomar status`.
fn counted(status: &str, words: &str) -> u64 {
    let before = status.split(words).next().filter(|before| before.len() < status.len());
    let number = before.and_then(|before| before.split_whitespace().last()).unwrap_or("0");
    number.replace(',', "").parse().unwrap_or_else(|_| panic!("{number:?} before {words:?} in\n{status}"))
}

#[test]
fn a_flood_of_drops_is_told_at_a_limited_rate_and_what_is_left_out_is_counted() {
    const PACKETS: usize = 20_000;
    let lab = np_demo("obdropf", Topology::Routed);
    let (web, frontend) = (pod(&lab, "web"), pod(&lab, "frontend"));
    let mut agent = observing(&lab, "audit");
    agent.start_again();
    agent.wait_for_endpoint("np-demo/frontend", "attached", |_| true);
    drop_datagrams(lab.node(), "forward", 7001);
    let to = (web.v4().unwrap(), 7001);
    let socket = frontend.netns().enter(|| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
    socket.connect(SocketAddr::from(to)).unwrap();
    let begun = Instant::now();
    for _ in 0..PACKETS {
        socket.send(b"flood").unwrap();
    }
    let refills = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let told = || dropped_to(&agent, to).len();
    wait_or(
        || {
            let left_out = counted(&agent.palomar(&["status"]), " rate_limited");
            (told() as u64 + left_out == PACKETS as u64).then_some(())
        },
        || format!("{} told\n{}", told(), agent.palomar(&["status"])),
    );
    assert!((10..=10 + refills).contains(&told()), "{} told in {refills} s", told());
}

#[test]
fn an_agent_that_may_not_or_cannot_tell_drops_by_others_goes_on_without_and_says_so() {
    const HIDE: &str = "mount --bind /dev/null /sys/kernel/btf/vmlinux && exec \"$@\"";
    let lab = np_demo("obdropo", Topology::Routed);
    let (web, frontend) = (pod(&lab, "web"), pod(&lab, "frontend"));
    drop_datagrams(lab.node(), "forward", 7001);
    let _server = web.serve_http(PORT).unwrap();
    let mut agent = observing(&lab, "audit");
    for (what, flag, says) in [
        ("off", "off", "\nDrops by Others: off\n"),
        ("a kernel without types", "on", "\nDrops by Others: cannot be told: "),
    ] {
        agent.options = Options::mode("audit").arg("--foreign-drops").arg(flag);
        let command = match flag {
            "on" => agent.command_under("unshare", &["-m", "sh", "-c", HIDE, "sh"]),
            _ => agent.command(),
        };
        agent.spawn_as(command);
        agent.wait_until_serving();
        agent.wait_for_endpoint("np-demo/web", "attached", |_| true);
        agent.wait_for_endpoint("np-demo/frontend", "attached", |_| true);
        send(frontend, (web.v4().unwrap(), 7001).into(), 64);
        send(frontend, (web.v4().unwrap(), 7004).into(), 64);
        assert_eq!(frontend.get_within(&web.url(PORT), LONG).as_deref(), Ok("web\n"));
        agent.wait_for_flows(what, &["--to-port", &PORT.to_string()], |flows| {
            (!flows.is_empty()).then_some(())
        });
        assert_eq!(dropped(&agent), Vec::<Value>::new(), "{what}");
        let status = agent.palomar(&["status"]);
        assert!(status.contains(says), "{what}: {status}");
        let warnings = agent.log().matches("drops by others in the kernel cannot be told").count();
        assert_eq!(warnings, usize::from(flag == "on"), "{what}: {}", agent.log());
        assert!(agent.terminate().success(), "{}", agent.log());
    }
    let check = agent.tool("check");
    assert!(check.stdout.contains("ok       foreign drops"), "{}", check.stdout);
}

/// Addresses outside are told as the world.
#[test]
fn a_drop_on_the_way_in_from_outside_is_told_at_the_pod() {
    let lab = np_demo("obdropw", Topology::Routed);
    let web = pod(&lab, "web");
    let mut agent = observing(&lab, "audit");
    agent.start_again();
    agent.wait_for_endpoint("np-demo/web", "attached", |_| true);
    drop_datagrams(lab.node(), "forward", 7001);
    let to = (web.v4().unwrap(), 7001);
    let from: IpAddr = lab.outside().v4().unwrap();
    let socket = lab.outside().netns().enter(|| UdpSocket::bind((from, 0)).unwrap()).unwrap();
    socket.send_to(b"lost", SocketAddr::from(to)).unwrap();
    let flow =
        wait_or(|| dropped_to(&agent, to).pop(), || format!("{:#?}\n{}", dropped(&agent), agent.log()));
    assert_eq!(field(&flow, "/source/labels/0"), "reserved:world", "{flow}");
    assert_eq!(field(&flow, "/destination/pod_name"), "web", "{flow}");
    assert_eq!(field(&flow, "/traffic_direction"), "INGRESS", "{flow}");
}
