//! What `GetFlows` can do: streams of flows, filters over what is held, the way to the first flow. The server runs on
//! threads of its own, so that its CPU time is known; the client counts messages without reading them.
//!
//! `cargo bench -p palomar-agent --bench query`, or with names of parts behind `--`: streams, filters, places,
//! followers, memory.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod client;
mod cluster;
mod filters;
mod raw;
mod report;
mod server;

use std::time::{Duration, Instant};

use palomar_flow::convert::timestamp;
use palomar_flow::mask::STOCK_DEFAULT;
use palomar_proto::flow::FlowFilter;
use palomar_proto::observer::GetFlowsRequest;
use palomar_transport::{Target, Timeouts, connect};
use tonic::transport::Channel;

use report::{Goal, heading, median, row};
use server::{Bench, Live, Pace, WRITER, cpu_of, resident_bytes, server_cpu};

const RUNS: usize = 9;
/// The name of the client's threads.
const CLIENT: &str = "bench-client";
/// The most filters of one list that a user is likely to have.
const LONG_LIST: u32 = 1_000;
/// The writer beside queries.
const LIVE: Pace = Pace { per_second: 500_000, batch: 64 };

/// What one kind of request costs: medians over runs.
struct Cost {
    wall: Duration,
    first: Duration,
    cpu: Duration,
    client_cpu: Duration,
    flows: usize,
    bytes: usize,
}

async fn cost(channel: &Channel, request: &GetFlowsRequest) -> Cost {
    // the first answer fills what is remembered across queries
    client::flows(channel, request.clone()).await;
    let [mut wall, mut first, mut cpu, mut client_cpu] = [const { Vec::new() }; 4];
    let mut last = client::Answer::default();
    for _ in 0..RUNS {
        let (begin, cpu_before, client_before) = (Instant::now(), server_cpu(), cpu_of(CLIENT));
        last = client::flows(channel, request.clone()).await;
        wall.push(begin.elapsed().as_secs_f64());
        first.push(last.first.as_secs_f64());
        cpu.push(server_cpu().saturating_sub(cpu_before).as_secs_f64());
        client_cpu.push(cpu_of(CLIENT).saturating_sub(client_before).as_secs_f64());
    }
    let duration = |figures| Duration::from_secs_f64(median(figures));
    Cost {
        wall: duration(wall),
        first: duration(first),
        cpu: duration(cpu),
        client_cpu: duration(client_cpu),
        flows: last.flows,
        bytes: last.bytes,
    }
}

async fn channel(bench: &Bench) -> Channel {
    connect(&Target::Unix(bench.socket.clone()), Timeouts::default()).await.unwrap()
}

fn million_a_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64() / 1e6
}

fn last(number: u64) -> GetFlowsRequest {
    GetFlowsRequest { number, ..GetFlowsRequest::default() }
}

fn only(filter: FlowFilter) -> GetFlowsRequest {
    GetFlowsRequest { whitelist: vec![filter], ..GetFlowsRequest::default() }
}

fn to_pod(bench: &Bench) -> GetFlowsRequest {
    let pod = bench.flows.known().pod.destination.pod.clone().unwrap();
    only(FlowFilter { destination_pod: vec![pod.to_string()], ..FlowFilter::default() })
}

async fn streams() {
    let (bench, _writer) = Bench::start(65_535);
    let channel = channel(&bench).await;
    let paths = STOCK_DEFAULT.map(str::to_owned).into();
    let masked = GetFlowsRequest { field_mask: Some(prost_types::FieldMask { paths }), ..last(50_000) };
    heading("GetFlows, last 50,000 of 65,535, over a Unix socket to a client that counts");
    for (what, request) in [("whole flows", last(50_000)), ("the CLI's mask", masked)] {
        let Cost { wall, cpu, client_cpu, flows, bytes, .. } = cost(&channel, &request).await;
        let each_us = |cpu: Duration| cpu.as_secs_f64() * 1e6 / 50_000.0;
        row(what, million_a_second(flows as u64, wall), "M flows/s", Goal::AtLeast(1.5));
        row(&format!("{what}, server CPU"), each_us(cpu), "us/flow", Goal::AtMost(0.65));
        row(&format!("{what}, the counting client's CPU"), each_us(client_cpu), "us/flow", Goal::None);
        row(&format!("{what}, size"), (bytes / flows) as f64, "B/flow", Goal::None);
    }
}

async fn filters() {
    for capacity in [65_535, 4_194_303] {
        let (bench, writer) = Bench::start(capacity);
        let channel = channel(&bench).await;
        heading(&format!("--to-pod, one flow in a hundred of {capacity} held"));
        let request = to_pod(&bench);
        let Cost { wall, cpu, flows, .. } = cost(&channel, &request).await;
        row("held flows", million_a_second(capacity, wall), "M held/s", Goal::AtLeast(50.0));
        row("held flows a second of server CPU", million_a_second(capacity, cpu), "M held/CPU s", Goal::None);
        row("matching", flows as f64, "flows", Goal::None);
        let live = Live::start(&bench, writer, LIVE);
        let beside = cost(&channel, &request).await;
        live.stop();
        let share = wall.as_secs_f64() / beside.wall.as_secs_f64();
        row("with a writer of 500,000/s, share of that rate", share, "", Goal::AtLeast(0.8));
    }
    let capacity = 1_048_575;
    let (bench, _writer) = Bench::start(capacity);
    let channel = channel(&bench).await;
    heading(&format!("one filter of every field over {capacity} held"));
    for (field, filter) in filters::every_field(&bench.flows.known()) {
        let cost = cost(&channel, &only(filter)).await;
        let what = format!("{field} ({} match)", cost.flows);
        row(&what, million_a_second(capacity, cost.wall), "M held/s", Goal::AtLeast(10.0));
    }
    let whitelist = filters::many(LONG_LIST);
    let request = GetFlowsRequest { whitelist, ..GetFlowsRequest::default() };
    let cost = cost(&channel, &request).await;
    row("a list of 1,000 filters", million_a_second(capacity, cost.wall), "M held/s", Goal::AtLeast(10.0));
}

async fn places() {
    for capacity in [262_143, 4_194_303, 16_777_215] {
        let (bench, _writer) = Bench::start(capacity);
        let channel = channel(&bench).await;
        heading(&format!("the way to the first flow of {capacity} held"));
        let whole = cost(&channel, &last(100)).await;
        row("--last 100, all of it", whole.wall.as_secs_f64() * 1e3, "ms", Goal::AtMost(0.3));
        let written = i64::try_from(bench.ring.written()).unwrap();
        let held = i64::try_from(bench.ring.len()).unwrap();
        for (what, back) in [("the newest 1,000", 1_000), ("half", held / 2), ("nearly all", held - 1_000)] {
            let since = timestamp(cluster::BEGIN_NS + (written - back) * cluster::TICK_NS);
            let request = GetFlowsRequest { since: Some(since), first: true, number: 100, ..last(0) };
            let cost = cost(&channel, &request).await;
            let what = format!("--since {what}, to the first flow");
            row(&what, cost.first.as_secs_f64() * 1e3, "ms", Goal::AtMost(0.3));
        }
    }
}

/// What a hundred followers cost while flows trickle and while they pour.
async fn followers() {
    const FOLLOWERS: usize = 100;
    const SECONDS: u64 = 3;
    let paces = [
        ("10 flows a second", Pace { per_second: 10, batch: 1 }),
        ("1,000 flows a second, one by one", Pace { per_second: 1_000, batch: 1 }),
        ("20,000 flows a second", Pace { per_second: 20_000, batch: 64 }),
    ];
    heading(&format!("{FOLLOWERS} followers, each on its own connection"));
    for (what, pace) in paces {
        let (bench, mut writer) = Bench::start(65_535);
        for count in [0, FOLLOWERS] {
            let follow = GetFlowsRequest { follow: true, ..last(0) };
            let mut reading = tokio::task::JoinSet::new();
            for _ in 0..count {
                let channel = channel(&bench).await;
                let request = follow.clone();
                reading.spawn(async move { client::flows(&channel, request).await });
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            let before = (server_cpu(), cpu_of(WRITER));
            let begin = Instant::now();
            let live = Live::start(&bench, writer, pace);
            tokio::time::sleep(Duration::from_secs(SECONDS)).await;
            // a thread that has ended has no times any more
            let writer_cpu = cpu_of(WRITER);
            (writer, _) = live.stop();
            let share = |cpu: Duration| cpu.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
            let (server, writer_share) = (server_cpu().saturating_sub(before.0), share(writer_cpu));
            row(&format!("{what}, {count} followers: server CPU"), share(server), "% of a core", Goal::None);
            row(&format!("{what}, {count} followers: writer CPU"), writer_share, "% of a core", Goal::None);
        }
    }
}

/// What a stream costs whose client has nothing to read, and one whose client does not read.
fn memory() {
    const STREAMS: usize = 300;
    heading(&format!("memory of the server, {STREAMS} streams on a connection each"));
    let (bench, mut writer) = Bench::start_for(65_535, STREAMS);
    let requests = [
        ("a follower that waits", GetFlowsRequest { follow: true, ..last(0) }),
        ("a stream whose client does not read", last(0)),
    ];
    // what is remembered across queries, and the server's own
    drop(raw::ask(&bench.socket, &last(0)));
    for (what, request) in requests {
        std::thread::sleep(Duration::from_secs(1));
        let before = resident_bytes();
        let asked: Vec<_> = (0..STREAMS).map(|_| raw::ask(&bench.socket, &request)).collect();
        std::thread::sleep(Duration::from_secs(2));
        bench.flows.write(&mut writer, 0, 1, 1);
        std::thread::sleep(Duration::from_secs(1));
        let each = resident_bytes().saturating_sub(before) as f64 / STREAMS as f64;
        row(what, each / 1_024.0, "KiB", Goal::None);
        drop(asked);
    }
}

fn main() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name(CLIENT).enable_all().build().unwrap().block_on(async {
        // the channel's own task must not share the main thread, which has another name
        tokio::spawn(bench()).await.unwrap();
    });
}

async fn bench() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("streams") {
        streams().await;
    }
    if wanted("filters") {
        filters().await;
    }
    if wanted("places") {
        places().await;
    }
    if wanted("followers") {
        followers().await;
    }
    if wanted("memory") {
        tokio::task::spawn_blocking(memory).await.unwrap();
    }
}
