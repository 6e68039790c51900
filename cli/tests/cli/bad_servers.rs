//! Servers that break, that are newer than we are, or that mean harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::server::{Agent, Stub, flow_response};
use crate::support::{Outcome, palomar};
use http_body_util::{BodyExt, Full};
use palomar_proto::flow::{
    AgentEvent, AgentEventUnknown, DebugEvent, Dns, Endpoint, Flow, Ip, Layer7, LostEvent, Policy, Service,
    agent_event::Notification, layer7,
};
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::observer::*;
use palomar_proto::palomar::v1 as own;
use palomar_proto::peer::ChangeNotification;
use palomar_proto::relay::NodeStatusEvent;
use tokio::io::copy;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tonic::Status;
use tonic::codegen::{Bytes, http};

async fn run(address: &str, words: &[&str]) -> Outcome {
    palomar(&[words, &["--server", address]].concat()).run_async().await
}

/// Forwards one connection to a server until it is told to break it.
async fn breakable(server: SocketAddr) -> (SocketAddr, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let broken = Arc::new(Notify::new());
    let told = Arc::clone(&broken);
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut server = TcpStream::connect(server).await.unwrap();
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.split(), server.split());
        tokio::select! {
            _ = copy(&mut from_client, &mut to_server) => {}
            _ = copy(&mut from_server, &mut to_client) => {}
            () = told.notified() => {}
        }
    });
    (address, broken)
}

#[tokio::test]
async fn what_came_before_a_server_died_is_printed_and_the_end_is_a_failure() {
    let stub = Stub {
        flows: Ok(vec![flow_response("one"), flow_response("two")]),
        endless: true,
        ..Stub::default()
    };
    for words in [
        &["observe", "-f"] as &[&str],
        &["observe", "--all", "-o", "table"],
        &["observe", "--since", "1h", "--last", "9"],
    ] {
        let (address, broken) = breakable(stub.serve()).await;
        let asked = stub.asked.lock().unwrap().len();
        let address = address.to_string();
        let breaking = async {
            while stub.asked.lock().unwrap().len() == asked {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // the flows are on their way
            tokio::time::sleep(Duration::from_millis(100)).await;
            broken.notify_one();
        };
        let (outcome, ()) = tokio::join!(run(&address, words), breaking);
        assert_eq!(outcome.code, 1, "{words:?}");
        assert!(outcome.out.contains("one") && outcome.out.contains("two"), "{words:?}: {}", outcome.out);
        let wanted = "rpc error: code = Unavailable desc = error reading from server: EOF\n";
        assert_eq!(outcome.err, wanted, "{words:?}");
    }
}

/// Answers every call with the same bytes as one message, well or not.
#[derive(Clone)]
struct Raw(Vec<u8>);

impl tonic::server::NamedService for Raw {
    const NAME: &'static str = "observer.Observer";
}

impl<B: Send + 'static> tonic::codegen::Service<http::Request<B>> for Raw {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<B>) -> Self::Future {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let body = Full::new(Bytes::from(self.0.clone())).with_trailers(async { Some(Ok(trailers)) });
        let mut response = http::Response::new(tonic::body::Body::new(body));
        response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        std::future::ready(Ok(response))
    }
}

fn raw(bytes: Vec<u8>) -> String {
    let incoming = tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    tokio::spawn(palomar_transport::server_builder().add_service(Raw(bytes)).serve_with_incoming(incoming));
    address.to_string()
}

/// A message with its frame.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

#[tokio::test]
async fn what_a_newer_server_tells_beyond_our_knowledge_is_passed_over_or_shown_by_number() {
    use prost::Message;
    let flow = Flow {
        verdict: 99,
        summary: "known".to_owned(),
        traffic_direction: 98,
        event_type: Some(palomar_proto::flow::CiliumEventType { r#type: 5, sub_type: 0 }),
        policy_match_type: 97,
        auth_type: 96,
        ..Flow::default()
    };
    // field 4001, a text, and field 4002, a number
    let unknown = [&[0x8a, 0xfa, 0x01, 3][..], b"new", &[0x90, 0xfa, 0x01, 7]].concat();
    let mut encoded = GetFlowsResponse { response_types: None, ..Default::default() };
    encoded.node_name = "k1".to_owned();
    let flow = [flow.encode_to_vec(), unknown.clone()].concat();
    let response =
        [&[0x0a, u8::try_from(flow.len()).unwrap()][..], &flow, &encoded.encode_to_vec(), &unknown].concat();
    // a kind of response that we do not know
    let other_kind = [&[0x22, 2][..], b"ab"].concat();
    let address = raw([framed(&response), framed(&other_kind), framed(&response)].concat());
    let compact = run(&address, &["observe"]).await;
    let line = "N/A:  (unknown) <>  (unknown) policy-verdict:unknown 98 99 (known; Auth: 96)\n";
    assert_eq!((compact.out.as_str(), compact.err.as_str(), compact.code), (line.repeat(2).as_str(), "", 0));
    let json = run(&address, &["observe", "-o", "json"]).await;
    let line = "{\"flow\":{\"verdict\":99,\"auth_type\":96,\"event_type\":{\"type\":5},\"traffic_direction\":98,\
                \"policy_match_type\":97,\"Summary\":\"known\"},\"node_name\":\"k1\"}\n";
    assert_eq!((json.out.as_str(), json.code), (line.repeat(2).as_str(), 0));
}

#[tokio::test]
async fn bytes_that_are_no_message_are_a_failure_with_a_reason() {
    let table = [
        ("no protobuf", framed(b"\xff\xff\xff\xff"), "Internal"),
        ("text that is no text", framed(&[0x0a, 0x06, 0x82, 0xea, 0x30, 0x02, 0xff, 0xfe]), "Internal"),
        ("more than anybody sends", [&[0, 0xff, 0xff, 0xff, 0xff][..], b"x"].concat(), "OutOfRange"),
        ("an unknown packing", [&[1, 0, 0, 0, 1][..], b"x"].concat(), "Internal"),
    ];
    for (what, bytes, code) in table {
        let outcome = run(&raw(bytes), &["observe"]).await;
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{what}");
        assert!(
            outcome.err.starts_with(&format!("rpc error: code = {code} desc = ")),
            "{what}: {}",
            outcome.err
        );
        assert_eq!(outcome.err.lines().count(), 1, "{what}: {}", outcome.err);
    }
}

/// A text with all that a terminal should not get.
const HARM: &str = "\x1b[31mred\r\nForged line\u{202e}desrever\u{9b}31m\u{7}\u{200e}\u{2066}end";

fn hostile() -> Stub {
    let harm = || HARM.to_owned();
    let endpoint = || {
        Some(Endpoint { namespace: harm(), pod_name: harm(), labels: vec![harm()], ..Endpoint::default() })
    };
    let policy = Policy { name: harm(), kind: harm(), ..Policy::default() };
    let flow = Flow {
        ip: Some(Ip { source: harm(), destination: harm(), ..Ip::default() }),
        source: endpoint(),
        source_names: vec![harm()],
        destination_names: vec![harm()],
        source_service: Some(Service { name: harm(), namespace: harm() }),
        node_name: harm(),
        summary: harm(),
        verdict: 1,
        event_type: Some(palomar_proto::flow::CiliumEventType { r#type: 5, sub_type: 0 }),
        traffic_direction: 1,
        ingress_allowed_by: vec![policy],
        ..Flow::default()
    };
    let dns = Dns { observation_source: harm(), ..Dns::default() };
    let l7 = Flow {
        l7: Some(Layer7 { record: Some(layer7::Record::Dns(dns)), ..Layer7::default() }),
        ..flow.clone()
    };
    let status = NodeStatusEvent { state_change: 4, node_names: vec![harm()], message: harm() };
    let unknown_state = NodeStatusEvent { state_change: 77, ..status.clone() };
    let response =
        |content| GetFlowsResponse { node_name: harm(), time: None, response_types: Some(content) };
    let unknown = AgentEventUnknown { r#type: harm(), notification: harm() };
    Stub {
        flows: Ok(vec![
            response(ResponseTypes::Flow(flow)),
            response(ResponseTypes::Flow(l7)),
            response(ResponseTypes::LostEvents(LostEvent::default())),
            response(ResponseTypes::NodeStatus(status)),
            response(ResponseTypes::NodeStatus(unknown_state)),
        ]),
        status: ServerStatusResponse {
            version: harm(),
            num_connected_nodes: Some(1),
            num_unavailable_nodes: Some(1),
            unavailable_nodes: vec![harm()],
            ..ServerStatusResponse::default()
        },
        nodes: Ok(vec![Node { name: harm(), version: harm(), address: harm(), ..Node::default() }]),
        namespaces: vec![Namespace { cluster: harm(), namespace: harm() }],
        agent_events: Ok(vec![GetAgentEventsResponse {
            agent_event: Some(AgentEvent { r#type: 0, notification: Some(Notification::Unknown(unknown)) }),
            node_name: harm(),
            time: None,
        }]),
        debug_events: Ok(vec![GetDebugEventsResponse {
            debug_event: Some(DebugEvent { source: endpoint(), message: harm(), ..DebugEvent::default() }),
            node_name: harm(),
            time: None,
        }]),
        peers: vec![ChangeNotification {
            name: harm(),
            address: harm(),
            tls: Some(palomar_proto::peer::Tls { server_name: harm() }),
            ..ChangeNotification::default()
        }],
        agent: Some(hostile_agent()),
        ..Stub::default()
    }
}

fn hostile_agent() -> Agent {
    let harm = || HARM.to_owned();
    let refused = own::RefusedManifest { file: harm(), field: harm(), reason: harm(), ..Default::default() };
    let attachment = own::Attachment { attach_error: harm(), ..Default::default() };
    Agent {
        status: own::GetAgentStatusResponse {
            instance: harm(),
            node_name: harm(),
            version: harm(),
            refused_manifests: vec![refused],
            foreign_drops: own::ForeignDrops::Unavailable.into(),
            foreign_drops_error: harm(),
            ..Default::default()
        },
        loss: own::GetLossResponse {
            counters: vec![own::LossCounter { source: harm(), count: 1 }],
            stages: vec![own::StageCounts {
                stage: harm(),
                lost: vec![own::LossCounter { source: harm(), count: 1 }],
                ..Default::default()
            }],
            ..Default::default()
        },
        identities: vec![own::Identity { identity: 300, labels: vec![harm()], ..Default::default() }],
        endpoints: own::ListEndpointsResponse {
            endpoints: vec![own::Endpoint {
                namespace: harm(),
                pod_name: harm(),
                interface: harm(),
                addresses: vec![harm()],
                ingress: Some(attachment),
                ..Default::default()
            }],
            unseen_pods: vec![own::UnseenPod {
                namespace: harm(),
                pod_name: harm(),
                detail: harm(),
                ..Default::default()
            }],
            ..Default::default()
        },
        ..Agent::default()
    }
}

fn assert_harmless(what: &str, text: &str) {
    for line in text.lines() {
        let harmful = line.chars().find(|c| {
            (c.is_control() && *c != '\t')
                || matches!(c, '\u{200e}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(harmful, None, "{what}: {line:?}");
        assert!(!line.starts_with("Forged"), "{what}: {line:?}");
    }
}

#[tokio::test]
async fn nothing_that_a_server_sends_reaches_a_terminal_unescaped() {
    let stub = hostile();
    let address = stub.serve().to_string();
    let mut lines: Vec<String> = Vec::new();
    for kind in ["observe -D --print-policy-names", "observe agent-events", "observe debug-events"] {
        for format in ["compact", "dict", "table"] {
            lines.push(format!("{kind} -o {format} --print-node-name"));
        }
    }
    lines.extend(["compact", "dict", "table"].map(|format| format!("status -o {format}")));
    lines.extend(
        ["table", "wide"]
            .into_iter()
            .flat_map(|format| ["nodes", "namespaces"].map(|what| format!("list {what} -o {format}"))),
    );
    lines.extend(["watch peers", "identity get 300", "identity list", "endpoint list"].map(str::to_owned));
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = run(&address, &words).await;
        assert_eq!(outcome.code, 0, "{line}: {}", outcome.err);
        assert!(outcome.out.contains("^[[31mred"), "{line} should show the text: {}", outcome.out);
        assert_harmless(&line, &outcome.out);
        assert_harmless(&line, &outcome.err);
    }
}

#[tokio::test]
async fn an_error_text_of_a_server_is_escaped_as_well() {
    for code in [tonic::Code::Unknown, tonic::Code::Internal, tonic::Code::NotFound] {
        let refusal = || Status::new(code, HARM);
        let stub = Stub {
            health: Err(refusal()),
            flows: Err(refusal()),
            nodes: Err(refusal()),
            agent_events: Err(refusal()),
            debug_events: Err(refusal()),
            ..Stub::default()
        };
        let address = stub.serve().to_string();
        for line in ["status", "observe", "list nodes", "observe agent-events", "observe debug-events"] {
            let outcome = run(&address, &line.split(' ').collect::<Vec<_>>()).await;
            assert_eq!(outcome.code, 1, "{line}");
            assert!(outcome.err.contains("^[[31mred"), "{line}: {}", outcome.err);
            assert_eq!(outcome.err.lines().count(), 1, "{line}: {}", outcome.err);
            assert_harmless(line, &outcome.err);
        }
    }
}
