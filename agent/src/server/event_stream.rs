//! `GetAgentEvents`: a task of its own for each call, which goes at its client's pace.

use std::sync::Arc;
use std::time::Duration;

use palomar_proto::observer::GetAgentEventsResponse;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::event_message::{lost, response};
use super::plan::{Selection, Start};
use crate::clock::wall_now_ns;
use crate::events::AgentEvents;

/// Events that are read at once, and that may wait for a client.
const BATCH: usize = 64;

/// What a call was asked.
pub struct EventQuery {
    /// Where events are read.
    pub events: Arc<AgentEvents>,
    /// Which of them.
    pub selection: Selection,
    /// This node's name, as responses tell it.
    pub node_name: String,
}

/// The responses of a call.
pub type EventStream = ReceiverStream<Result<GetAgentEventsResponse, Status>>;

/// Nobody listens any more.
struct Gone;

/// The client's end.
struct Client(mpsc::Sender<Result<GetAgentEventsResponse, Status>>);

// === impl EventQuery ===

impl EventQuery {
    /// Begins; ends when all is told, the client goes or the API shuts down. `permit` is held until then.
    pub fn stream(self, mut shutdown: watch::Receiver<bool>, permit: OwnedSemaphorePermit) -> EventStream {
        let (sender, receiver) = mpsc::channel(BATCH);
        let client = Client(sender);
        tokio::spawn(async move {
            let down = async {
                // an error means that the API has gone
                let _ = shutdown.wait_for(|down| *down).await;
            };
            tokio::select! {
                biased;
                () = down => drop(client.0.try_send(Err(Status::unavailable("the agent is shutting down")))),
                () = client.0.closed() => {}
                _ = self.run(&client) => {}
            }
            drop(permit);
        });
        ReceiverStream::new(receiver)
    }

    async fn run(&self, client: &Client) -> Result<(), Gone> {
        let Selection { start, limit, window, follow } = self.selection;
        let mut left = limit.unwrap_or(u64::MAX);
        let end = if follow { u64::MAX } else { self.events.range().end };
        let mut at = self.start(start);
        loop {
            let batch = self.events.read(at, BATCH);
            if batch.first > at {
                // what came after the end was not asked for
                let missed = batch.first.min(end).saturating_sub(at);
                if missed > 0 {
                    client.send(lost(missed, wall_now_ns(), &self.node_name)).await?;
                }
                at = batch.first;
            }
            for told in &batch.events {
                if left == 0 || at >= end {
                    return Ok(());
                }
                at += 1;
                if window.holds(told.time_ns) {
                    left -= 1;
                    client.send(response(told, &self.node_name)).await?;
                }
            }
            if batch.events.is_empty() {
                if !follow {
                    return Ok(());
                }
                let until_end = window.until_ns.saturating_sub(wall_now_ns());
                let Ok(until_end @ 1..) = u64::try_from(until_end) else { return Ok(()) };
                // either way the events and the time are looked at again
                let waiting = self.events.wait_for(at);
                let _ = tokio::time::timeout(Duration::from_nanos(until_end), waiting).await;
            }
        }
    }

    /// The number of the first event to look at.
    fn start(&self, start: Start) -> u64 {
        let range = self.events.range();
        match start {
            Start::Oldest => range.start,
            Start::Newest => range.end,
            Start::LastMatching(number) => {
                let number = usize::try_from(number).unwrap_or(usize::MAX);
                let all = self.events.read(range.start, usize::MAX);
                let numbered = (all.first..).zip(&all.events);
                let inside: Vec<u64> = numbered
                    .filter(|(_, told)| self.selection.window.holds(told.time_ns))
                    .map(|(at, _)| at)
                    .collect();
                inside.get(inside.len().saturating_sub(number)).copied().unwrap_or(range.end)
            }
        }
    }
}

// === impl Client ===

impl Client {
    async fn send(&self, response: GetAgentEventsResponse) -> Result<(), Gone> {
        self.0.send(Ok(response)).await.map_err(|_| Gone)
    }
}
