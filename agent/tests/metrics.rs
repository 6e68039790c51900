//! Scrapes over HTTP, on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Parser;
use palomar_agent::config::{Cli, MetricsArgs};
use palomar_agent::directory::Directory;
use palomar_agent::losses::{Loss, LossSource, Losses};
use palomar_agent::metrics::{Collector, Exposition, Labels, MetricsDoor, MetricsThread, Sources};
use palomar_agent::ring::{Capacity, Interface, Record, Ring, Writer};
use palomar_model::flow::{Event, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::packet::Transport;
use palomar_model::verdict::{ConnectionState, Direction, ObservationPoint, Verdict};

/// A served ring.
struct Served {
    writer: Writer,
    losses: Arc<Losses>,
    port: u16,
    _thread: MetricsThread,
}

struct Another;

impl Collector for Another {
    fn collect(&self, out: &mut Exposition) {
        out.gauge("palomar_another", "One more.").sample(&Labels::NONE, 7_u64);
    }
}

/// So many bytes that no socket's buffers hold them.
const MUCH: usize = 16 << 20;

struct Much;

impl Collector for Much {
    fn collect(&self, out: &mut Exposition) {
        let mut family = out.gauge("palomar_much", "Much.");
        let long = format!("n=\"{}\"", "x".repeat(1 << 16));
        for _ in 0..=MUCH >> 16 {
            family.sample_of(&long, 1_u64);
        }
    }
}

fn args(flags: &[&str]) -> MetricsArgs {
    Cli::try_parse_from([&["palomar-agent"], flags].concat()).unwrap().run.metrics
}

fn serve(flags: &[&str]) -> Served {
    serve_with(flags, Arc::new(Another))
}

fn serve_with(flags: &[&str], collector: Arc<dyn Collector>) -> Served {
    let door = MetricsDoor::open(&args(flags)).unwrap().unwrap();
    let port = door.address().unwrap().port();
    let (mut writer, ring) = Ring::new(Capacity::try_from(1_023).unwrap());
    // a flow of before
    write(&mut writer);
    let losses = Arc::new(Losses::default());
    let sources = Sources {
        first: ring.written(),
        ring,
        losses: Arc::clone(&losses),
        directory: Arc::new(ArcSwap::from_pointee(Directory::empty(
            Arc::from("node-1"),
            Arc::from("default"),
        ))),
        collectors: vec![collector],
    };
    Served { writer, losses, port, _thread: door.serve(sources).unwrap() }
}

fn write(writer: &mut Writer) {
    let end = Arc::new(FlowEndpoint {
        id: 0,
        identity: Identity::WORLD,
        labels: LabelSet::new(vec![Label::reserved("world")]),
        pod: None,
        workload: None,
        cluster: Arc::from(""),
    });
    let record = Record {
        time_ns: 1,
        source_address: [10, 0, 0, 1].into(),
        destination_address: [10, 0, 0, 2].into(),
        source: writer.endpoint(&end),
        destination: writer.endpoint(&end),
        source_service: None,
        destination_service: None,
        interface: writer.interface(&Arc::new(Interface { index: 1, name: Arc::from("veth0") })),
        policies: None,
        policy_revision: 0,
        transport: Transport::Udp { source: 40_000, destination: 53 },
        event: Event::Trace(ObservationPoint::ToStack),
        verdict: Verdict::Forwarded,
        state: ConnectionState::New,
        direction: Direction::Egress,
        rest: None,
    };
    writer.append(&[record]);
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Head and body of the answer to a request, or what came of it.
fn ask_at(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = connect(address);
    // an answer may come before all was sent
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_lowercase(), body.to_owned())
}

fn ask(served: &Served, request: &str) -> (String, String) {
    ask_at((Ipv4Addr::LOCALHOST, served.port).into(), request)
}

fn scrape(served: &Served) -> String {
    let (head, body) = ask(served, "GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    body
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|other| other == line)
}

const LOOPBACK: [&str; 2] = ["--metrics-listen", "127.0.0.1:0"];

#[test]
fn a_scrape_tells_every_flow_up_to_its_moment_and_none_of_before_the_start() {
    let mut served = serve(&LOOPBACK);
    let flows = "hubble_flows_processed_total{protocol=\"UDP\",subtype=\"to-stack\",type=\"Trace\",verdict=\"FORWARDED\"}";
    assert!(!scrape(&served).contains(flows));
    for count in 1..=20 {
        write(&mut served.writer);
        let text = scrape(&served);
        assert!(has_line(&text, &format!("{flows} {count}")), "{count}\n{text}");
    }
}

#[test]
fn a_scrape_tells_hubbles_metrics_and_those_of_each_stage() {
    let mut served = serve(&LOOPBACK);
    write(&mut served.writer);
    served.losses.add(Loss { source: LossSource::QueueFull, count: 3, first_ns: 1, last_ns: 2 });
    served.losses.add(Loss { source: LossSource::KernelRingDrop, count: 4, first_ns: 1, last_ns: 2 });
    served.losses.add(Loss { source: LossSource::KernelRingTrace, count: 5, first_ns: 1, last_ns: 2 });
    drop(scrape(&served));
    let text = scrape(&served);
    for line in [
        "hubble_flows_to_world_total{protocol=\"UDP\",verdict=\"FORWARDED\"} 1",
        "hubble_port_distribution_total{port=\"53\",protocol=\"UDP\"} 1",
        "hubble_lost_events_total{source=\"perf_event_ring_buffer\"} 9",
        "hubble_lost_events_total{source=\"observer_events_queue\"} 3",
        "hubble_lost_events_total{source=\"hubble_ring_buffer\"} 0",
        "palomar_lost_events_total{stage=\"kernel\",source=\"kernel_ring_trace\"} 5",
        "palomar_ring_capacity_flows 1023",
        "palomar_ring_flows 2",
        "palomar_ring_flows_written_total 2",
        "palomar_metrics_flows_read_total 1",
        "palomar_another 7",
        "hubble_metrics_http_handler_requests_total{code=\"200\"} 1",
        "hubble_metrics_http_handler_request_duration_seconds_count{code=\"200\"} 1",
    ] {
        assert!(has_line(&text, line), "{line}\nin\n{text}");
    }
    for name in [
        "palomar_ring_oldest_flow_age_seconds ",
        "palomar_build_info{version=",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}\nin\n{text}");
    }
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let served = serve(&LOOPBACK);
    let with = |accept: &str| {
        ask(&served, &format!("GET /metrics HTTP/1.1\r\nHost: node\r\nAccept: {accept}\r\n\r\n"))
    };
    let (head, body) = with("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(body.ends_with("\n# EOF\n") && body.contains("# TYPE hubble_drop counter\n"), "{body}");
    let (head, body) = with("*/*");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(!body.contains("# EOF") && body.contains("# TYPE hubble_drop_total counter\n"), "{body}");
}

#[test]
fn only_a_scrape_is_answered_and_every_answer_ends_the_connection() {
    let served = serve(&LOOPBACK);
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500));
    for (request, expected) in [
        ("GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n", "http/1.1 200 ok"),
        ("GET /metrics?a=b HTTP/1.0\r\n\r\n", "http/1.0 200 ok"),
        ("HEAD /metrics HTTP/1.1\r\nHost: node\r\n\r\n", "http/1.1 200 ok"),
        ("GET / HTTP/1.1\r\nHost: node\r\n\r\n", "http/1.1 404 not found"),
        ("GET /metrics/ HTTP/1.1\r\nHost: node\r\n\r\n", "http/1.1 404 not found"),
        (
            "POST /metrics HTTP/1.1\r\nHost: node\r\nContent-Length: 2\r\n\r\nab",
            "http/1.1 405 method not allowed",
        ),
        ("DELETE /metrics HTTP/1.1\r\nHost: node\r\n\r\n", "http/1.1 405 method not allowed"),
        ("nonsense\r\n\r\n", "http/1.1 400 bad request"),
        (&long, "http/1.1 431 request header fields too large"),
        (&many, "http/1.1 431 request header fields too large"),
    ] {
        let (head, body) = ask(&served, request);
        assert_eq!(head.lines().next(), Some(expected), "{request:.60}");
        assert_eq!(head.contains("allow: get, head"), expected.contains("405"), "{head}");
        if request.starts_with("HEAD") {
            assert_eq!(body, "", "a HEAD has no body");
        }
    }
    let text = scrape(&served);
    assert!(has_line(&text, "hubble_metrics_http_handler_requests_total{code=\"405\"} 2"), "{text}");
    assert!(has_line(&text, "hubble_metrics_http_handler_requests_total{code=\"200\"} 3"), "{text}");
}

#[test]
fn clients_that_send_nothing_keep_nobody_from_scraping() {
    let served = serve(&LOOPBACK);
    let address = (Ipv4Addr::LOCALHOST, served.port).into();
    let silent: Vec<TcpStream> = (0..40).map(|_| connect(address)).collect();
    assert!(scrape(&served).contains("palomar_ring_flows "));
    drop(silent);
}

#[test]
fn clients_that_read_nothing_are_cut_off() {
    let served = serve_with(&LOOPBACK, Arc::new(Much));
    let address = (Ipv4Addr::LOCALHOST, served.port).into();
    // as many as are answered at once
    let mut deaf: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
            stream
        })
        .collect();
    assert!(scrape(&served).contains("palomar_ring_flows "));
    // that of the first was ended for it: what was on the way still comes
    let mut answer = Vec::new();
    let _ = deaf[0].read_to_end(&mut answer);
    assert!(answer.len() < MUCH, "{}", answer.len());
}

#[test]
fn an_address_of_either_family_and_none_can_be_listened_on() {
    let all = serve(&["--metrics-listen", ":0"]);
    for host in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let (head, _) =
            ask_at(SocketAddr::new(host, all.port), "GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n");
        assert!(head.starts_with("http/1.1 200 "), "{host}: {head}");
    }
    let v6 = serve(&["--metrics-listen", "[::1]:0"]);
    let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), v6.port);
    assert!(ask_at(address, "GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n").0.starts_with("http/1.1 200 "));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, v6.port)).is_err());
}

#[test]
fn nothing_listens_unless_it_is_asked_for_and_what_is_wrong_is_told_before() {
    let error = |flags: &[&str]| format!("{:#}", MetricsDoor::open(&args(flags)).unwrap_err());
    assert!(MetricsDoor::open(&args(&[])).unwrap().is_none());
    assert!(MetricsDoor::open(&args(&["--metrics", ""])).unwrap().is_none());
    assert!(
        error(&["--metrics", "flow bogus"]).starts_with("--metrics: unknown metric \"bogus\": choose from")
    );
    let taken = serve(&LOOPBACK);
    let address = format!("127.0.0.1:{}", taken.port);
    let error = error(&["--metrics-listen", &address]);
    assert!(
        error.starts_with(&format!("cannot listen on {address} for metrics (--metrics-listen): ")),
        "{error}"
    );
    for flags in [["--metrics-listen", "9965"], ["--metrics-max-series", "0"]] {
        assert!(Cli::try_parse_from([&["palomar-agent"], &flags[..]].concat()).is_err(), "{flags:?}");
    }
}

#[test]
fn an_empty_list_leaves_only_our_own_metrics() {
    let mut served = serve(&[&LOOPBACK[..], &["--metrics", ""]].concat());
    write(&mut served.writer);
    let text = scrape(&served);
    assert!(!text.contains("hubble_flows_processed") && !text.contains("palomar_metrics_series"), "{text}");
    assert!(has_line(&text, "palomar_ring_flows 2"), "{text}");
}
