//! `ListConnections` as a stream: the kernel's table is walked where blocking is allowed, and only as fast as the
//! client takes what is found.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use palomar_bpf::MapError;
use palomar_proto::palomar::v1::ListConnectionsResponse;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tonic::Status;

use crate::connections::Query;

/// Calls that are answered at once; more are refused.
pub const MAX_CALLS: usize = 4;
/// For how long a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a call holds while it is answered: some megabytes, and one of few places.
struct Call {
    query: Query,
    _permit: OwnedSemaphorePermit,
}

type Step = (Call, Result<Option<ListConnectionsResponse>, MapError>);

/// A call, shared with what watches over its client.
struct Slot {
    /// `None` while the table is looked at, and when the call has ended.
    call: Option<Call>,
    /// Whether the client took too long.
    is_aborted: bool,
    /// Messages that were asked for.
    asked: u64,
}

/// The messages of one call.
pub struct ConnectionStream {
    slot: Arc<Mutex<Slot>>,
    step: Option<JoinHandle<Step>>,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_ended: bool,
}

// === impl ConnectionStream ===

impl ConnectionStream {
    /// Must be called inside a runtime.
    pub fn new(query: Query, permit: OwnedSemaphorePermit, mut shutdown: watch::Receiver<bool>) -> Self {
        let call = Some(Call { query, _permit: permit });
        let slot = Arc::new(Mutex::new(Slot { call, is_aborted: false, asked: 0 }));
        tokio::spawn(give_up_on_idle(Arc::downgrade(&slot)));
        let shutdown = Box::pin(async move {
            // an error means that the API has gone
            let _ = shutdown.wait_for(|down| *down).await;
        });
        Self { slot, step: None, shutdown, is_ended: false }
    }

    fn end(&mut self, status: Option<Status>) -> Poll<Option<Result<ListConnectionsResponse, Status>>> {
        self.is_ended = true;
        Poll::Ready(status.map(Err))
    }
}

/// The slot; nobody panics while holding it.
fn lock(slot: &Mutex<Slot>) -> std::sync::MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes back what a call holds when its client has taken nothing for too long.
async fn give_up_on_idle(slot: Weak<Mutex<Slot>>) {
    let mut asked_before = 0;
    loop {
        tokio::time::sleep(PATIENCE).await;
        let Some(slot) = slot.upgrade() else { return };
        let mut slot = lock(&slot);
        if slot.asked == asked_before && slot.call.take().is_some() {
            slot.is_aborted = true;
            return;
        }
        asked_before = slot.asked;
    }
}

impl Stream for ConnectionStream {
    type Item = Result<ListConnectionsResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_ended {
            return Poll::Ready(None);
        }
        if this.shutdown.as_mut().poll(context).is_ready() {
            lock(&this.slot).call = None;
            return this.end(Some(Status::unavailable("the agent is shutting down")));
        }
        let step = match &mut this.step {
            Some(step) => step,
            none => {
                let mut slot = lock(&this.slot);
                slot.asked += 1;
                let call = slot.call.take();
                drop(slot);
                let Some(mut call) = call else {
                    return this.end(Some(Status::aborted("the client took nothing for half a minute")));
                };
                none.insert(tokio::task::spawn_blocking(move || {
                    let message = call.query.next_message();
                    (call, message)
                }))
            }
        };
        let done = ready!(Pin::new(step).poll(context));
        this.step = None;
        match done {
            Ok((call, Ok(Some(message)))) => {
                lock(&this.slot).call = Some(call);
                Poll::Ready(Some(Ok(message)))
            }
            Ok((_, Ok(None))) => this.end(None),
            Ok((_, Err(error))) => this.end(Some(unreadable(&error))),
            Err(error) => this.end(Some(Status::internal(error.to_string()))),
        }
    }
}

fn unreadable(error: &MapError) -> Status {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Status::internal(format!("{error}{cause}"))
}
