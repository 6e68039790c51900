//! `ListObjects` over the wire.

use std::sync::Arc;

use palomar_proto::palomar::v1;
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use tonic::Code;

use super::calls::serve;
use super::fixture::{Facts, fixture};
use crate::server::{AgentFacts, Api, Served};

/// An agent that has this answer.
struct Telling(Vec<v1::ListObjectsResponse>);

impl AgentFacts for Telling {
    fn agent_status(&self) -> v1::GetAgentStatusResponse {
        Facts.agent_status()
    }

    fn endpoints(&self) -> v1::ListEndpointsResponse {
        Facts.endpoints()
    }

    fn objects(&self) -> Option<Vec<v1::ListObjectsResponse>> {
        Some(self.0.clone())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_come_whole_over_the_wire_and_an_agent_without_a_source_refuses() {
    let object =
        |json: &str| v1::ClusterObject { json: json.into(), line: 3, ..v1::ClusterObject::default() };
    // more than a message of default size may hold, and more than a connection has in flight
    let big = "x".repeat(1_000_000);
    let part = |json: &str| v1::ListObjectsResponse {
        objects: vec![object(json)],
        ..v1::ListObjectsResponse::default()
    };
    let totals = Some(v1::ObjectTotals { objects: 6, ..v1::ObjectTotals::default() });
    let last = v1::ListObjectsResponse { totals, ..v1::ListObjectsResponse::default() };
    let answer: Vec<_> = (0..6).map(|_| part(&big)).chain([last]).collect();

    let mut fixture = fixture(255);
    let served = fixture.api.shared.served.clone();
    fixture.api = Api::new(Served { facts: Arc::new(Telling(answer.clone())), ..served.clone() });
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut stream =
        PalomarClient::new(channel).list_objects(v1::ListObjectsRequest {}).await.unwrap().into_inner();
    let mut received = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        received.push(message);
    }
    assert_eq!(received, answer);

    fixture.api = Api::new(Served { facts: Arc::new(Facts), ..served });
    let (channel, _folder, _server) = serve(&fixture).await;
    let refused = PalomarClient::new(channel).list_objects(v1::ListObjectsRequest {}).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::FailedPrecondition, "no objects are known of here")
    );
}
