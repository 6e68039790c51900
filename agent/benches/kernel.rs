//! From the kernel's ring to an in-process follower and to queries, on the real programs: each packet of a test run is an
//! event. `cargo bench -p palomar-agent --bench kernel`; needs root. All of it, the packets too, is on one CPU or on two.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "query/report.rs"]
mod report;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use palomar_agent::directory::Directory;
use palomar_agent::enforce::SharedAttributions;
use palomar_agent::enrich::{self, Enricher, SeenNamespaces, Sources};
use palomar_agent::losses::{Losses, StageCounts};
use palomar_agent::ring::{Capacity, Ring};
use palomar_agent::server::{AgentFacts, Api, Served};
use palomar_agent::source::{self, InOrder, KernelLosses};
use palomar_bpf::abi::{Direction, Endpoint, PolicyWord};
use palomar_bpf::{Constant, Datapath, Options};
use palomar_flow::convert::NodeContext;
use palomar_model::labels::Labels;
use palomar_proto::observer::GetFlowsRequest;
use palomar_proto::observer::observer_client::ObserverClient;
use palomar_proto::palomar::v1;
use palomar_transport::{Target, Timeouts, connect};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::UnixListenerStream;

use report::{Goal, heading, median, row};

const TIME: Duration = Duration::from_secs(8);
/// Events of the queue between reader and enricher, as the agent has it.
const QUEUE: usize = 65_536;
/// Packets of one test run.
const GULP: u32 = 1_000;

struct Nobody;

impl AgentFacts for Nobody {
    fn agent_status(&self) -> v1::GetAgentStatusResponse {
        v1::GetAgentStatusResponse::default()
    }

    fn endpoints(&self) -> v1::ListEndpointsResponse {
        v1::ListEndpointsResponse::default()
    }
}

/// Ethernet, IPv4, UDP, from the pod to somewhere outside.
fn frame() -> Vec<u8> {
    let ethernet = [&[2; 6][..], &[4; 6], &[0x08, 0x00]].concat();
    let ip = [0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 10, 192, 0, 2, 1];
    let udp = [0x9c, 0x40, 0, 53, 0, 12, 0, 0, b'p', b'a', b'l', b'o'];
    [&ethernet[..], &ip, &udp].concat()
}

fn pin(cpus: usize) {
    let mut set = CpuSet::new();
    (0..cpus).for_each(|cpu| set.set(cpu).unwrap());
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

fn process_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

fn datapath() -> Datapath {
    let constants = vec![Constant::new("cfg_event_interval_ns", 0_u64)];
    let datapath =
        Datapath::load(&Options { constants, ..Options::default() }, None).expect("root is needed");
    let endpoint =
        Endpoint { policy: PolicyWord::new(1, 1, 0).unwrap(), unjudged_udp_until: 0, id: 7, identity: 500 };
    datapath.maps.endpoints.set(1, &endpoint).unwrap();
    datapath
}

/// Sends packets for a while, so many a second or as many as can be; gives how many, and the CPU time it took.
fn send(datapath: &Datapath, rate: Option<u64>) -> (u64, Duration) {
    let (frame, begin, mut sent) = (frame(), Instant::now(), 0_u64);
    while begin.elapsed() < TIME {
        let due = rate.map_or(u64::MAX, |rate| {
            u64::try_from(begin.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000).unwrap()
        });
        if sent >= due {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        datapath.attacher.test_run(Direction::Egress, &frame, GULP).unwrap();
        sent += u64::from(GULP);
    }
    (sent, clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into())
}

/// Reads the ring to its end; gives the flows that it saw and those that it missed.
fn follow(ring: &Ring, ended: &AtomicBool) -> (u64, u64) {
    let (mut at, mut seen, mut missed, mut records) = (0, 0, 0, Vec::new());
    loop {
        let last = ended.load(Ordering::Acquire);
        let batch = ring.read(at..u64::MAX, &mut records);
        seen += std::hint::black_box(&records).len() as u64;
        missed += batch.missed;
        at = batch.first + records.len() as u64;
        if records.is_empty() {
            if last {
                return (seen, missed);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Asks for the last hundred flows every 50 ms; gives how long the answers took, in milliseconds.
async fn ask(socket: &Path, ended: &AtomicBool) -> Vec<f64> {
    let channel = connect(&Target::Unix(socket.to_owned()), Timeouts::default()).await.unwrap();
    let mut client = ObserverClient::new(channel);
    let mut times = Vec::new();
    while !ended.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begin = Instant::now();
        let request = GetFlowsRequest { number: 100, ..GetFlowsRequest::default() };
        let mut flows = client.get_flows(request).await.unwrap().into_inner();
        while flows.message().await.unwrap().is_some() {}
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times
}

fn serve(runtime: &Runtime, socket: &Path, served: Served) {
    let api = Api::new(served);
    let incoming = {
        let _entered = runtime.enter();
        UnixListenerStream::new(UnixListener::bind(socket).unwrap())
    };
    runtime.spawn(async move { api.serve(api.routes().await.unwrap(), incoming).await.unwrap() });
}

/// One flood; `whole` if nothing of it may be lost.
fn flood(cpus: usize, rate: Option<u64>, whole: bool) {
    pin(cpus);
    let offered = rate.map_or("as many events as can be".to_owned(), |rate| format!("{rate} events/s"));
    heading(&format!("{cpus} CPU(s), {offered} for {} s", TIME.as_secs()));
    let mut datapath = datapath();
    let losses = Arc::new(Losses::default());
    let (writer, ring) = Ring::new(Capacity::DEFAULT);
    let directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
    let directory = Arc::new(ArcSwap::from_pointee(directory));
    let namespaces = Arc::new(SeenNamespaces::default());
    let sources = Sources {
        directory: Arc::clone(&directory),
        attributions: Arc::new(SharedAttributions::default()),
        namespaces: Arc::clone(&namespaces),
    };
    let (sender, receiver) = source::queue(QUEUE);
    let enriching = enrich::spawn(Enricher::new(sources, writer), receiver, Arc::clone(&losses)).unwrap();
    let stream = InOrder::new(None, datapath.events.take().unwrap());
    let counters = KernelLosses::from_now(Arc::clone(&datapath.maps)).unwrap();
    let reading = source::spawn(stream, counters, sender, Arc::clone(&losses)).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let served = Served {
        ring: Arc::clone(&ring),
        losses: Arc::clone(&losses),
        namespaces,
        directory,
        node: Arc::new(NodeContext::new("node-1", "default", &Labels::new(), "0.1.0")),
        facts: Arc::new(Nobody),
        max_streams: 4,
    };
    serve(&runtime, &socket, served);

    let (ended, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let before = process_cpu();
    let ((seen, missed), mut times, sent, sending) = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&ring, &ended));
        let asking = scope.spawn(|| runtime.block_on(ask(&socket, &over)));
        let (sent, sending) = scope.spawn(|| send(&datapath, rate)).join().unwrap();
        over.store(true, Ordering::Release);
        let times = asking.join().unwrap();
        drop(reading);
        drop(enriching);
        ended.store(true, Ordering::Release);
        (follower.join().unwrap(), times, sent, sending)
    });
    let agent = process_cpu().saturating_sub(before).saturating_sub(sending);
    let [kernel, reader, enricher, _] = losses.stages();
    for StageCounts { stage, taken, given, lost, .. } in [&kernel, &reader, &enricher] {
        println!("  {}: {taken} in, {given} out, lost {lost:?}", stage.name());
    }
    assert_eq!((kernel.taken, seen + missed), (sent, ring.written()), "every packet is an event");
    let second = |count: u64| count as f64 / TIME.as_secs_f64() / 1e6;
    let lost = (sent - ring.written()) as f64 / sent as f64 * 100.0;
    let bound = |goal| if whole { goal } else { Goal::None };
    row("offered", second(sent), "M/s", Goal::None);
    row("delivered to the follower", second(seen), "M/s", bound(Goal::AtLeast(0.99)));
    row("lost before the ring", lost, "%", bound(Goal::AtMost(0.0)));
    row("missed by the follower", missed as f64, "flows", bound(Goal::AtMost(0.0)));
    row(
        "agent and client, without the programs",
        agent.as_nanos() as f64 / seen as f64,
        "ns/flow",
        Goal::None,
    );
    times.sort_by(f64::total_cmp);
    row("GetFlows --last 100 meanwhile, median", median(times.clone()), "ms", Goal::None);
    row("the slowest of them", times.last().copied().unwrap(), "ms", Goal::None);
    row("answers", times.len() as f64, "", Goal::None);
    runtime.shutdown_background();
}

fn main() {
    flood(2, Some(1_000_000), true);
    flood(2, None, false);
    flood(1, Some(300_000), false);
    flood(1, None, false);
}
