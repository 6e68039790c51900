//! A query as a stream of encoded responses: waits for flows, for losses, for the end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_stream::Stream;
use tonic::Status;

use super::query::{Progress, Query};
use crate::clock::wall_now_ns;
use crate::ring::Ring;

/// Batches looked at before others get their turn on this thread: about a millisecond.
const STEPS: usize = 32;
/// How often a following query looks for losses when no flow comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The responses of one `GetFlows`. It holds its place among the streams until it is dropped, which happens when
/// the client goes.
pub struct FlowStream {
    query: Query,
    ring: Arc<Ring>,
    ready: VecDeque<Bytes>,
    waiting: Option<Wait>,
    shutdown: Wait,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

// === impl FlowStream ===

impl FlowStream {
    pub fn new(
        query: Query,
        ring: Arc<Ring>,
        mut shutdown: watch::Receiver<bool>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let shutdown = Box::pin(async move {
            // an error means that the API has gone
            let _ = shutdown.wait_for(|down| *down).await;
        });
        Self { query, ring, ready: VecDeque::new(), waiting: None, shutdown, ended: false, _permit: permit }
    }

    fn wait_for(&self, sequence: u64) -> Wait {
        let ring = Arc::clone(&self.ring);
        let until_end = self.query.window_end_ns().map(|end_ns| {
            Duration::from_nanos(u64::try_from(end_ns.saturating_sub(wall_now_ns())).unwrap_or(0))
        });
        let longest = until_end.map_or(LOOK_EVERY, |until_end| until_end.min(LOOK_EVERY));
        Box::pin(async move {
            // either way the query is asked again
            let _ = tokio::time::timeout(longest, ring.wait_for(sequence)).await;
        })
    }
}

impl Stream for FlowStream {
    type Item = Result<Bytes, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(response) = this.ready.pop_front() {
            return Poll::Ready(Some(Ok(response)));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        if this.shutdown.as_mut().poll(context).is_ready() {
            this.ended = true;
            return Poll::Ready(Some(Err(Status::unavailable("the agent is shutting down"))));
        }
        for _ in 0..STEPS {
            if let Some(waiting) = &mut this.waiting {
                if waiting.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                this.waiting = None;
            }
            match this.query.step(&mut this.ready) {
                Progress::More => {}
                Progress::CaughtUp(sequence) => this.waiting = Some(this.wait_for(sequence)),
                Progress::Ended => this.ended = true,
            }
            if let Some(response) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(response)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
