//! Hubble's observer service.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use palomar_proto::observer::observer_server::Observer;
use palomar_proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetDebugEventsResponse, GetFlowsRequest, GetFlowsResponse,
    GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest, GetNodesResponse, Namespace,
    ServerStatusRequest, ServerStatusResponse,
};
use prost::Message;
use prost::bytes::Bytes;
use tokio_stream::{Empty, Stream};
use tonic::{Request, Response, Status};

use super::Shared;
use super::event_stream::{EventQuery, EventStream};
use super::frames::messages;
use super::plan::{Plan, Selection, check_selection};
use super::query::Query;
use super::status::server_status;
use super::stream::FlowStream;
use crate::clock::wall_now_ns;
use crate::enrich::NamespaceKey;

/// Answers the calls of `observer.Observer`.
pub struct ObserverService {
    shared: Arc<Shared>,
}

/// The messages in chunks of framed ones.
struct Messages {
    chunks: FlowStream,
    ready: VecDeque<Bytes>,
}

// === impl ObserverService ===

impl ObserverService {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Begins a query. Nothing is sent for a wrong request or beyond the limit of streams.
    pub async fn flows(&self, request: GetFlowsRequest) -> Result<FlowStream, Status> {
        let Shared { served, streams, refused_streams, shutdown, ends, buffers, .. } = &*self.shared;
        let permit = Arc::clone(streams).try_acquire_owned().map_err(|_| {
            refused_streams.fetch_add(1, Ordering::Relaxed);
            Status::resource_exhausted(format!(
                "too many flow streams: {} are served at once; end one, or start the agent with more --max-streams",
                served.max_streams
            ))
        })?;
        let plan = self.plan(request).await?;
        let query = Query::new(plan, served, ends);
        let (ring, buffers) = (Arc::clone(&served.ring), Arc::clone(buffers));
        Ok(FlowStream::new(query, ring, buffers, shutdown.subscribe(), permit))
    }

    /// A request that takes time to read is read where that delays nobody.
    async fn plan(&self, request: GetFlowsRequest) -> Result<Plan, Status> {
        if !Plan::takes_time(&request) {
            return Ok(Plan::new(&request)?);
        }
        let _turn = self.shared.compiling.acquire().await;
        let plan = tokio::task::spawn_blocking(move || Plan::new(&request)).await;
        Ok(plan.map_err(|error| Status::internal(error.to_string()))??)
    }
}

#[tonic::async_trait]
impl Observer for ObserverService {
    type GetFlowsStream = Pin<Box<dyn Stream<Item = Result<GetFlowsResponse, Status>> + Send>>;
    type GetAgentEventsStream = EventStream;
    type GetDebugEventsStream = Empty<Result<GetDebugEventsResponse, Status>>;

    /// For callers inside this process; over the network the encoded messages are sent as they are.
    async fn get_flows(
        &self,
        request: Request<GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        let chunks = self.flows(request.into_inner()).await?;
        Ok(Response::new(Box::pin(Messages { chunks, ready: VecDeque::new() })))
    }

    /// The newest events, by the rules that `GetFlows` has for its flows. Who was overtaken is told how many it missed.
    async fn get_agent_events(
        &self,
        request: Request<GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        let GetAgentEventsRequest { number, first, follow, since, until } = request.into_inner();
        let selection = Selection::new(number, first, follow, since.as_ref(), until.as_ref())?;
        let Shared { served, events, shutdown, .. } = &*self.shared;
        let permit = self.shared.watcher()?;
        let query =
            EventQuery { events: Arc::clone(events), selection, node_name: served.node.name().to_owned() };
        Ok(Response::new(query.stream(shutdown.subscribe(), permit)))
    }

    /// Ends at once: the datapath makes no debug events.
    async fn get_debug_events(
        &self,
        request: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        let GetDebugEventsRequest { first, follow, .. } = request.into_inner();
        check_selection(first, follow)?;
        Ok(Response::new(tokio_stream::empty()))
    }

    /// Only a relay knows nodes.
    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented("GetNodes not implemented"))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        let namespaces = self.shared.served.namespaces.list(wall_now_ns());
        let namespaces = namespaces
            .into_iter()
            .map(|NamespaceKey { cluster, namespace }| Namespace { cluster, namespace })
            .collect();
        Ok(Response::new(GetNamespacesResponse { namespaces }))
    }

    async fn server_status(
        &self,
        _: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        let Shared { served, started, .. } = &*self.shared;
        Ok(Response::new(server_status(&served.ring, started.elapsed(), wall_now_ns())))
    }
}

// === impl Messages ===

impl Stream for Messages {
    type Item = Result<GetFlowsResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { chunks, ready } = self.get_mut();
        loop {
            if let Some(message) = ready.pop_front() {
                let response = GetFlowsResponse::decode(message);
                return Poll::Ready(Some(response.map_err(|error| Status::internal(error.to_string()))));
            }
            match ready!(Pin::new(&mut *chunks).poll_next(context)) {
                Some(Ok(chunk)) => ready.extend(messages(chunk)),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
    }
}
