//! Many clients at once, and some that behave badly.

use std::path::Path;
use std::time::Duration;

use palomar_flow::convert::timestamp;
use palomar_proto::flow::{FlowFilter, LostEventSource};
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::observer::observer_client::ObserverClient;
use palomar_proto::observer::{GetFlowsRequest, GetFlowsResponse, ServerStatusRequest};
use palomar_transport::{Target, Timeouts, connect};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use super::calls::serve;
use super::fixture::{fixture, fixture_for};
use crate::losses::LossSource;
use crate::server::chunks::MAX_UNDER_WAY;

const PATIENCE: Duration = Duration::from_mins(1);

fn follow() -> GetFlowsRequest {
    GetFlowsRequest { follow: true, ..GetFlowsRequest::default() }
}

/// A connection of its own with HTTP/2's own windows of 64 KiB, so that little is under way to a client that does not
/// read.
async fn small_channel(socket: &Path) -> Channel {
    const WINDOW_BYTES: u32 = 65_535;
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
    let endpoint =
        endpoint.initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    endpoint.connect().await.unwrap()
}

async fn followers(socket: &Path, count: usize) -> Vec<Streaming<GetFlowsResponse>> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut client = ObserverClient::new(small_channel(socket).await);
        streams.push(client.get_flows(follow()).await.unwrap().into_inner());
    }
    streams
}

/// What a follower is told, in its order: times of flows, and how many it missed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    times: Vec<i64>,
    missed: u64,
}

impl Told {
    fn add(&mut self, response: GetFlowsResponse) {
        match response.response_types.unwrap() {
            ResponseTypes::Flow(_) => self.times.push(response.time.unwrap().nanos.into()),
            ResponseTypes::LostEvents(lost) => {
                assert_eq!(lost.source(), LostEventSource::HubbleRingBuffer);
                self.missed += lost.num_events_lost;
            }
            ResponseTypes::NodeStatus(_) => panic!("an agent tells no node status"),
        }
    }

    /// Reads until so many flows were told or missed.
    async fn read(mut self, stream: &mut Streaming<GetFlowsResponse>, count: u64) -> Self {
        while (self.times.len() as u64) + self.missed < count {
            let next = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a response in time");
            self.add(next.unwrap().expect("a follower has no end"));
        }
        self
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// A hundred followers, of which ten never read while 3,000 flows come, three times what the ring holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_that_do_not_read_delay_nobody_and_are_told_what_they_missed() {
    const FLOWS: u64 = 3_000;
    const STEP: u64 = 500;
    let mut fixture = fixture_for(1_023, 100);
    let (_channel, folder, _server) = serve(&fixture).await;
    let socket = folder.path().join("palomar.sock");
    let mut idle = followers(&socket, 10).await;
    let (told, mut steps) = tokio::sync::mpsc::channel(1_000);
    let mut readers = JoinSet::new();
    for mut stream in followers(&socket, 90).await {
        let told = told.clone();
        readers.spawn(async move {
            let mut all = Told::default();
            for step in 1..=FLOWS / STEP {
                all = all.read(&mut stream, step * STEP).await;
                told.send(()).await.unwrap();
            }
            all
        });
    }
    let before = resident_bytes();
    for n in 0..FLOWS {
        fixture.write(n, i64::try_from(n).unwrap());
        if (n + 1) % STEP == 0 {
            // everybody who reads has read so far, whatever the others do
            for _ in 0..90 {
                tokio::time::timeout(PATIENCE, steps.recv()).await.expect("readers go on").unwrap();
            }
        }
    }
    let all: Vec<i64> = (0..3_000).collect();
    while let Some(reader) = readers.join_next().await {
        assert_eq!(reader.unwrap(), Told { times: all.clone(), missed: 0 });
    }
    let under_way = fixture.under_way();
    assert!(under_way > 0 && under_way <= 10 * MAX_UNDER_WAY, "{under_way} bytes under way");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes for ten clients that do not read");

    let mut missed = 0;
    for stream in &mut idle {
        let Told { times, missed: own } = Told::default().read(stream, FLOWS).await;
        // what was under way, then what the ring still holds
        let first = times.iter().zip(0..).take_while(|(time, n)| *time == n).count();
        assert!(own > 0 && first > 0, "{own} missed after {first}");
        assert_eq!(times[first..], all[all.len() - 1_023..]);
        assert_eq!(first as u64 + own + 1_023, FLOWS);
        missed += own;
    }
    assert_eq!(fixture.losses.count(LossSource::ReaderOvertaken), missed);
}

/// What refused streams say, by their texts.
async fn refusals(channel: &Channel, streams: usize) -> Vec<Status> {
    let mut calls = JoinSet::new();
    for _ in 0..streams {
        let mut client = ObserverClient::new(channel.clone());
        calls.spawn(async move { client.get_flows(follow()).await.map(tonic::Response::into_inner) });
    }
    let mut refused = Vec::new();
    let mut open = Vec::new();
    while let Some(answer) = tokio::time::timeout(PATIENCE, calls.join_next()).await.expect("an answer") {
        match answer.unwrap() {
            Ok(stream) => open.push(stream),
            Err(status) => refused.push(status),
        }
    }
    assert_eq!(open.len(), 8);
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_are_refused_at_once_while_others_are_served() {
    let mut fixture = fixture_for(255, 9);
    let (channel, folder, _server) = serve(&fixture).await;
    let socket = folder.path().join("palomar.sock");
    let mut follower = followers(&socket, 1).await.remove(0);
    let crowd = small_channel(&socket).await;
    refusals(&crowd, 100).await;
    let before = resident_bytes();
    for round in 0..10 {
        let refused = refusals(&crowd, 1_000).await;
        assert_eq!(refused.len(), 992);
        for status in refused {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            assert_eq!(
                status.message(),
                "too many flow streams: 9 are served at once; end one, or start the agent with more --max-streams"
            );
        }
        fixture.write(round, i64::try_from(round).unwrap());
        let told = Told::default().read(&mut follower, 1).await;
        assert_eq!(told.times, [i64::try_from(round).unwrap()]);
        let mut client = ObserverClient::new(channel.clone());
        client.server_status(ServerStatusRequest {}).await.unwrap();
        // the eight of this round are dropped, and their places are free again
        tokio::time::timeout(PATIENCE, fixture.until_streams(1)).await.expect("places that come back");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_are_told_so_and_closed_while_others_are_served() {
    let fixture = fixture_for(255, 8);
    let (channel, folder, _server) = serve(&fixture).await;
    let socket = folder.path().join("palomar.sock");
    // one of the 72 places is the channel's
    let mut held = Vec::new();
    for _ in 0..71 {
        held.push(small_channel(&socket).await);
    }
    let mut told = 0;
    for _ in 0..1_000 {
        let mut connection = UnixStream::connect(&socket).await.unwrap();
        let mut words = Vec::new();
        // a reset is the end as well
        let _ = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut words)).await.expect("an end");
        told += usize::from(
            String::from_utf8_lossy(&words).contains("too many connections: 72 are served at once"),
        );
    }
    assert!(told >= 900, "{told} of 1,000 were told");
    let mut client = ObserverClient::new(channel);
    client.server_status(ServerStatusRequest {}).await.unwrap();
    held.truncate(10);
    let again = async {
        while ObserverClient::new(connect_to(&socket).await)
            .server_status(ServerStatusRequest {})
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place that comes back");
}

async fn connect_to(socket: &Path) -> Channel {
    connect(&Target::Unix(socket.to_owned()), Timeouts::default()).await.unwrap()
}

/// A client that never read, and goes: by its stream, and by its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_place_of_a_client_that_goes_without_reading_comes_back_at_once() {
    let mut fixture = fixture_for(1_023, 2);
    let (_channel, folder, _server) = serve(&fixture).await;
    let socket = folder.path().join("palomar.sock");
    let channel = small_channel(&socket).await;
    let stream = ObserverClient::new(channel.clone()).get_flows(follow()).await.unwrap().into_inner();
    let own = followers(&socket, 1).await;
    for n in 0..3_000 {
        fixture.write(n, 0);
    }
    tokio::time::timeout(PATIENCE, async {
        // two streams, each at least half full
        while fixture.under_way() <= MAX_UNDER_WAY {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("both have all under way that they may have");
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), fixture.until_streams(1)).await.expect("a stream that went");
    drop(own);
    tokio::time::timeout(Duration::from_secs(5), fixture.until_streams(0))
        .await
        .expect("a connection that went");
    assert_eq!(fixture.under_way(), 0, "nothing is left of what was under way");
}

/// One of the thousand wants each flow of a pod, the others want what does not come.
#[tokio::test]
async fn a_list_of_a_thousand_filters_finds_what_one_filter_finds() {
    let mut fixture = fixture(1_023);
    for n in 0..1_000 {
        fixture.write(n, i64::try_from(n).unwrap());
    }
    let pod = |name: String| FlowFilter { source_pod: vec![name], ..FlowFilter::default() };
    let port =
        |n: u32| FlowFilter { destination_port: vec![(50_000 + n).to_string()], ..FlowFilter::default() };
    let wanted = pod("np-demo/web-1".into());
    let mut list: Vec<_> =
        (0..999).map(|n| if n % 2 == 0 { pod(format!("np-demo/none-{n}")) } else { port(n) }).collect();
    list.insert(700, wanted.clone());
    let ask = |whitelist, blacklist| GetFlowsRequest { whitelist, blacklist, ..GetFlowsRequest::default() };
    let found = fixture.ask(ask(vec![wanted.clone()], Vec::new())).await.unwrap();
    assert!(found.len() > 100);
    assert_eq!(fixture.ask(ask(list.clone(), Vec::new())).await.unwrap(), found);
    let others = fixture.ask(ask(Vec::new(), list)).await.unwrap();
    assert_eq!(others, fixture.ask(ask(Vec::new(), vec![wanted])).await.unwrap());

    let many = vec![FlowFilter::default(); 3_000];
    let refused = fixture.open(ask(many, Vec::new())).await.err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("too many filters: 3000"), "{refused}");
}

/// The clock is set back by an hour, later forward by two.
#[tokio::test]
async fn a_clock_that_is_set_loses_nothing_of_a_window() {
    const HOUR: i64 = 3_600_000_000_000;
    let mut fixture = fixture(16_383);
    let mut times = Vec::new();
    for (from, count) in
        [(10 * HOUR, 4_000), (9 * HOUR, 5_000), (11 * HOUR, 3_000), (10 * HOUR + 2_000, 3_000)]
    {
        times.extend((0..count).map(|n| from + n));
    }
    for (n, time_ns) in (0..).zip(&times) {
        fixture.write(n, *time_ns);
    }
    let windows = [
        (Some(10 * HOUR + 1_000), None),
        (Some(10 * HOUR + 3_000), Some(10 * HOUR + 4_500)),
        (None, Some(9 * HOUR + 10)),
        (Some(9 * HOUR + 4_990), Some(11 * HOUR + 5)),
        (Some(12 * HOUR), None),
    ];
    for (since, until) in windows {
        let request = GetFlowsRequest {
            since: since.map(timestamp),
            until: until.map(timestamp),
            field_mask: Some(prost_types::FieldMask { paths: vec!["time".into()] }),
            ..GetFlowsRequest::default()
        };
        let inside =
            |time: &i64| since.is_none_or(|since| *time >= since) && until.is_none_or(|until| *time <= until);
        let expected: Vec<i64> = times.iter().copied().filter(inside).collect();
        let last = GetFlowsRequest { number: 100, ..request.clone() };
        for (request, expected) in
            [(request, &expected[..]), (last, &expected[expected.len().saturating_sub(100)..])]
        {
            let answer = fixture.ask(request).await.unwrap();
            let found: Vec<i64> = answer
                .iter()
                .map(|response| response.time.unwrap())
                .map(|time| time.seconds * 1_000_000_000 + i64::from(time.nanos))
                .collect();
            assert_eq!(found, expected, "since {since:?} until {until:?}");
        }
    }
}
