//! The gRPC API of one agent: Hubble's observer and peer services, Palomar's own, health and reflection.
//!
//! ```text
//! GetFlowsRequest → plan → query (ring, filters, losses) → encoder → stream of chunks → body
//! ```
//!
//! A query copies records out of the ring at its client's pace; a slow client delays nobody, holds a bounded number
//! of bytes and is told what it missed. Messages are made of parts that were encoded once for each end of a flow.

mod accept;
mod body;
mod call_limit;
mod chunks;
mod connection_stream;
mod encoder;
mod ends;
mod event_message;
mod event_stream;
mod flow_service;
mod frames;
mod health;
mod loss_report;
mod metrics;
mod observer;
mod own_service;
mod peer;
mod plan;
mod query;
mod status;
mod stream;
mod version_header;
mod view;
mod wanted;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use palomar_flow::convert::NodeContext;
use palomar_proto::FILE_DESCRIPTOR_SET;
use palomar_proto::palomar::v1::palomar_server::PalomarServer;
use palomar_proto::peer::peer_server::PeerServer;
use palomar_transport::server_builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_stream::Stream;
use tonic::Status;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::server::Connected;

use crate::directory::Directory;
use crate::enrich::SeenNamespaces;
use crate::events::AgentEvents;
use crate::losses::Losses;
use crate::ring::Ring;
use accept::Places;
use call_limit::{CallLimit, MAX_CALLS as MAX_CALLS_AT_ONCE};
use chunks::Buffers;
use connection_stream::MAX_CALLS;
use ends::EncodedEnds;
use flow_service::FlowService;
use observer::ObserverService;
pub use own_service::AgentFacts;
use own_service::OwnService;
pub use peer::PeerAddress;
use peer::PeerService;

/// `GetFlows` streams that are served at once, unless said otherwise; more are refused.
pub const DEFAULT_MAX_STREAMS: usize = 128;

/// Streams of one connection beyond those that are served: a client is to be told that it has too many, which it is
/// not where its own end holds them back.
const REFUSED_AT_ONCE: usize = 64;
/// Streams of agent events and of peers that are served at once; more are refused.
const MAX_WATCHERS: usize = 64;
/// Connections beyond those that may have a stream each: for calls that are answered at once.
const MORE_CONNECTIONS: usize = 64;
/// How long a call may take until its answer begins, its request included.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is served, and how much of it at once.
#[derive(Clone)]
pub struct Served {
    /// The recent flows.
    pub ring: Arc<Ring>,
    /// What was lost.
    pub losses: Arc<Losses>,
    /// The namespaces of the last hour.
    pub namespaces: Arc<SeenNamespaces>,
    /// The newest directory: identities are listed from it.
    pub directory: Arc<arc_swap::ArcSwap<Directory>>,
    /// What all flows of this node have in common.
    pub node: Arc<NodeContext>,
    /// What the control path knows.
    pub facts: Arc<dyn AgentFacts>,
    /// `GetFlows` streams at once; [`DEFAULT_MAX_STREAMS`] is the default.
    pub max_streams: usize,
}

/// The API, to be served on any number of listeners.
#[derive(Clone)]
pub struct Api {
    shared: Arc<Shared>,
}

/// What the services share.
pub(crate) struct Shared {
    served: Served,
    /// What the agent did of late.
    events: Arc<AgentEvents>,
    /// Where a relay reaches this agent.
    peer: PeerAddress,
    streams: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    /// Long lists of filters are compiled one after the other.
    compiling: Semaphore,
    places: Places,
    calls: CallLimit,
    connection_calls: Arc<Semaphore>,
    ends: EncodedEnds,
    buffers: Arc<Buffers>,
    /// Streams that were refused because there were too many.
    refused_streams: AtomicU64,
    started: Instant,
    shutdown: watch::Sender<bool>,
}

/// The API's own descriptors do not register.
#[derive(Debug, thiserror::Error)]
#[error("the reflection service cannot be built")]
pub struct InvalidDescriptors(#[from] tonic_reflection::server::Error);

// === impl Api ===

impl Api {
    /// The API over what is served. Its uptime counts from here.
    pub fn new(served: Served) -> Self {
        Self { shared: Arc::new(Shared::new(served, Arc::default(), PeerAddress::default())) }
    }

    /// The same with the events that are told there; without, there are none. To be called before anything is served.
    #[must_use]
    pub fn telling(self, events: Arc<AgentEvents>) -> Self {
        let Shared { served, peer, .. } = &*self.shared;
        Self { shared: Arc::new(Shared::new(served.clone(), events, peer.clone())) }
    }

    /// The same with where a relay reaches it; without, its peers are told no address. To be called before anything is
    /// served.
    #[must_use]
    pub fn reached_at(self, peer: PeerAddress) -> Self {
        let Shared { served, events, .. } = &*self.shared;
        Self { shared: Arc::new(Shared::new(served.clone(), Arc::clone(events), peer)) }
    }

    /// Ends all streams, with `UNAVAILABLE`, and refuses new ones.
    pub fn shut_down(&self) {
        self.shared.shutdown.send_replace(true);
    }

    /// All services, for a server to which more may be added.
    pub async fn routes(&self) -> Result<Routes, InvalidDescriptors> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let mut routes = RoutesBuilder::default();
        routes
            .add_service(FlowService::new(ObserverService::new(Arc::clone(&self.shared))))
            .add_service(PeerServer::new(PeerService::new(Arc::clone(&self.shared))))
            .add_service(PalomarServer::new(OwnService::new(Arc::clone(&self.shared))))
            .add_service(health::service().await)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        Ok(routes.routes())
    }

    /// Serves `routes` (those of [`Api::routes`], perhaps with more) on one listener until [`Api::shut_down`], and
    /// then until the calls under way have ended.
    pub async fn serve<I, C, E>(&self, routes: Routes, incoming: I) -> Result<(), tonic::transport::Error>
    where
        I: Stream<Item = Result<C, E>>,
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Shared { served, places, calls, shutdown, .. } = &*self.shared;
        let mut shutdown = shutdown.subscribe();
        let streams = u32::try_from(served.max_streams + REFUSED_AT_ONCE).unwrap_or(u32::MAX);
        server_builder()
            .max_concurrent_streams(streams)
            .timeout(PATIENCE)
            .layer(version_header::layer())
            .layer(calls.clone())
            .add_routes(routes)
            .serve_with_incoming_shutdown(places.accept(incoming), async move {
                // an error means that the API has gone, which ends the service as well
                let _ = shutdown.wait_for(|down| *down).await;
            })
            .await
    }
}

// === impl Shared ===

impl Shared {
    fn new(served: Served, events: Arc<AgentEvents>, peer: PeerAddress) -> Self {
        Self {
            events,
            peer,
            streams: Arc::new(Semaphore::new(served.max_streams)),
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            compiling: Semaphore::new(1),
            places: Places::new(served.max_streams + MORE_CONNECTIONS),
            calls: CallLimit::new(MAX_CALLS_AT_ONCE),
            connection_calls: Arc::new(Semaphore::new(MAX_CALLS)),
            ends: EncodedEnds::default(),
            buffers: Arc::default(),
            refused_streams: AtomicU64::new(0),
            served,
            started: Instant::now(),
            shutdown: watch::Sender::new(false),
        }
    }

    /// A place among those who watch this agent.
    fn watcher(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "too many streams of agent events and peers: {MAX_WATCHERS} are served at once; end one"
            ))
        })
    }
}
