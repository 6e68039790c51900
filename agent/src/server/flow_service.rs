//! The observer service with its `GetFlows` over encoded messages: all other calls go to the generated code.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use palomar_proto::observer::GetFlowsRequest;
use palomar_proto::observer::observer_server::{ObserverServer, SERVICE_NAME};
use prost::Message;
use prost::bytes::{BufMut, Bytes};
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};

use super::observer::ObserverService;
use super::stream::FlowStream;

const GET_FLOWS: &str = "/observer.Observer/GetFlows";
/// Bytes gathered before they are sent: the default of 32 KiB costs a system call too many.
const SEND_BYTES: usize = 64 << 10;

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The service `observer.Observer`.
#[derive(Clone)]
pub struct FlowService {
    observer: Arc<ObserverService>,
    generated: ObserverServer<ObserverService>,
}

/// The call `GetFlows`.
struct GetFlows(Arc<ObserverService>);

/// Requests are decoded, responses are encoded already.
#[derive(Debug, Clone, Copy, Default)]
struct EncodedResponses;

// === impl FlowService ===

impl FlowService {
    pub fn new(observer: ObserverService) -> Self {
        let observer = Arc::new(observer);
        Self { generated: ObserverServer::from_arc(Arc::clone(&observer)), observer }
    }
}

impl NamedService for FlowService {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for FlowService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.generated, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != GET_FLOWS {
            return self.generated.call(request);
        }
        let method = GetFlows(Arc::clone(&self.observer));
        Box::pin(async move { Ok(Grpc::new(EncodedResponses).server_streaming(method, request).await) })
    }
}

impl ServerStreamingService<GetFlowsRequest> for GetFlows {
    type Response = Bytes;
    type ResponseStream = FlowStream;
    type Future = Answer<Response<FlowStream>, Status>;

    fn call(&mut self, request: Request<GetFlowsRequest>) -> Self::Future {
        let stream = self.0.flows(request.get_ref());
        Box::pin(async move { stream.map(Response::new) })
    }
}

// === impl EncodedResponses ===

impl Codec for EncodedResponses {
    type Encode = Bytes;
    type Decode = GetFlowsRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for EncodedResponses {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(SEND_BYTES, SEND_BYTES)
    }
}

impl Decoder for EncodedResponses {
    type Item = GetFlowsRequest;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<GetFlowsRequest>, Status> {
        GetFlowsRequest::decode(message).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
