//! Packets get through a lab as they do on a node of that kind. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use palomar_lab::traffic::{Packet, TcpFlags, TrafficError};
use palomar_lab::{Lab, LabError, Place, PodSpec, Topology, address};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(5);

fn lab(name: &str, topology: Topology) -> Lab {
    let pods = ["web", "frontend", "other"].map(|pod| PodSpec::new("np-demo", pod));
    Lab::new(name, topology, pods.to_vec()).unwrap()
}

fn both(place: &Place, port: u16) -> [SocketAddr; 2] {
    [place.v4().unwrap(), place.v6().unwrap()].map(|address| SocketAddr::new(address, port))
}

fn everyone_reaches_everyone(lab: &Lab) {
    let web = lab.pod("np-demo/web").unwrap();
    let frontend = lab.pod("np-demo/frontend").unwrap();
    let (_web_server, _outside_server) =
        (web.serve_http(8080).unwrap(), lab.outside().serve_http(80).unwrap());
    for from in [frontend, lab.pod("np-demo/other").unwrap(), lab.node(), lab.outside(), web] {
        for address in both(web, 8080) {
            assert_eq!(
                from.get(&format!("http://{address}/")).as_deref(),
                Ok("web\n"),
                "{} to {address}",
                from.name()
            );
        }
        for address in both(web, 0) {
            assert!(from.ping(address.ip(), LONG).is_ok(), "{} to {address}", from.name());
        }
    }
    for from in [frontend, lab.node()] {
        for address in both(lab.outside(), 80) {
            assert_eq!(
                from.get(&format!("http://{address}/")).as_deref(),
                Ok("outside\n"),
                "{} to {address}",
                from.name()
            );
        }
    }
    for address in both(lab.node(), 0) {
        assert!(frontend.ping(address.ip(), LONG).is_ok(), "frontend to {address}");
    }
}

#[test]
fn everyone_reaches_everyone_on_a_routed_node() {
    everyone_reaches_everyone(&lab("labtrouted", Topology::Routed));
}

#[test]
fn everyone_reaches_everyone_on_a_bridge_node() {
    everyone_reaches_everyone(&lab("labtbridge", Topology::Bridge));
}

#[test]
fn failures_have_their_names() {
    let lab = lab("labtfail", Topology::Routed);
    let (web, other) = (lab.pod("np-demo/web").unwrap(), lab.pod("np-demo/other").unwrap());
    assert_eq!(other.get(&web.url(8080)), Err(TrafficError::Refused));
    assert_eq!(
        other.get_within("http://203.0.113.1/", SHORT),
        Err(TrafficError::Timeout),
        "an address that nobody has"
    );
    let removed = other.command("ip").args(["route", "del", "default"]).output(LONG).unwrap();
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(other.get_within("http://203.0.113.1/", SHORT), Err(TrafficError::Unreachable));
    let web_v6 = SocketAddr::new(web.v6().unwrap(), 8080);
    let drop_all = "table ip6 t { chain c { type filter hook forward priority 0; policy drop; }; }";
    let nft = lab.node().command("nft").arg(drop_all).output(LONG).unwrap();
    assert!(nft.status.success(), "{nft:?}");
    assert_eq!(other.get_within(&format!("http://{web_v6}/"), SHORT), Err(TrafficError::Timeout));
    assert_eq!(other.udp_exchange(web_v6, b"x", SHORT), Err(TrafficError::Timeout));
    assert_eq!(other.ping(web_v6.ip(), SHORT), Err(TrafficError::Timeout));
    assert!(matches!(lab.pod("np-demo/nobody"), Err(LabError::UnknownPod { .. })));
}

#[test]
fn held_connections_live_until_the_server_goes() {
    let lab = lab("labthold", Topology::Bridge);
    let (web, other) = (lab.pod("np-demo/web").unwrap(), lab.pod("np-demo/other").unwrap());
    for address in both(web, 7) {
        let server = web.serve_echo(7).unwrap();
        let mut connection = other.connect(address, LONG).unwrap();
        for _ in 0..3 {
            connection.ping(LONG).unwrap();
        }
        drop(server);
        assert!(matches!(connection.ping(LONG), Err(TrafficError::Ended | TrafficError::Reset)));
    }
    let _udp = web.serve_udp_echo(53).unwrap();
    for address in both(web, 53) {
        assert_eq!(other.udp_exchange(address, b"who", LONG).as_deref(), Ok(&b"who"[..]));
    }
}

#[test]
fn loads_carry_something_and_stop_in_time() {
    let lab = lab("labtload", Topology::Routed);
    let (web, other) = (lab.pod("np-demo/web").unwrap(), lab.pod("np-demo/other").unwrap());
    let begin = std::time::Instant::now();
    for address in both(web, 9) {
        let server = web.serve_rate(9, 1).unwrap();
        let rate = other.connect_rate(address, 1, SHORT).unwrap();
        assert!(
            rate.completed > 10 && rate.failed == 0,
            "{} completed, {} failed",
            rate.completed,
            rate.failed
        );
        assert!(rate.percentile(50) <= rate.percentile(99));
        drop(server);
        assert!(other.stream_to(web, address, SHORT).unwrap().bytes > 1_000_000);
        let flood = other.flood(web, address, 18, SHORT).unwrap();
        assert!(flood.received > 100 && flood.received <= flood.sent, "{flood:?}");
    }
    assert!(begin.elapsed() < LONG);
}

#[test]
fn injected_packets_arrive_as_they_were_made() {
    let lab = lab("labtinject", Topology::Routed);
    let (web, other) = (lab.pod("np-demo/web").unwrap(), lab.pod("np-demo/other").unwrap());
    let forged = [lab.pod("np-demo/frontend").unwrap(), lab.outside()]
        .map(|place| place.addresses().to_vec())
        .concat();
    let same_family = |a: &IpAddr| if a.is_ipv4() { web.v4().unwrap() } else { web.v6().unwrap() };
    for source in forged {
        let packet = Packet::tcp((source, 5), (same_family(&source), 8080), TcpFlags::ACK, b"");
        let mut listener = web.listen_to_packets().unwrap();
        other.inject([&packet]).unwrap();
        let seen = listener.wait_for_packet_like(&packet, LONG).unwrap();
        // less one hop, whose checksum the kernel has mended for IPv4
        assert_eq!(seen[20..].len(), packet.to_bytes()[20..].len(), "from {source}");
        assert!(seen.ends_with(&packet.to_bytes()[40..]), "from {source}");
    }
}

#[test]
fn fragments_are_put_together_by_the_receiver() {
    let lab = lab("labtfrag", Topology::Bridge);
    let (web, other) = (lab.pod("np-demo/web").unwrap(), lab.pod("np-demo/other").unwrap());
    for (source, destination) in other.addresses().iter().zip(web.addresses()) {
        let socket = web.netns().enter(|| std::net::UdpSocket::bind((*destination, 99))).unwrap().unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        let packet = Packet::udp((*source, 98), (*destination, 99), &[7; 1000]);
        other.inject(&packet.fragments(3, 600)).unwrap();
        let mut buffer = [0; 2000];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 1000);
    }
}

#[test]
fn a_recreated_pod_has_other_addresses_and_the_same_interface_name() {
    for (name, topology) in [("labtrecr", Topology::Routed), ("labtrecb", Topology::Bridge)] {
        let mut lab = lab(name, topology);
        let before = lab.pod("np-demo/frontend").unwrap().clone();
        lab.remove_pod("np-demo/frontend").unwrap();
        assert!(lab.pod("np-demo/frontend").is_err());
        lab.add_pods(vec![PodSpec::new("np-demo", "frontend")]).unwrap();
        let (after, web) = (lab.pod("np-demo/frontend").unwrap(), lab.pod("np-demo/web").unwrap());
        assert_eq!(after.host_interface(), before.host_interface());
        assert_ne!(after.addresses(), before.addresses());
        let _server = after.serve_http(8080).unwrap();
        for address in both(after, 8080) {
            assert_eq!(web.get(&format!("http://{address}/")).as_deref(), Ok("frontend\n"));
        }
    }
}

#[test]
fn a_pod_may_have_one_family_or_an_address_of_its_choice() {
    let chosen: IpAddr = "10.9.8.7".parse().unwrap();
    let pods = vec![PodSpec::new("a", "only-v4").address(chosen), PodSpec::new("a", "both")];
    let lab = Lab::new("labtchosen", Topology::Routed, pods).unwrap();
    let pod = lab.pod("a/only-v4").unwrap();
    assert!(matches!(pod.v6(), Err(LabError::NoAddress { .. })));
    let _server = pod.serve_http(80).unwrap();
    assert_eq!(lab.pod("a/both").unwrap().get("http://10.9.8.7/").as_deref(), Ok("only-v4\n"));
    assert_eq!(lab.outside().addresses(), address::OUTSIDE);
}

#[test]
fn programs_run_in_the_namespace_and_are_bounded() {
    let lab = lab("labtprog", Topology::Routed);
    let web = lab.pod("np-demo/web").unwrap();
    let shown = web.command("ip").args(["-o", "-4", "addr", "show", "eth0"]).output(LONG).unwrap();
    assert!(shown.status.success() && shown.stdout.contains(&web.v4().unwrap().to_string()), "{shown:?}");
    let endless = web.command("sleep").arg("1000").output(SHORT);
    assert!(matches!(endless, Err(LabError::CommandTimeout { .. })), "{endless:?}");
    assert!(web.command("no-such-program").output(SHORT).is_err());
    let log = lab.files_dir().unwrap().join("log");
    let echo =
        web.command("sh").args(["-c", "echo \"$WORD\" out; echo err >&2"]).env("WORD", "said").log(&log);
    assert!(echo.spawn().unwrap().wait(LONG).unwrap().unwrap().success());
    assert_eq!(std::fs::read_to_string(log).unwrap(), "said out\nerr\n");
}

#[test]
fn two_hundred_pods_build_in_seconds() {
    let pods = (0..200).map(|n| PodSpec::new("many", format!("pod-{n}"))).collect();
    let begin = std::time::Instant::now();
    let lab = Lab::new("labtmany", Topology::Bridge, pods).unwrap();
    let built = begin.elapsed();
    let (first, last) = (lab.pod("many/pod-0").unwrap(), lab.pod("many/pod-199").unwrap());
    first.ping(last.address(), LONG).unwrap();
    lab.down().unwrap();
    println!("200 pods: {built:?} to build, {:?} in all", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn a_service_address_leads_to_its_backends_in_turn() {
    for (name, topology) in [("labtsvcr", Topology::Routed), ("labtsvcb", Topology::Bridge)] {
        let lab = lab(name, topology);
        let (web, frontend) = (lab.pod("np-demo/web").unwrap(), lab.pod("np-demo/frontend").unwrap());
        let (_web, _frontend) = (web.serve_http(8080).unwrap(), frontend.serve_http(8080).unwrap());
        let services: [SocketAddr; 2] =
            ["10.96.0.10:80".parse().unwrap(), "[fd00:10:96::a]:80".parse().unwrap()];
        for (service, backends) in services.iter().zip(both(web, 8080).iter().zip(both(frontend, 8080))) {
            lab.add_service(*service, &[*backends.0, backends.1]).unwrap();
            for from in [lab.pod("np-demo/other").unwrap(), lab.node()] {
                let mut answers = [0; 2].map(|_| from.get(&format!("http://{service}/")).unwrap());
                answers.sort();
                assert_eq!(answers, ["frontend\n", "web\n"], "{} to {service}", from.name());
            }
        }
        assert!(matches!(lab.add_service(services[0], &[]), Err(LabError::Nft { .. })));
    }
}
