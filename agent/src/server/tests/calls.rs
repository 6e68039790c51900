//! Calls over a Unix socket, as clients make them.

use std::time::Duration;

use palomar_proto::flow::FlowFilter;
use palomar_proto::observer::observer_client::ObserverClient;
use palomar_proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest, GetNamespacesRequest, GetNodesRequest,
    ServerStatusRequest,
};
use palomar_proto::palomar::v1;
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_transport::{Target, Timeouts, connect};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;

use super::fixture::{Fixture, fixture, fixture_with};
use crate::losses::{Gap, GapCause, Losses};

/// Serves the fixture in a folder that must outlive the channel.
pub async fn serve(fixture: &Fixture) -> (Channel, tempfile::TempDir, tokio::task::JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("palomar.sock");
    let incoming = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
    let api = fixture.api.clone();
    let server = tokio::spawn(async move {
        let routes = api.routes().await.unwrap();
        api.serve(routes, incoming).await.unwrap();
    });
    let channel = connect(&Target::Unix(path), Timeouts::default()).await.unwrap();
    (channel, folder, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_come_whole_over_the_wire() {
    let mut fixture = fixture(4_095);
    for n in 0..5_000 {
        fixture.write(n, i64::try_from(n).unwrap());
    }
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut stream =
        ObserverClient::new(channel).get_flows(GetFlowsRequest::default()).await.unwrap().into_inner();
    let mut received = Vec::new();
    while let Some(response) = stream.message().await.unwrap() {
        received.push(response);
    }
    assert_eq!(received, fixture.ask(GetFlowsRequest::default()).await.unwrap());
    assert_eq!(received.len(), 4_095);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_refused_with_the_codes_and_texts_that_clients_know() {
    let fixture = fixture(255);
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut client = ObserverClient::new(channel);
    let base = GetFlowsRequest::default;
    let filter = FlowFilter { source_port: vec!["abc".into()], ..FlowFilter::default() };
    let mask = prost_types::FieldMask { paths: vec!["nope".into()] };
    let table = [
        (
            GetFlowsRequest { first: true, follow: true, ..base() },
            Code::InvalidArgument,
            "first cannot be specified with follow",
        ),
        (
            GetFlowsRequest { whitelist: vec![filter], ..base() },
            Code::Unknown,
            "invalid source port filter: invalid port \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
        ),
        (GetFlowsRequest { field_mask: Some(mask), ..base() }, Code::Unknown, "invalid fieldmask"),
    ];
    for (request, code, text) in table {
        let error = client.get_flows(request).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (code, text));
    }
    let error = client.get_nodes(GetNodesRequest {}).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Unimplemented, "GetNodes not implemented"));
    let both = GetAgentEventsRequest { first: true, follow: true, ..GetAgentEventsRequest::default() };
    assert_eq!(client.get_agent_events(both).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_response_says_the_version_and_errors_do_too() {
    let fixture = fixture(255);
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut client = ObserverClient::new(channel);
    let version = |metadata: &tonic::metadata::MetadataMap| {
        metadata.get("hubble-server-version").unwrap().to_str().unwrap().to_owned()
    };
    let status = client.server_status(ServerStatusRequest {}).await.unwrap();
    assert_eq!(version(status.metadata()), "1.19.4");
    assert_eq!(version(client.get_nodes(GetNodesRequest {}).await.unwrap_err().metadata()), "1.19.4");
    let flows = client.get_flows(GetFlowsRequest::default()).await.unwrap();
    assert_eq!(version(flows.metadata()), "1.19.4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_counts_the_ring_and_leaves_a_relays_counters_out() {
    let mut fixture = fixture(255);
    let now = crate::clock::wall_now_ns();
    for n in 0..300 {
        fixture.write(n, now - 10_000_000_000);
    }
    let (channel, _folder, _server) = serve(&fixture).await;
    let status =
        ObserverClient::new(channel).server_status(ServerStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.num_flows, status.max_flows, status.seen_flows), (255, 255, 300));
    assert_eq!((status.num_connected_nodes, status.num_unavailable_nodes), (None, None));
    assert_eq!(status.version, "palomar v0.1.0 (hubble v1.19.4 compatible)");
    assert!((20.0..26.0).contains(&status.flows_rate), "255 flows in 10 s: {}", status.flows_rate);
    assert!(status.uptime_ns > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_there_are_none_of_end_at_once_and_namespaces_start_empty() {
    let fixture = fixture(255);
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut client = ObserverClient::new(channel);
    let mut agent = client.get_agent_events(GetAgentEventsRequest::default()).await.unwrap().into_inner();
    assert_eq!(agent.message().await.unwrap(), None);
    let mut debug = client.get_debug_events(GetDebugEventsRequest::default()).await.unwrap().into_inner();
    assert_eq!(debug.message().await.unwrap(), None);
    let namespaces = client.get_namespaces(GetNamespacesRequest {}).await.unwrap().into_inner();
    assert!(namespaces.namespaces.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_reflection_answer() {
    let fixture = fixture(255);
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "hubble.server.Observer"] {
        let response = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        assert_eq!(response.into_inner().status, 1, "{service:?} serves");
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("a list of services")
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["observer.Observer", "peer.Peer", "palomar.v1.Palomar", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_service_tells_losses_identities_and_facts() {
    let gap = |first_ns, flows, cause| Gap { first_ns, last_ns: 9_000_000_000, flows, cause };
    let gaps = vec![
        gap(i64::MIN, None, GapCause::Unreadable),
        gap(3_000_000_000, Some(7), GapCause::NotSaved),
        gap(4_000_000_000, None, GapCause::NothingRan),
    ];
    let fixture = fixture_with(255, 3, Losses::with_history(&[], gaps));
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut client = PalomarClient::new(channel);
    let loss = client.get_loss(v1::GetLossRequest {}).await.unwrap().into_inner();
    let names: Vec<&str> = loss.counters.iter().map(|counter| counter.source.as_str()).collect();
    assert_eq!(names.first().copied(), Some("rate_limited"));
    assert_eq!(names.last().copied(), Some("reader_overtaken"));
    let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().map(|time| time.seconds);
    let gaps: Vec<_> = loss.gaps.iter().map(|gap| (seconds(&gap.first), gap.flows, gap.cause())).collect();
    let expected = [
        (None, None, v1::GapCause::Unreadable),
        (Some(3), Some(7), v1::GapCause::NotSaved),
        (Some(4), None, v1::GapCause::NothingRan),
    ];
    assert_eq!(gaps, expected);
    assert!(loss.gaps.iter().all(|gap| seconds(&gap.last) == Some(9)));
    let world = client.get_identity(v1::GetIdentityRequest { identity: 2 }).await.unwrap().into_inner();
    assert_eq!(world.identity.unwrap().labels, ["reserved:world"]);
    let unknown = client.get_identity(v1::GetIdentityRequest { identity: 9_999 }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let status = client.get_agent_status(v1::GetAgentStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.node_name, "node-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_makes_room_for_another() {
    let fixture = super::fixture::fixture_for(255, 1);
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut client = ObserverClient::new(channel);
    let follow = || GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let first = client.get_flows(follow()).await.unwrap();
    assert_eq!(client.get_flows(follow()).await.unwrap_err().code(), Code::ResourceExhausted);
    drop(first);
    let again = async {
        while client.get_flows(follow()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_ends_the_server_although_a_client_follows() {
    let fixture = fixture(255);
    let (channel, _folder, server) = serve(&fixture).await;
    let request = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut stream = ObserverClient::new(channel).get_flows(request).await.unwrap().into_inner();
    fixture.api.shut_down();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap();
}
