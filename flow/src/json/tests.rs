//! What the golden files do not show.

use palomar_proto::flow::{Flow, FlowFilter};
use palomar_proto::observer::{GetFlowsResponse, ServerStatusResponse};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::schema::SCHEMA;

#[test]
fn every_message_is_in_the_schema() {
    for name in NAMES {
        assert!(SCHEMA.find(name).is_some(), "{name}");
    }
}

#[test]
fn a_status_prints_as_the_stock_cli_prints_it() {
    let status = ServerStatusResponse {
        num_flows: 8000,
        max_flows: 12_285,
        seen_flows: 1_234_567,
        uptime_ns: 93_784_500_000_000,
        num_connected_nodes: Some(3),
        num_unavailable_nodes: Some(0),
        unavailable_nodes: vec!["n3".into(), "n1".into()],
        version: "hubble-relay v1.19.4+gabc".into(),
        flows_rate: 42.126,
    };
    let expected = r#"{"num_flows":"8000","max_flows":"12285","seen_flows":"1234567","uptime_ns":"93784500000000","num_connected_nodes":3,"num_unavailable_nodes":0,"unavailable_nodes":["n3","n1"],"version":"hubble-relay v1.19.4+gabc","flows_rate":42.126}"#;
    assert_eq!(to_string(&status).unwrap(), expected);
    assert_eq!(parse::<ServerStatusResponse>(expected).unwrap().message, status);
}

#[test]
fn texts_are_escaped_for_html() {
    let flow = Flow { summary: "<a&b>\"\\\u{2028}é\u{20ac}\x07\n\x7f".into(), ..Flow::default() };
    let expected = "{\"Summary\":\"\\u003ca\\u0026b\\u003e\\\"\\\\\\u2028é€\\u0007\\n\u{7f}\"}";
    assert_eq!(to_string(&flow).unwrap(), expected);
}

#[test]
fn an_unknown_enum_number_prints_as_a_number_and_a_time_out_of_range_is_an_error() {
    let flow = Flow { verdict: 77, ..Flow::default() };
    assert_eq!(to_string(&flow).unwrap(), r#"{"verdict":77}"#);
    let flow = Flow { time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), ..Flow::default() };
    assert!(matches!(to_string(&flow), Err(Unprintable::Time { seconds: i64::MAX, nanos: 0 })));
}

#[test]
fn an_extension_prints_its_fields_if_its_type_is_known_and_its_bytes_if_not() {
    let any = |type_url: &str, value| Flow {
        extensions: Some(prost_types::Any { type_url: type_url.into(), value }),
        ..Flow::default()
    };
    let inner = Flow { uuid: "u".into(), ..Flow::default() }.encode_to_vec();
    let known = to_string(&any("type.googleapis.com/flow.Flow", inner)).unwrap();
    assert_eq!(known, r#"{"extensions":{"@type":"type.googleapis.com/flow.Flow","uuid":"u"}}"#);
    let unknown = to_string(&any("x/y.Z", vec![1, 2, 3, 4])).unwrap();
    assert_eq!(unknown, r#"{"extensions":{"@type":"x/y.Z","value":"AQIDBA=="}}"#);
}

#[test]
fn both_names_strings_numbers_and_enum_numbers_are_read() {
    let text = r#"{"nodeName":"k\u00e91\ud83d\ude00","verdict":2,"socket_cookie":"12","proxy_port":"7","cgroup_id":1e2,
        "is_reply":false,"time":"1970-01-01T00:00:01Z","node_labels":["a","b"],"l7":null}"#;
    let parsed = parse::<Flow>(text).unwrap();
    let expected = Flow {
        node_name: "ké1😀".into(),
        verdict: 2,
        socket_cookie: 12,
        proxy_port: 7,
        cgroup_id: 100,
        is_reply: Some(false),
        time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        node_labels: vec!["a".into(), "b".into()],
        ..Flow::default()
    };
    assert_eq!(parsed, Parsed { message: expected, unknown: None });
}

#[test]
fn unknown_fields_and_names_are_passed_over_and_told() {
    let text = r#"{"new":{"a":[1,{"b":null}]},"uuid":"u","verdict":"NEW","extensions":{"@type":"x"}}"#;
    let parsed = parse::<Flow>(text).unwrap();
    assert_eq!(parsed.message, Flow { uuid: "u".into(), ..Flow::default() });
    let unknown = parsed.unknown.map(|unknown| unknown.to_string());
    assert_eq!(unknown.as_deref(), Some(r#"proto: (line 1:2): unknown field "new""#));
}

#[test]
fn errors_are_in_gos_words() {
    let table = [
        ("[]", "proto: syntax error (line 1:1): unexpected token ["),
        ("", "proto: unexpected EOF"),
        ("{\"uuid\":\"a", "proto: unexpected EOF"),
        ("{\"uuid\"", "proto: unexpected EOF"),
        ("{\n \"uuid\":1}", "proto: (line 2:9): invalid value for string field uuid: 1"),
        ("{\"verdict\":[]}", "proto: (line 1:12): invalid value for enum field verdict: ["),
        ("{\"node_name\":true}", "proto: (line 1:14): invalid value for string field nodeName: true"),
        ("{\"proxy_port\":-1}", "proto: (line 1:15): invalid value for uint32 field proxyPort: -1"),
        ("{\"uuid\":\"a\",\"uuid\":\"b\"}", "proto: (line 1:13): duplicate field \"uuid\""),
        ("{} {}", "proto: syntax error (line 1:4): unexpected token {"),
        ("{\"uuid\":\"a\",}", "proto: syntax error (line 1:13): unexpected token }"),
        ("{\"proxy_port\":01}", "proto: syntax error (line 1:15): invalid value 01"),
        ("nope", "proto: syntax error (line 1:1): invalid value nope"),
        (
            "{\"l4\":{\"UDP\":{},\"TCP\":{}}}",
            "proto: (line 1:17): error parsing \"TCP\", oneof is already set",
        ),
        (
            "{\"time\":\"yesterday\"}",
            "proto: (line 1:9): invalid google.protobuf.Timestamp value \"yesterday\"",
        ),
    ];
    for (text, expected) in table {
        let result = parse::<Flow>(text).map_err(|error| error.to_string());
        assert_eq!(result.map(|_| ()), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn objects_can_follow_each_other() {
    let text = r#"{"uuid":["a"]}{"bad":1} "#;
    let (first, length) = parse_first::<FlowFilter>(text).unwrap();
    assert_eq!(first.message.uuid, ["a"]);
    let (second, _) = parse_first::<FlowFilter>(&text[length..]).unwrap();
    let unknown = second.unknown.map(|unknown| unknown.to_string());
    assert_eq!(unknown.as_deref(), Some(r#"proto: (line 1:2): unknown field "bad""#));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]{}:,\"a-z0-9\\\\ .eE+-]{0,40}|.{0,40}") {
        let _ = parse::<GetFlowsResponse>(&text);
        let _ = parse::<GetFlowsResponse>(&format!("{{\"flow\":{text}"));
        let _ = parse::<GetFlowsResponse>(&format!("{{\"node_name\":\"{text}"));
    }

    #[test]
    fn texts_and_numbers_are_read_back(
        texts in proptest::collection::vec(".*", 0..4), cookie in any::<u64>(), port in any::<u32>(),
        reply in any::<Option<bool>>(), rule_count in any::<i64>(),
    ) {
        let flow = Flow { policy_log: texts, socket_cookie: cookie, proxy_port: port, is_reply: reply, ..Flow::default() };
        prop_assert_eq!(parse::<Flow>(&to_string(&flow).unwrap()).unwrap().message, flow);
        let update = flow::AgentEvent {
            notification: Some(flow::agent_event::Notification::PolicyUpdate(
                flow::PolicyUpdateNotification { rule_count, ..Default::default() },
            )),
            ..Default::default()
        };
        prop_assert_eq!(parse::<flow::AgentEvent>(&to_string(&update).unwrap()).unwrap().message, update);
    }
}
