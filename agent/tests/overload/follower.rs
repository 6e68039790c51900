//! A client that follows, and adds up what it was told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use palomar_proto::flow::layer4::Protocol;
use palomar_proto::flow::{FlowFilter, LostEventSource, TraceObservationPoint, Verdict};
use palomar_proto::observer::GetFlowsRequest;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::observer::observer_client::ObserverClient;
use palomar_transport::{Target, Timeouts, connect};
use tonic::Code;

use crate::flood::number;

/// How a follower reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Everything, as fast as it can.
    Eager,
    /// Everything, with a pause after each thousand.
    Slow,
    /// Dropped packets only.
    DropsOnly,
}

/// What a follower was told until the server ended it.
#[derive(Debug, Default)]
pub struct Told {
    /// Flows.
    pub flows: u64,
    /// Of those, drops.
    pub drops: u64,
    /// Lost events by source.
    pub lost: BTreeMap<LostEventSource, u64>,
    /// Responses that told of lost events, at any rate a second.
    pub reports: u64,
}

/// A follower under way.
pub struct Follower {
    /// How it reads.
    pub habit: Habit,
    thread: JoinHandle<Told>,
}

// === impl Follower ===

impl Follower {
    /// Follows from here on; back when the server has begun to answer.
    pub fn start(socket: PathBuf, habit: Habit) -> Self {
        let (begun, begins) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread =
            thread::spawn(move || runtime.block_on(follow(socket, habit, || begun.send(()).unwrap())));
        begins.recv().unwrap();
        Self { habit, thread }
    }

    /// What it was told; waits for the server to end it.
    pub fn told(self) -> Told {
        self.thread.join().unwrap()
    }
}

async fn follow(socket: PathBuf, habit: Habit, begun: impl FnOnce()) -> Told {
    let channel = connect(&Target::Unix(socket), Timeouts::default()).await.unwrap();
    let drops = FlowFilter { verdict: vec![Verdict::Dropped.into()], ..FlowFilter::default() };
    let whitelist = if habit == Habit::DropsOnly { vec![drops] } else { Vec::new() };
    let request = GetFlowsRequest { follow: true, whitelist, ..GetFlowsRequest::default() };
    let mut stream = ObserverClient::new(channel).get_flows(request).await.unwrap().into_inner();
    begun();
    let (mut told, mut newest) = (Told::default(), None);
    loop {
        let response = match stream.message().await {
            Ok(Some(response)) => response,
            Ok(None) => panic!("a follower is never at the end"),
            Err(status) if status.code() == Code::Unavailable => return told,
            Err(status) => panic!("{status}"),
        };
        match response.response_types.unwrap() {
            ResponseTypes::Flow(flow) => {
                let Some(Protocol::Tcp(tcp)) = flow.l4.as_ref().and_then(|l4| l4.protocol.clone()) else {
                    panic!("no TCP flow: {flow:?}")
                };
                let number = number(tcp.source_port, tcp.destination_port);
                // what was not delivered is told when it is sure
                if flow.trace_observation_point() != TraceObservationPoint::FromEndpoint {
                    assert!(newest.is_none_or(|newest| newest < number), "{number} came after {newest:?}");
                    newest = Some(number);
                }
                told.flows += 1;
                told.drops += u64::from(flow.verdict() == Verdict::Dropped);
                if habit == Habit::Slow && told.flows.is_multiple_of(1_000) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            ResponseTypes::LostEvents(lost) => {
                *told.lost.entry(lost.source()).or_default() += lost.num_events_lost;
                told.reports += 1;
            }
            ResponseTypes::NodeStatus(status) => panic!("an agent tells no node status: {status:?}"),
        }
    }
}
