//! Servers to speak to: they answer what they were told to, and remember what they were asked.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use palomar_proto::flow::Flow;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::observer::observer_server::{Observer, ObserverServer};
use palomar_proto::observer::*;
use palomar_proto::palomar::v1 as own;
use palomar_proto::palomar::v1::palomar_server::{Palomar, PalomarServer};
use palomar_proto::peer::peer_server::{Peer, PeerServer};
use palomar_proto::peer::{ChangeNotification, NotifyRequest};
use palomar_transport::{TlsFiles, TlsListener};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::{Router, TcpIncoming};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a server answers.
#[derive(Clone)]
pub struct Stub {
    /// A `ServingStatus`, or the refusal.
    pub health: Result<i32, Status>,
    pub status: ServerStatusResponse,
    /// All flows that it has; a number in the request cuts them as a stock server does.
    pub flows: Result<Vec<GetFlowsResponse>, Status>,
    /// Whether the stream of flows stays open.
    pub endless: bool,
    pub nodes: Result<Vec<Node>, Status>,
    pub namespaces: Vec<Namespace>,
    pub agent_events: Result<Vec<GetAgentEventsResponse>, Status>,
    pub debug_events: Result<Vec<GetDebugEventsResponse>, Status>,
    pub peers: Vec<ChangeNotification>,
    pub headers: Vec<(&'static str, &'static str)>,
    pub agent: Option<Agent>,
    pub asked: Arc<Mutex<Vec<GetFlowsRequest>>>,
    pub asked_for_events: Arc<Mutex<Vec<GetAgentEventsRequest>>>,
    /// The `authorization` header of each call for flows; empty for none.
    pub authorized: Arc<Mutex<Vec<String>>>,
    pub calls: Arc<Mutex<Vec<&'static str>>>,
}

/// What our own service answers.
#[derive(Clone, Default)]
pub struct Agent {
    pub status: own::GetAgentStatusResponse,
    pub loss: own::GetLossResponse,
    pub identities: Vec<own::Identity>,
    pub endpoints: own::ListEndpointsResponse,
    /// The messages of the answer, or of a part of it.
    pub connections: Vec<own::ListConnectionsResponse>,
    /// The answers to one call for objects after the other.
    pub objects: Arc<Mutex<Vec<Vec<own::ListObjectsResponse>>>>,
    pub asked_for_connections: Arc<Mutex<Vec<own::ListConnectionsRequest>>>,
}

impl Default for Stub {
    fn default() -> Self {
        Self {
            health: Ok(1),
            status: ServerStatusResponse::default(),
            flows: Ok(Vec::new()),
            endless: false,
            nodes: Err(Status::unimplemented("GetNodes not implemented")),
            namespaces: Vec::new(),
            agent_events: Err(Status::unimplemented("GetAgentEvents not yet implemented")),
            debug_events: Err(Status::unimplemented("GetDebugEvents not yet implemented")),
            peers: Vec::new(),
            headers: Vec::new(),
            agent: None,
            asked: Arc::default(),
            asked_for_events: Arc::default(),
            authorized: Arc::default(),
            calls: Arc::default(),
        }
    }
}

impl Stub {
    /// Serves for as long as the runtime lives.
    pub fn serve(&self) -> SocketAddr {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        tokio::spawn(self.router().serve_with_incoming(incoming));
        address
    }

    /// The same with TLS.
    pub fn serve_tls(&self, files: TlsFiles) -> SocketAddr {
        let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), files, |_| {}).unwrap();
        let address = listener.local_addr();
        tokio::spawn(self.router().serve_with_incoming(listener));
        address
    }

    fn router(&self) -> Router {
        let own = self.agent.clone().map(PalomarServer::new);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(palomar_proto::FILE_DESCRIPTOR_SET)
            .build_v1alpha();
        palomar_transport::server_builder()
            .add_service(ObserverServer::new(self.clone()))
            .add_service(HealthServer::new(self.clone()))
            .add_service(PeerServer::new(self.clone()))
            .add_service(reflection.unwrap())
            .add_optional_service(own)
    }

    fn called(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
}

pub fn flow_response(summary: &str) -> GetFlowsResponse {
    let flow = Flow { summary: summary.to_owned(), ..Flow::default() };
    GetFlowsResponse { node_name: String::new(), time: None, response_types: Some(ResponseTypes::Flow(flow)) }
}

fn answers<T: Send + 'static>(events: Vec<T>) -> Response<Answers<T>> {
    Response::new(Box::pin(tokio_stream::iter(events.into_iter().map(Ok))))
}

#[tonic::async_trait]
impl Peer for Stub {
    type NotifyStream = Answers<ChangeNotification>;

    async fn notify(&self, _: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        Ok(answers(self.peers.clone()))
    }
}

#[tonic::async_trait]
impl Health for Stub {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        assert_eq!(request.into_inner().service, "hubble.server.Observer");
        self.health.clone().map(|status| Response::new(HealthCheckResponse { status }))
    }

    type WatchStream = Answers<HealthCheckResponse>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

#[tonic::async_trait]
impl Observer for Stub {
    type GetFlowsStream = Answers<GetFlowsResponse>;

    async fn get_flows(
        &self,
        request: Request<GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        let header = request.metadata().get("authorization").map_or("", |value| value.to_str().unwrap());
        self.authorized.lock().unwrap().push(header.to_owned());
        let request = request.into_inner();
        let mut flows = self.flows.clone()?;
        if request.since.is_some() && request.number > 0 {
            flows.truncate(usize::try_from(request.number).unwrap());
        }
        self.asked.lock().unwrap().push(request);
        let (sender, receiver) = mpsc::channel(1);
        let endless = self.endless;
        tokio::spawn(async move {
            for flow in flows {
                if sender.send(Ok(flow)).await.is_err() {
                    return;
                }
            }
            if endless {
                sender.closed().await;
            }
        });
        let mut response =
            Response::new(Box::pin(ReceiverStream::new(receiver).map(|flow| flow)) as Self::GetFlowsStream);
        for (name, value) in &self.headers {
            response.metadata_mut().insert(*name, value.parse().unwrap());
        }
        Ok(response)
    }

    type GetAgentEventsStream = Answers<GetAgentEventsResponse>;

    async fn get_agent_events(
        &self,
        request: Request<GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        self.asked_for_events.lock().unwrap().push(request.into_inner());
        Ok(answers(self.agent_events.clone()?))
    }

    type GetDebugEventsStream = Answers<GetDebugEventsResponse>;

    async fn get_debug_events(
        &self,
        _: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        Ok(answers(self.debug_events.clone()?))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        self.called("GetNodes");
        Ok(Response::new(GetNodesResponse { nodes: self.nodes.clone()? }))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        self.called("GetNamespaces");
        Ok(Response::new(GetNamespacesResponse { namespaces: self.namespaces.clone() }))
    }

    async fn server_status(
        &self,
        _: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        Ok(Response::new(self.status.clone()))
    }
}

#[tonic::async_trait]
impl Palomar for Agent {
    async fn get_agent_status(
        &self,
        _: Request<own::GetAgentStatusRequest>,
    ) -> Result<Response<own::GetAgentStatusResponse>, Status> {
        Ok(Response::new(self.status.clone()))
    }

    async fn get_loss(
        &self,
        _: Request<own::GetLossRequest>,
    ) -> Result<Response<own::GetLossResponse>, Status> {
        Ok(Response::new(self.loss.clone()))
    }

    async fn get_identity(
        &self,
        request: Request<own::GetIdentityRequest>,
    ) -> Result<Response<own::GetIdentityResponse>, Status> {
        let number = request.into_inner().identity;
        let found = self.identities.iter().find(|identity| identity.identity == number).cloned();
        let identity = found.ok_or_else(|| Status::not_found(format!("no identity {number}")))?;
        Ok(Response::new(own::GetIdentityResponse { identity: Some(identity) }))
    }

    async fn list_identities(
        &self,
        _: Request<own::ListIdentitiesRequest>,
    ) -> Result<Response<own::ListIdentitiesResponse>, Status> {
        Ok(Response::new(own::ListIdentitiesResponse { identities: self.identities.clone() }))
    }

    async fn list_endpoints(
        &self,
        _: Request<own::ListEndpointsRequest>,
    ) -> Result<Response<own::ListEndpointsResponse>, Status> {
        Ok(Response::new(self.endpoints.clone()))
    }

    type ListObjectsStream = Answers<own::ListObjectsResponse>;

    async fn list_objects(
        &self,
        _: Request<own::ListObjectsRequest>,
    ) -> Result<Response<Self::ListObjectsStream>, Status> {
        let mut answers = self.objects.lock().unwrap();
        // the last answer stays
        let answer =
            if answers.len() > 1 { answers.remove(0) } else { answers.first().cloned().unwrap_or_default() };
        Ok(Response::new(Box::pin(tokio_stream::iter(answer).map(Ok))))
    }

    type ListConnectionsStream = Answers<own::ListConnectionsResponse>;

    async fn list_connections(
        &self,
        request: Request<own::ListConnectionsRequest>,
    ) -> Result<Response<Self::ListConnectionsStream>, Status> {
        self.asked_for_connections.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Box::pin(tokio_stream::iter(self.connections.clone()).map(Ok))))
    }
}
