//! How quickly the client of one stream prints what a server sends: each format, over a Unix socket from a server in
//! another thread. Times are those that the client's thread has on a processor, from the call to the last byte.

#[path = "shared/formats.rs"]
mod formats;
mod shared;

use std::cell::Cell;
use std::hint::black_box;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use chrono::Utc;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use formats::FORMATS;
use palomar_cli::{Surroundings, run};
use palomar_flow::json;
use palomar_flow::mask::FieldMask;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::observer::observer_server::{Observer, ObserverServer};
use palomar_proto::observer::{
    GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest, GetDebugEventsResponse,
    GetFlowsRequest, GetFlowsResponse, GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest,
    GetNodesResponse, ServerStatusRequest, ServerStatusResponse,
};
use shared::{Counted, FLOWS, fixture, timed};
use tokio::net::UnixListener;
use tokio::runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{self as stream, Stream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// How often a server sends its flows in one answer.
const REPEATED: usize = 10;

type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Sends all its flows, with the fields that were asked for.
struct Sender(Arc<Vec<GetFlowsResponse>>);

#[tonic::async_trait]
impl Observer for Sender {
    type GetFlowsStream = Answer<GetFlowsResponse>;
    type GetAgentEventsStream = Answer<GetAgentEventsResponse>;
    type GetDebugEventsStream = Answer<GetDebugEventsResponse>;

    async fn get_flows(
        &self,
        request: Request<GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        let mask = request.into_inner().field_mask.map(|mask| FieldMask::compile(&mask.paths));
        let mask = mask.transpose().map_err(|error| Status::invalid_argument(error.to_string()))?;
        let masked = |response: &GetFlowsResponse| match (&response.response_types, &mask) {
            (Some(ResponseTypes::Flow(flow)), Some(mask)) => {
                let flow = mask.apply(flow.clone());
                GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..response.clone() }
            }
            _ => response.clone(),
        };
        let responses: Arc<Vec<_>> = Arc::new(self.0.iter().map(masked).collect());
        let all = (0..REPEATED * responses.len()).map(move |at| Ok(responses[at % responses.len()].clone()));
        Ok(Response::new(Box::pin(stream::iter(all))))
    }

    async fn get_agent_events(
        &self,
        _: Request<GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_debug_events(
        &self,
        _: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn server_status(
        &self,
        _: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// Serves until the program ends.
fn serve(socket: &Path) {
    let lines = fixture();
    let responses = lines.lines().map(|line| json::parse(line).expect("a response").message).collect();
    let (ready, is_ready) = mpsc::channel();
    let socket = socket.to_owned();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = UnixListener::bind(socket).expect("a socket");
            ready.send(()).expect("it is waited for");
            let server = Server::builder()
                .initial_stream_window_size(1 << 20)
                .add_service(ObserverServer::new(Sender(Arc::new(responses))));
            server.serve_with_incoming(UnixListenerStream::new(listener)).await.expect("it serves");
        });
    });
    is_ready.recv().expect("it starts");
}

/// Asks for everything in a format; gives the bytes written.
fn observe(server: &str, format: &str) -> u64 {
    let written = Cell::new(0);
    let words = ["observe", "--server", server, "--all", "-o", format].map(str::to_owned);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let code = runtime.block_on(run(
        &words,
        &mut Surroundings {
            input: &mut Cursor::new(""),
            out: &mut Counted(Some(&written)),
            err: &mut Counted(None),
            out_is_terminal: false,
            directory: PathBuf::from("/nonexistent"),
            now: Utc::now(),
            variables: &|_| None,
        },
    ));
    assert_eq!(code, 0, "{format}");
    written.get()
}

fn speeds(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("server.sock");
    serve(&socket);
    let server = format!("unix://{}", socket.display());
    let flows = FLOWS * u64::try_from(REPEATED).expect("small");
    let mut group = criterion.benchmark_group("one stream");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(flows));
    for format in FORMATS {
        println!("{format}: {} bytes out, {flows} flows", observe(&server, format));
        group.bench_function(format, |bencher| {
            bencher.iter_custom(|rounds| {
                timed(rounds, || {
                    black_box(observe(&server, format));
                })
            });
        });
    }
    group.finish();
}

criterion_group!(all, speeds);
criterion_main!(all);
