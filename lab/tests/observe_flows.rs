//! What `palomar observe` tells of real traffic, filter by filter. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use palomar_lab::traffic::TrafficError;
use palomar_lab::{Lab, PodSpec, Topology, address};
use serde_json::Value;
use support::{Agent, LONG, Options, PORT, SHORT, field, is_type, wait_or};

/// web may be reached by frontend on TCP 8080 to 8082 and by ICMP from the outside; frontend may reach web, and the
/// outside but for one address.
const POLICIES: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: web-in}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {role: frontend}}}]
      ports: [{protocol: TCP, port: 8080, endPort: 8082}, {protocol: UDP, port: 53}]
    - from: [{podSelector: {matchLabels: {role: pinger}}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: front-out}
spec:
  podSelector: {matchLabels: {role: frontend}}
  policyTypes: [Egress]
  egress:
    - to: [{podSelector: {matchLabels: {app: web}}}]
    - to:
        - ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.128/25]}
        - ipBlock: {cidr: '2001:db8::/64'}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: hostnet}
spec: {hostNetwork: true, nodeName: boflows-node}
status: {podIP: 192.0.2.1}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: ghost}
spec: {nodeName: boflows-node}
status: {podIP: 10.244.7.7}
";

fn shop() -> (Lab, Agent) {
    let pod = |name: &str, key: &str, value: &str| PodSpec::new("shop", name).label(key, value);
    let pods = vec![
        pod("web", "app", "web"),
        pod("frontend", "role", "frontend"),
        pod("pinger", "role", "pinger"),
        pod("other", "role", "other"),
        pod("nobody", "role", "nobody"),
    ];
    let lab = Lab::new("boflows", Topology::Routed, pods).unwrap();
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    agent.apply(("policies.yaml", POLICIES));
    fs::remove_file(agent.manifests.join("lab-pod-shop-nobody.yaml")).unwrap();
    agent.start_again();
    agent.wait_for_endpoint("shop/web", "isolated", |e| e["ingress_isolated"] == true);
    (lab, agent)
}

/// Traffic of each kind, with what comes of it.
fn traffic(lab: &Lab) {
    let pod = |name: &str| lab.pod(&format!("shop/{name}")).unwrap();
    let (web, frontend, pinger, other, nobody) =
        (pod("web"), pod("frontend"), pod("pinger"), pod("other"), pod("nobody"));
    let _http = [web.serve_http(PORT).unwrap(), web.serve_http(8082).unwrap(), web.serve_http(8083).unwrap()];
    let _outside = lab.outside().serve_http(80).unwrap();
    let _dns = web.serve_udp_echo(53).unwrap();
    let (v4, v6) = (web.v4().unwrap(), web.v6().unwrap());
    let url = palomar_lab::url;
    let timeout = Err(TrafficError::Timeout);
    for address in [v4, v6] {
        assert_eq!(frontend.get_within(&url(address, PORT), LONG).as_deref(), Ok("web\n"));
        assert_eq!(frontend.get_within(&url(address, 8082), LONG).as_deref(), Ok("web\n"), "endPort");
        assert_eq!(frontend.get_within(&url(address, 8083), SHORT), timeout, "beyond endPort");
        assert_eq!(other.get_within(&url(address, PORT), SHORT), timeout);
        let dns = SocketAddr::new(address, 53);
        assert_eq!(frontend.udp_exchange(dns, b"question", LONG), Ok(b"question".to_vec()));
        pinger.ping(address, LONG).unwrap();
        assert_eq!(frontend.ping(address, SHORT), Err(TrafficError::Timeout), "ICMP by a rule with ports");
    }
    assert_eq!(nobody.get_within(&url(v4, PORT), SHORT), timeout);
    assert_eq!(lab.node().get_within(&url(v4, PORT), LONG).as_deref(), Ok("web\n"), "the node to its pod");
    for outside in address::OUTSIDE {
        assert_eq!(frontend.get_within(&url(outside, 80), LONG).as_deref(), Ok("outside\n"));
        frontend.ping(outside, LONG).unwrap();
    }
    assert_eq!(frontend.ping("198.51.100.200".parse().unwrap(), SHORT), Err(TrafficError::Timeout), "except");
    assert!(frontend.get_within(&url("198.51.100.200".parse().unwrap(), 80), SHORT).is_err());
}

fn is(flow: &Value, path: &str, value: &str) -> bool {
    field(flow, path) == value
}

fn either(flow: &Value, path: &str, value: &str) -> bool {
    ["source", "destination"].iter().any(|end| is(flow, &format!("/{end}/{path}"), value))
}

fn port(flow: &Value, wanted: u64) -> bool {
    ["TCP", "UDP"].iter().any(|protocol| {
        ["source_port", "destination_port"]
            .iter()
            .any(|p| field(flow, &format!("/l4/{protocol}/{p}")) == wanted)
    })
}

/// A filter gives exactly what a look at all flows finds by hand, and that is something.
fn assert_filter(agent: &Agent, all: &[Value], flags: &[&str], by_hand: impl Fn(&Value) -> bool) {
    let uuid = |flow: &Value| field(flow, "/uuid").as_str().unwrap().to_owned();
    let expected: Vec<String> = all.iter().filter(|flow| by_hand(flow)).map(uuid).collect();
    let newest = all.last().map(|flow| field(flow, "/time").as_str().unwrap().to_owned()).unwrap();
    // what has come since then is not looked at
    let found = agent.flows(flags);
    let found: Vec<String> = found
        .iter()
        .filter(|flow| field(flow, "/time").as_str().unwrap() <= newest.as_str())
        .map(uuid)
        .collect();
    assert!(!expected.is_empty(), "{flags:?}: no flow to find");
    assert!(expected.len() < all.len(), "{flags:?}: everything matches");
    assert_eq!(found, expected, "{flags:?}");
}

/// The flows, once there are no more for a moment.
fn all_flows(agent: &Agent) -> Vec<Value> {
    let mut last = (0, Instant::now());
    wait_or(
        || {
            let flows = agent.flows(&[]);
            if flows.len() != last.0 {
                last = (flows.len(), Instant::now());
            }
            (flows.len() > 50 && last.1.elapsed() > Duration::from_secs(1)).then_some(flows)
        },
        || agent.log(),
    )
}

#[test]
fn each_filter_finds_exactly_its_flows_and_each_output_tells_them() {
    let (lab, agent) = shop();
    traffic(&lab);
    let all = all_flows(&agent);
    let web = lab.pod("shop/web").unwrap();
    let (web_v4, web_v6) = (web.v4().unwrap().to_string(), web.v6().unwrap().to_string());
    let identity = agent.endpoint("shop/frontend").unwrap()["identity"].clone();

    let check =
        |flags: &[&str], by_hand: &dyn Fn(&Value) -> bool| assert_filter(&agent, &all, flags, by_hand);
    check(&["--pod", "shop/web"], &|f| either(f, "pod_name", "web"));
    check(&["--from-pod", "shop/frontend"], &|f| is(f, "/source/pod_name", "frontend"));
    check(&["--to-pod", "shop/web"], &|f| is(f, "/destination/pod_name", "web"));
    check(&["-n", "shop", "--not", "--pod", "shop/web"], &|f| {
        either(f, "namespace", "shop") && !either(f, "pod_name", "web")
    });
    check(&["--ip", &web_v4], &|f| is(f, "/IP/source", &web_v4) || is(f, "/IP/destination", &web_v4));
    check(&["--from-ip", &web_v6], &|f| is(f, "/IP/source", &web_v6));
    check(&["--to-ip", "198.51.100.0/24"], &|f| {
        f["IP"]["destination"].as_str().unwrap().starts_with("198.51.100.")
    });
    check(&["-6"], &|f| is(f, "/IP/ipVersion", "IPv6"));
    check(&["--port", "8080"], &|f| port(f, 8080));
    check(&["--to-port", "53"], &|f| field(f, "/l4/UDP/destination_port") == 53);
    check(&["--protocol", "tcp"], &|f| f["l4"]["TCP"].is_object());
    check(&["--protocol", "udp"], &|f| f["l4"]["UDP"].is_object());
    check(&["--protocol", "icmp"], &|f| f["l4"]["ICMPv4"].is_object() || f["l4"]["ICMPv6"].is_object());
    check(&["--protocol", "icmpv6"], &|f| f["l4"]["ICMPv6"].is_object());
    check(&["--verdict", "DROPPED"], &|f| is(f, "/verdict", "DROPPED"));
    check(&["--verdict", "FORWARDED"], &|f| is(f, "/verdict", "FORWARDED"));
    check(&["--type", "drop"], &|f| is_type(f, 1));
    check(&["--type", "policy-verdict"], &|f| is_type(f, 5));
    check(&["--type", "trace:to-endpoint"], &|f| {
        is_type(f, 4) && is(f, "/trace_observation_point", "TO_ENDPOINT")
    });
    check(&["--type", "trace:to-stack"], &|f| is_type(f, 4) && is(f, "/trace_observation_point", "TO_STACK"));
    check(&["--identity", &identity.to_string()], &|f| {
        ["source", "destination"].iter().any(|end| f[end]["identity"] == identity)
    });
    check(&["--from-identity", "host"], &|f| field(f, "/source/identity") == 1);
    check(&["--label", "k8s:role=frontend"], &|f| {
        ["source", "destination"]
            .iter()
            .any(|end| f[end]["labels"].to_string().contains("\"k8s:role=frontend\""))
    });
    check(&["--tcp-flags", "SYN"], &|f| field(f, "/l4/TCP/flags/SYN") == true);
    check(&["--tcp-flags", "SYN,ACK"], &|f| {
        field(f, "/l4/TCP/flags/SYN") == true && field(f, "/l4/TCP/flags/ACK") == true
    });
    check(&["--traffic-direction", "egress"], &|f| is(f, "/traffic_direction", "EGRESS"));
    check(&["--from-pod", "shop/frontend", "--verdict", "DROPPED", "-4"], &|f| {
        is(f, "/source/pod_name", "frontend")
            && is(f, "/verdict", "DROPPED")
            && is(f, "/IP/ipVersion", "IPv4")
    });

    ranges(&agent, &all);
    follows(&lab, &agent);
    outputs(&agent);
    attributions(&agent, &all);
}

/// --first, --last, --since, --until.
fn ranges(agent: &Agent, all: &[Value]) {
    let time = |flow: &Value| field(flow, "/time").as_str().unwrap().to_owned();
    let ask = |args: &[&str]| -> Vec<String> {
        let text = agent.palomar(&[&["observe", "-o", "json"], args].concat());
        text.lines().filter_map(|l| serde_json::from_str::<Value>(l).unwrap().get("flow").map(time)).collect()
    };
    let times: Vec<String> = all.iter().map(time).collect();
    assert_eq!(ask(&["--first", "5"]), times[..5]);
    assert_eq!(ask(&["--last", "5"]).len(), 5);
    let middle = &times[times.len() / 2];
    let after = ask(&["--since", middle]);
    assert!(!after.is_empty() && after.len() < all.len() && after.iter().all(|time| time >= middle));
    let before = ask(&["--all", "--until", middle]);
    assert!(!before.is_empty() && before.len() < all.len() && before.iter().all(|time| time <= middle));
    assert!(ask(&["--since", "0s"]).is_empty());
}

/// A follower sees what comes, by its filter, while it comes.
fn follows(lab: &Lab, agent: &Agent) {
    let log = agent.state.with_file_name("follow.jsonl");
    let follow = ["observe", "-f", "--last", "0", "-o", "json", "--to-port", "8085", "--type", "drop"];
    let server = format!("unix://{}", agent.socket.display());
    let command = agent.node.command(support::binary("palomar")).args(follow).env("PALOMAR_SERVER", server);
    let follower = command.log(&log).spawn().unwrap();
    let (other, web) = (lab.pod("shop/other").unwrap(), lab.pod("shop/web").unwrap());
    wait_or(
        || {
            // it may not have begun to listen
            assert!(other.get_within(&web.url(8085), SHORT).is_err());
            fs::read_to_string(&log).unwrap().contains("POLICY_DENIED").then_some(())
        },
        || fs::read_to_string(&log).unwrap(),
    );
    let text = fs::read_to_string(&log).unwrap();
    for line in text.lines() {
        let flow = &serde_json::from_str::<Value>(line).unwrap()["flow"];
        assert!(is_type(flow, 1) && field(flow, "/l4/TCP/destination_port") == 8085, "{line}");
    }
    follower.stop().unwrap();
}

fn outputs(agent: &Agent) {
    let drop =
        ["observe", "--last", "1", "--from-pod", "shop/other", "--to-port", "8080", "--type", "drop", "-4"];
    let with = |args: &[&str]| agent.palomar(&[&drop[..], args].concat());
    let compact = with(&["--print-policy-names"]);
    assert!(
        compact.contains(") <> shop/web:8080 (ID:") && compact.contains("Policy denied DROPPED"),
        "{compact}"
    );
    let verdict = [
        "observe",
        "--last",
        "1",
        "--from-pod",
        "shop/other",
        "--type",
        "policy-verdict",
        "--print-policy-names",
    ];
    let verdict = agent.palomar(&verdict);
    assert!(verdict.contains("policy-verdict:none INGRESS DENIED BY web-in (NetworkPolicy)"), "{verdict}");
    let node = with(&["--print-node-name"]);
    assert!(node.contains("[boflows-node]: shop/other:"), "{node}");
    let dict = with(&["-o", "dict"]);
    assert!(dict.contains("DESTINATION: shop/web:8080") && dict.contains("VERDICT: DROPPED"), "{dict}");
    let table = with(&["-o", "table"]);
    assert!(table.starts_with("TIMESTAMP ") && table.lines().count() == 2, "{table}");
    assert_eq!(with(&["-o", "jsonpb"]), with(&["-o", "json"]));
}

/// Who is at the ends, and which policies decided.
fn attributions(agent: &Agent, all: &[Value]) {
    let find = |what: &str, wanted: &dyn Fn(&&Value) -> bool| {
        all.iter()
            .find(wanted)
            .unwrap_or_else(|| panic!("no flow: {what}\n{}", agent.palomar(&["observe", "--all"])))
    };
    let allowed = find("egress to the outside allowed", &|f| {
        is_type(f, 5) && is(f, "/IP/destination", "198.51.100.10") && is(f, "/verdict", "FORWARDED")
    });
    assert_eq!(field(allowed, "/egress_allowed_by/0/name"), "front-out", "{allowed}");
    assert!(field(allowed, "/destination/identity").as_u64() >= Some(16_777_217), "{allowed}");
    let labels = field(allowed, "/destination/labels").to_string();
    assert!(labels.contains("cidr:198.51.100.0/24") && labels.contains("reserved:world"), "{labels}");
    let stack = find("to-stack", &|f| {
        is(f, "/trace_observation_point", "TO_STACK") && is(f, "/IP/destination", "198.51.100.10")
    });
    assert_eq!(field(stack, "/source/pod_name"), "frontend");
    let excepted = find("the except", &|f| is_type(f, 1) && is(f, "/IP/destination", "198.51.100.200"));
    assert_eq!(field(excepted, "/egress_denied_by/0/name"), "front-out", "{excepted}");
    assert_eq!(field(excepted, "/drop_reason_desc"), "POLICY_DENIED");
    let nobody = find("the pod that nobody names", &|f| {
        is_type(f, 1) && field(f, "/source/identity") == 3 && field(f, "/source/pod_name").is_null()
    });
    assert_eq!(field(nobody, "/ingress_denied_by/0/name"), "web-in", "{nobody}");
    find("host to pod", &|f| field(f, "/source/identity") == 1 && is(f, "/destination/pod_name", "web"));
    find("an IPv6 reply", &|f| field(f, "/is_reply") == true && is(f, "/IP/ipVersion", "IPv6"));
    let both: Vec<&str> = all
        .iter()
        .filter(|f| {
            is_type(f, 5)
                && is(f, "/source/pod_name", "frontend")
                && field(f, "/l4/TCP/destination_port") == 8082
        })
        .map(|f| field(f, "/traffic_direction").as_str().unwrap())
        .collect();
    assert!(both.contains(&"EGRESS") && both.contains(&"INGRESS"), "policies in both directions: {both:?}");

    let list = agent.palomar(&["endpoint", "list"]);
    let line = |what: &[&str]| list.lines().any(|line| what.iter().all(|text| line.contains(text)));
    assert!(line(&["shop/ghost", "no veth", "10.244.7.7"]), "{list}");
    assert!(line(&["shop/hostnet", "host network"]), "{list}");
    assert!(line(&["(unmanaged)"]) && line(&["shop/web", "ingress", "enforce"]), "{list}");
    let number = agent.endpoint("shop/frontend").unwrap()["identity"].to_string();
    assert!(agent.palomar(&["identity", "get", &number]).contains("k8s:role=frontend"));
    assert!(agent.palomar(&["identity", "list"]).contains(&number));
    let unknown = agent.palomar_output(&["identity", "get", "255"]);
    assert!(!unknown.status.success() && unknown.stderr.contains("255"), "{unknown:?}");
    assert!(agent.palomar(&["status"]).contains("Policy: enforce, with objects from manifests"));
}

#[test]
fn an_agent_without_manifests_observes_every_veth_and_shows_addresses_and_costs_next_to_nothing() {
    let lab = Lab::new(
        "bobare",
        Topology::Routed,
        vec![PodSpec::new("shop", "web"), PodSpec::new("shop", "frontend")],
    )
    .unwrap();
    let mut agent = Agent::prepare(&lab, Options::mode("audit"));
    let command = agent.node.command(support::binary("palomar-agent"));
    let command = command.arg("--cluster-source").arg("none").arg("--state-dir").arg(&agent.state);
    let command = command.arg("--socket").arg(&agent.socket).arg("--bpf-dir").arg(&agent.bpf);
    agent.spawn_as(command);
    agent.wait_until_serving();
    let (web, frontend) = (lab.pod("shop/web").unwrap(), lab.pod("shop/frontend").unwrap());
    let _server = web.serve_http(PORT).unwrap();
    assert_eq!(frontend.get_within(&web.url(PORT), LONG).as_deref(), Ok("web\n"));
    let (from, to) = (frontend.address().to_string(), web.address().to_string());
    agent.wait_for_flows("the request", &["--from-ip", &from, "--to-ip", &to], |flows| {
        flows.iter().find(|flow| field(flow, "/l4/TCP/flags/SYN") == true).cloned()
    });
    let line = agent.palomar(&["observe", "--all", "--from-ip", &from]);
    assert!(line.contains(&format!("{from}:")) && line.contains("(unmanaged)"), "{line}");
    let list = agent.endpoint_list();
    let of = |place: &palomar_lab::Place| {
        let name = place.host_interface().unwrap();
        list["endpoints"].as_array().unwrap().iter().any(|e| e["interface"] == name)
    };
    assert!(of(web) && of(frontend), "{list}");

    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // an idle agent: what is measured is the passing of time
    let (before, since) = (ticks(), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let (used, wall) = (ticks() - before, since.elapsed());
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap().trim();
    println!("idle: {used} ticks of 10 ms in {wall:?}, resident {resident}");
    let kib: u64 = resident.trim_end_matches(" kB").parse().unwrap();
    // its own memory: the pages of a program that is built without optimisation say nothing
    assert!(kib < 12 << 10, "{resident}");
    // built without optimisation, a few times the 1 % that a release build may take
    assert!(used <= 15, "{used} ticks in {wall:?}");
}
