//! The observer service with its own `GetFlows`: all other calls go to the generated code.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use palomar_proto::observer::observer_server::{ObserverServer, SERVICE_NAME};
use palomar_proto::observer::{GetFlowsRequest, GetFlowsResponse};
use tokio_stream::Empty;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::body::FlowBody;
use super::observer::ObserverService;
use super::stream::FlowStream;

const GET_FLOWS: &str = "/observer.Observer/GetFlows";

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The service `observer.Observer`.
#[derive(Clone)]
pub struct FlowService {
    observer: Arc<ObserverService>,
    generated: ObserverServer<ObserverService>,
}

/// The call `GetFlows`: reads the request as any other call does, and leaves the answer for the body.
struct GetFlows {
    observer: Arc<ObserverService>,
    begun: Arc<Mutex<Option<FlowStream>>>,
}

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
        let begun = Arc::default();
        let method = GetFlows { observer: Arc::clone(&self.observer), begun: Arc::clone(&begun) };
        Box::pin(async move {
            let codec = ProstCodec::<GetFlowsResponse, GetFlowsRequest>::default();
            let response = Grpc::new(codec).server_streaming(method, request).await;
            let begun = begun.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok(match begun {
                Some(stream) => response.map(|_| Body::new(FlowBody::new(stream))),
                None => response,
            })
        })
    }
}

impl ServerStreamingService<GetFlowsRequest> for GetFlows {
    type Response = GetFlowsResponse;
    type ResponseStream = Empty<Result<GetFlowsResponse, Status>>;
    type Future = Answer<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<GetFlowsRequest>) -> Self::Future {
        let (observer, begun) = (Arc::clone(&self.observer), Arc::clone(&self.begun));
        Box::pin(async move {
            let stream = observer.flows(request.into_inner()).await?;
            *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
            Ok(Response::new(tokio_stream::empty()))
        })
    }
}
