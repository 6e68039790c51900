//! The agent's own events, as clients ask for them.

use std::sync::Arc;
use std::time::Duration;

use palomar_flow::convert::timestamp;
use palomar_flow::json;
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::ObjectName;
use palomar_proto::flow::AgentEventUnknown;
use palomar_proto::flow::agent_event::Notification;
use palomar_proto::observer::observer_client::ObserverClient;
use palomar_proto::observer::observer_server::Observer;
use palomar_proto::observer::{GetAgentEventsRequest, GetAgentEventsResponse};
use tokio_stream::StreamExt;
use tonic::{Code, Request};

use super::calls::serve;
use super::fixture::{Fixture, fixture};
use crate::clock::wall_now_ns;
use crate::events::{AddressEvent, AgentEvent, AgentEvents, EndpointEvent, PolicyEvent, Regeneration};
use crate::server::event_stream::EventStream;

const SECOND_NS: i64 = 1_000_000_000;

/// A name, number, first, since, until → the seconds that are told.
type Row = (&'static str, u64, bool, Option<i64>, Option<i64>, &'static [i64]);

/// A fixture whose agent did something at each of the seconds from 1 to `last`.
fn told(last: i64, capacity: usize) -> (Fixture, Arc<AgentEvents>) {
    let mut fixture = fixture(15);
    let events = Arc::new(AgentEvents::new(capacity));
    fixture.api = fixture.api.telling(Arc::clone(&events));
    for second in 1..=last {
        events.tell(second * SECOND_NS, [AgentEvent::Started]);
    }
    (fixture, events)
}

async fn ask(fixture: &Fixture, request: GetAgentEventsRequest) -> EventStream {
    fixture.observer().get_agent_events(Request::new(request)).await.unwrap().into_inner()
}

async fn next(stream: &mut EventStream) -> Option<GetAgentEventsResponse> {
    let next = tokio::time::timeout(Duration::from_secs(5), stream.next()).await;
    next.expect("an answer within 5 s").map(|response| response.unwrap())
}

/// How many events a response says were missed; `None` for one that tells an event.
fn missed_by(response: GetAgentEventsResponse) -> Option<u64> {
    match response.agent_event?.notification? {
        Notification::Unknown(AgentEventUnknown { r#type, notification }) => {
            assert_eq!(r#type, "lost_events");
            let count = notification.split_once(r#""num_events_lost":""#).unwrap().1;
            Some(count.split('"').next().unwrap().parse().unwrap())
        }
        _ => None,
    }
}

/// The second of each event until the end.
async fn seconds(mut stream: EventStream) -> Vec<i64> {
    let mut seconds = Vec::new();
    while let Some(response) = next(&mut stream).await {
        assert_eq!(response.node_name, "node-1");
        seconds.push(response.time.unwrap().seconds);
    }
    seconds
}

#[tokio::test]
async fn what_is_selected_is_told_in_its_order_and_then_the_end() {
    let all = u64::MAX;
    let table: [Row; 11] = [
        ("all of them", all, false, None, None, &[3, 4, 5, 6, 7]),
        ("all, without a number", 0, false, None, None, &[3, 4, 5, 6, 7]),
        ("the last", 2, false, None, None, &[6, 7]),
        ("the first", 2, true, None, None, &[3, 4]),
        ("more than there are", 99, true, None, None, &[3, 4, 5, 6, 7]),
        ("since a time, that included", 0, false, Some(5), None, &[5, 6, 7]),
        ("until a time, that included", 0, false, None, Some(5), &[3, 4, 5]),
        ("the last of a time", 2, false, Some(3), Some(5), &[4, 5]),
        ("the first of a time", 1, true, Some(4), Some(6), &[4]),
        ("the last of the future", 2, false, Some(8), None, &[]),
        ("a time that ends before it begins", 0, false, Some(6), Some(4), &[]),
    ];
    let (fixture, _events) = told(7, 5);
    for (name, number, first, since, until, expected) in table {
        let time = |second: Option<i64>| second.map(|second| timestamp(second * SECOND_NS));
        let request =
            GetAgentEventsRequest { number, first, follow: false, since: time(since), until: time(until) };
        assert_eq!(seconds(ask(&fixture, request).await).await, expected, "{name}");
    }
    let both = GetAgentEventsRequest { first: true, follow: true, ..GetAgentEventsRequest::default() };
    let refused = fixture.observer().get_agent_events(Request::new(both)).await.err().unwrap();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "first cannot be specified with follow")
    );
}

#[tokio::test]
async fn a_follower_gets_its_past_and_what_comes_and_learns_what_it_missed() {
    let (fixture, events) = told(3, 200);
    let request = GetAgentEventsRequest { number: 1, follow: true, ..GetAgentEventsRequest::default() };
    let mut stream = ask(&fixture, request).await;
    let quiet = ask(&fixture, GetAgentEventsRequest { follow: true, ..GetAgentEventsRequest::default() });
    let mut quiet = quiet.await;
    assert_eq!(next(&mut stream).await.unwrap().time.unwrap().seconds, 3);
    events.tell(4 * SECOND_NS, [AgentEvent::Started]);
    for stream in [&mut stream, &mut quiet] {
        assert_eq!(next(stream).await.unwrap().time.unwrap().seconds, 4);
    }
    // more than are kept, while nobody reads
    for second in 5..=1_004 {
        events.tell(second * SECOND_NS, [AgentEvent::Started]);
        tokio::task::yield_now().await;
    }
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < 1_000 {
        match missed_by(next(&mut stream).await.unwrap()) {
            None => seen += 1,
            Some(more) => missed += more,
        }
    }
    assert!(missed > 0 && seen + missed == 1_000, "{seen} seen, {missed} missed");
}

#[tokio::test]
async fn who_asked_for_the_past_misses_nothing_of_what_came_later() {
    let (fixture, events) = told(200, 200);
    let mut stream = ask(&fixture, GetAgentEventsRequest::default()).await;
    tokio::task::yield_now().await;
    for second in 201..=1_200 {
        events.tell(second * SECOND_NS, [AgentEvent::Started]);
    }
    let (mut seen, mut missed) = (0, 0);
    while let Some(response) = next(&mut stream).await {
        match missed_by(response) {
            None => seen += 1,
            Some(more) => missed += more,
        }
    }
    assert!(seen > 0 && missed > 0 && seen + missed == 200, "{seen} seen, {missed} missed");
}

#[tokio::test]
async fn a_follower_ends_with_its_time_and_with_the_agent() {
    let (fixture, _events) = told(1, 5);
    let until = Some(timestamp(wall_now_ns() + SECOND_NS / 5));
    let timed = GetAgentEventsRequest { follow: true, until, ..GetAgentEventsRequest::default() };
    assert!(seconds(ask(&fixture, timed).await).await.is_empty());
    let mut stream =
        ask(&fixture, GetAgentEventsRequest { follow: true, ..GetAgentEventsRequest::default() }).await;
    fixture.api.shut_down();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.next()).await.unwrap().unwrap();
    assert_eq!(end.unwrap_err().message(), "the agent is shutting down");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn too_many_watchers_are_refused_and_one_that_goes_makes_room() {
    let (fixture, _events) = told(1, 5);
    let follow = || GetAgentEventsRequest { follow: true, ..GetAgentEventsRequest::default() };
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(ask(&fixture, follow()).await);
    }
    let refused = fixture.observer().get_agent_events(Request::new(follow())).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("64 are served at once"), "{refused}");
    streams.pop();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if fixture.observer().get_agent_events(Request::new(follow())).await.is_ok() {
            return;
        }
    }
    panic!("a place that is free again is not given");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_event_has_the_message_that_hubble_has_for_it() {
    let pod = ObjectName::new("shop", "web");
    let labels = LabelSet::new(vec![Label::k8s("app", "web")]);
    let policy = || PolicyEvent { name: ObjectName::new("shop", "deny"), rules: 2, revision: 7 };
    let endpoint = || EndpointEvent { id: 7, pod: pod.clone(), labels: labels.clone() };
    let regenerated = |error: Option<&str>| {
        AgentEvent::Regenerated(Regeneration {
            id: 7,
            labels: labels.clone(),
            error: error.map(str::to_owned),
        })
    };
    let web = || AddressEvent {
        address: "10.0.0.1".parse().unwrap(),
        identity: Identity(300),
        old_identity: Some(Identity(301)),
        host: Some("192.0.2.1".parse().unwrap()),
        old_host: Some("192.0.2.2".parse().unwrap()),
        pod: Some(pod.clone()),
    };
    let node = AddressEvent {
        address: "fd00::1".parse().unwrap(),
        identity: Identity::HOST,
        old_identity: None,
        host: None,
        old_host: None,
        pod: None,
    };
    let of_policy = r#""policy_update":{"labels":["k8s:io.cilium.k8s.policy.derived-from=NetworkPolicy","k8s:io.cilium.k8s.policy.name=deny","k8s:io.cilium.k8s.policy.namespace=shop"],"revision":"7","rule_count":"2"}"#;
    let of_endpoint =
        r#""endpoint_update":{"id":"7","labels":["k8s:app=web"],"pod_name":"web","namespace":"shop"}"#;
    let of_web = r#""ipcache_update":{"cidr":"10.0.0.1/32","identity":300,"old_identity":301,"host_ip":"192.0.2.1","old_host_ip":"192.0.2.2","namespace":"shop","pod_name":"web"}"#;
    let table = [
        (AgentEvent::Started, r#""type":"AGENT_STARTED","agent_start":{"time":"1970-01-01T00:00:01Z"}"#.to_owned()),
        (AgentEvent::PolicyUpdated(policy()), format!(r#""type":"POLICY_UPDATED",{of_policy}"#)),
        (AgentEvent::PolicyDeleted(policy()), format!(r#""type":"POLICY_DELETED",{of_policy}"#)),
        (AgentEvent::EndpointCreated(endpoint()), format!(r#""type":"ENDPOINT_CREATED",{of_endpoint}"#)),
        (AgentEvent::EndpointDeleted(endpoint()), format!(r#""type":"ENDPOINT_DELETED",{of_endpoint}"#)),
        (
            regenerated(None),
            r#""type":"ENDPOINT_REGENERATE_SUCCESS","endpoint_regenerate":{"id":"7","labels":["k8s:app=web"]}"#.to_owned(),
        ),
        (
            regenerated(Some("boom")),
            r#""type":"ENDPOINT_REGENERATE_FAILURE","endpoint_regenerate":{"id":"7","labels":["k8s:app=web"],"error":"boom"}"#.to_owned(),
        ),
        (AgentEvent::AddressUpserted(web()), format!(r#""type":"IPCACHE_UPSERTED",{of_web}"#)),
        (AgentEvent::AddressDeleted(web()), format!(r#""type":"IPCACHE_DELETED",{of_web}"#)),
        (
            AgentEvent::AddressUpserted(node),
            r#""type":"IPCACHE_UPSERTED","ipcache_update":{"cidr":"fd00::1/128","identity":1}"#.to_owned(),
        ),
    ];
    let (fixture, events) = told(0, 99);
    events.tell(SECOND_NS, table.iter().map(|(event, _)| event.clone()));
    let (channel, _folder, _server) = serve(&fixture).await;
    let request = GetAgentEventsRequest { number: u64::MAX, ..GetAgentEventsRequest::default() };
    let mut stream = ObserverClient::new(channel).get_agent_events(request).await.unwrap().into_inner();
    for (_, expected) in table {
        let response = stream.message().await.unwrap().expect("an event");
        let envelope = r#","node_name":"node-1","time":"1970-01-01T00:00:01Z"}"#;
        assert_eq!(
            json::to_string(&response).unwrap(),
            format!(r#"{{"agent_event":{{{expected}}}{envelope}"#)
        );
    }
    assert_eq!(stream.message().await.unwrap(), None);
}
