//! `ListConnections`: a fake table behind the real service.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use palomar_bpf::abi::{Connection, ConnectionKey, LimitKey, PolicyWord};
use palomar_bpf::{Entries, MapError};
use palomar_proto::palomar::v1;
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_proto::palomar::v1::palomar_server::Palomar;
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status};

use super::calls::serve;
use super::fixture::{Facts, Fixture, fixture};
use crate::connections::tests::fixture::{FAR, FRONT, FRONT_VETH, TCP, Table, ask, at, sources, table};
use crate::connections::{ConnectionTables, ConnectionWalk, Sources};
use crate::server::connection_stream::{ConnectionStream, MAX_CALLS};
use crate::server::own_service::OwnService;
use crate::server::{AgentFacts, Api, Served};

/// An agent that tracks what the table holds.
struct Tracking(Sources);

impl AgentFacts for Tracking {
    fn agent_status(&self) -> v1::GetAgentStatusResponse {
        Facts.agent_status()
    }

    fn endpoints(&self) -> v1::ListEndpointsResponse {
        Facts.endpoints()
    }

    fn connections(&self) -> Option<Sources> {
        Some(self.0.clone())
    }
}

fn tracking(sources: Sources) -> Fixture {
    let mut fixture = fixture(255);
    let served = fixture.api.shared.served.clone();
    fixture.api = Api::new(Served { facts: Arc::new(Tracking(sources)), ..served });
    fixture
}

fn many() -> Table {
    let entries: Vec<_> =
        (1..=5_000).map(|port| at(FRONT_VETH, (FRONT, port), (FAR, 80), TCP).open()).collect();
    Table { batch: 4_096, ..table(&entries) }
}

async fn list(fixture: &Fixture, request: v1::ListConnectionsRequest) -> Result<ConnectionStream, Status> {
    let service = OwnService::new(Arc::clone(&fixture.api.shared));
    Ok(service.list_connections(Request::new(request)).await?.into_inner())
}

fn everything() -> v1::ListConnectionsRequest {
    v1::ListConnectionsRequest::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_come_whole_over_the_wire() {
    let fixture = tracking(sources(many()));
    let (channel, _folder, _server) = serve(&fixture).await;
    let mut stream = PalomarClient::new(channel).list_connections(everything()).await.unwrap().into_inner();
    let (mut connections, mut totals) = (Vec::new(), None);
    while let Some(message) = stream.message().await.unwrap() {
        connections.extend(message.connections);
        totals = message.totals;
    }
    let expected = ask(many(), &everything());
    assert_eq!((connections, totals), (expected.0, Some(expected.1)));
}

#[tokio::test]
async fn lists_beyond_the_limit_are_refused_and_an_ended_one_makes_room() {
    let fixture = tracking(sources(many()));
    let mut streams = Vec::new();
    for _ in 0..MAX_CALLS {
        streams.push(list(&fixture, everything()).await.unwrap());
    }
    let refused = list(&fixture, everything()).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "4 lists of connections are made at once; try again");
    drop(streams.pop());
    let mut last = list(&fixture, everything()).await.unwrap();
    while let Some(message) = last.next().await {
        message.unwrap();
    }
    assert!(list(&fixture, everything()).await.is_ok(), "read to its end, though it is still held");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_loses_its_place_and_one_that_is_slow_does_not() {
    let fixture = tracking(sources(many()));
    let mut idle = Vec::new();
    for _ in 1..MAX_CALLS {
        idle.push(list(&fixture, everything()).await.unwrap());
    }
    let mut slow = list(&fixture, everything()).await.unwrap();
    assert_eq!(idle[0].next().await.unwrap().unwrap().connections.len(), 256, "then it takes nothing more");
    let mut taken = 0;
    while let Some(message) = slow.next().await {
        taken += message.unwrap().connections.len();
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert_eq!(taken, 5_000);
    for mut idle in idle {
        let aborted = idle.next().await.unwrap().unwrap_err();
        assert_eq!(aborted.code(), Code::Aborted);
        assert_eq!(aborted.message(), "the client took nothing for half a minute");
        assert!(idle.next().await.is_none());
    }
    for _ in 0..MAX_CALLS {
        assert!(list(&fixture, everything()).await.is_ok());
    }
}

#[tokio::test]
async fn a_shutdown_ends_every_list_and_says_so() {
    let fixture = tracking(sources(many()));
    let mut stream = list(&fixture, everything()).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    fixture.api.shut_down();
    assert_eq!(stream.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_its_reason() {
    let wrong = v1::ListConnectionsRequest { limit: 10_001, ..everything() };
    let refused = list(&tracking(sources(many())), wrong).await.err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "a limit of 10001 connections; choose up to 10000, or 0 for all");

    let refused = list(&fixture(255), everything()).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.message(), "no connections are tracked here");

    let broken = Sources { tables: Arc::new(Broken), ..sources(many()) };
    let fixture = tracking(broken);
    let mut stream = list(&fixture, everything()).await.unwrap();
    let failed = stream.next().await.unwrap().unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert_eq!(failed.message(), "cannot walk map connections: Bad file descriptor (os error 9)");
    assert!(stream.next().await.is_none());
}

/// A kernel that refuses.
struct Broken;

impl ConnectionTables for Broken {
    fn now_ns(&self) -> u64 {
        0
    }

    fn walk(&self) -> Box<dyn ConnectionWalk> {
        Box::new(Self)
    }

    fn connection(&self, _: &ConnectionKey) -> Result<Option<Connection>, MapError> {
        Ok(None)
    }

    fn capacity(&self) -> u32 {
        0
    }

    fn class(&self, _: IpAddr) -> Result<u32, MapError> {
        Ok(0)
    }

    fn policy(&self, _: u32) -> Result<PolicyWord, MapError> {
        Ok(PolicyWord::default())
    }

    fn last_denied(&self, _: &LimitKey) -> Result<Option<u64>, MapError> {
        Ok(None)
    }
}

impl ConnectionWalk for Broken {
    fn next(&mut self) -> Result<Option<Entries<'_, ConnectionKey, Connection>>, MapError> {
        let source = io::Error::from_raw_os_error(9);
        Err(MapError::Kernel { action: "walk", map: "connections", source })
    }
}
