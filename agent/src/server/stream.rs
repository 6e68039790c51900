//! A query as a stream of chunks: waits for flows, for losses, for the client, for the end.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use prost::bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_stream::Stream;
use tonic::Status;

use super::chunks::{Buffers, CHUNK_BYTES, UnderWay};
use super::query::{Progress, Query};
use super::wanted::Scratch;
use crate::clock::wall_now_ns;
use crate::ring::Ring;

/// How long a query looks at flows before others get their turn on this thread.
const TURN: Duration = Duration::from_millis(1);
/// How long a following query that was woken waits before it is woken again: what comes meanwhile is told together. A flow
/// that comes after a longer quiet is told at once.
const GATHER: Duration = Duration::from_millis(20);
/// How often a following query looks for losses when no flow comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The responses of one `GetFlows`, framed, many in a chunk. It holds its place among the streams until it is
/// dropped, which happens when the client goes.
pub struct FlowStream {
    query: Query,
    ring: Arc<Ring>,
    buffers: Arc<Buffers>,
    under_way: Arc<UnderWay>,
    waiting: Option<Wait>,
    woken_at: Option<tokio::time::Instant>,
    shutdown: Wait,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

// === impl FlowStream ===

impl FlowStream {
    pub fn new(
        query: Query,
        ring: Arc<Ring>,
        buffers: Arc<Buffers>,
        mut shutdown: watch::Receiver<bool>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let shutdown = Box::pin(async move {
            // an error means that the API has gone
            let _ = shutdown.wait_for(|down| *down).await;
        });
        Self {
            query,
            ring,
            buffers,
            under_way: Arc::default(),
            waiting: None,
            woken_at: None,
            shutdown,
            ended: false,
            _permit: permit,
        }
    }

    fn wait_for(&self, sequence: u64) -> Wait {
        let ring = Arc::clone(&self.ring);
        let until_end = self.query.window_end_ns().map(|end_ns| {
            Duration::from_nanos(u64::try_from(end_ns.saturating_sub(wall_now_ns())).unwrap_or(0))
        });
        let longest = until_end.map_or(LOOK_EVERY, |until_end| until_end.min(LOOK_EVERY));
        let gather = self.woken_at.map_or(Duration::ZERO, |at| GATHER.saturating_sub(at.elapsed()));
        Box::pin(async move {
            if !gather.is_zero() {
                tokio::time::sleep(gather).await;
            }
            // either way the query is asked again
            let _ = tokio::time::timeout(longest, ring.wait_for(sequence)).await;
        })
    }

    /// Fills `out` until there is a chunk, or nothing more for now, or others are to have their turn. Ready if the
    /// query need not be waited for.
    fn fill(&mut self, out: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<()> {
        let begin = Instant::now();
        while out.len() < CHUNK_BYTES && !self.ended {
            if let Some(waiting) = &mut self.waiting {
                if waiting.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.waiting = None;
                self.woken_at = Some(tokio::time::Instant::now());
            }
            match SCRATCH.with_borrow_mut(|scratch| self.query.step(scratch, out)) {
                Progress::More if begin.elapsed() < TURN => {}
                Progress::More => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Progress::CaughtUp(sequence) => self.waiting = Some(self.wait_for(sequence)),
                Progress::Ended => self.ended = true,
            }
        }
        Poll::Ready(())
    }
}

impl Stream for FlowStream {
    type Item = Result<Bytes, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if this.shutdown.as_mut().poll(context).is_ready() {
            this.ended = true;
            return Poll::Ready(Some(Err(Status::unavailable("the agent is shutting down"))));
        }
        if this.under_way.poll_room(context).is_pending() {
            return Poll::Pending;
        }
        let mut out = this.buffers.take();
        let filled = this.fill(&mut out, context);
        if !out.is_empty() {
            return Poll::Ready(Some(Ok(this.under_way.send(out, &this.buffers))));
        }
        this.buffers.give_back(out);
        filled.map(|()| None)
    }
}
