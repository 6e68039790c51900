//! Expressions over one flow: what holds, what is refused, and what is too much.

use std::time::{Duration, Instant};

use palomar_proto::flow::Flow;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;
use prost::bytes::Bytes;

use super::program::Program;
use super::{MAX_DEPTH, MAX_STEPS};
use crate::filter::{InvalidCel, MAX_CEL_BYTES};
use crate::json;

const FLOW: &str = r#"{"time":"2026-03-04T05:06:07.5Z","uuid":"u-1","verdict":"DROPPED","auth_type":"SPIRE",
"IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4","encrypted":true},
"l4":{"TCP":{"source_port":40000,"destination_port":8080,"flags":{"SYN":true}}},
"source":{"ID":7,"identity":12345,"namespace":"shop","labels":["k8s:app=front","k8s:tier=web"],"pod_name":"front-0",
"workloads":[{"name":"front","kind":"Deployment"}]},
"destination":{"identity":2,"labels":["reserved:world"]},"Type":"L3_L4","node_name":"k1",
"destination_names":["api.example.com"],"is_reply":false,"event_type":{"type":1,"sub_type":133},
"drop_reason_desc":"POLICY_DENIED","tunnel":{"protocol":"VXLAN","vni":9},"proxy_port":15001,
"egress_denied_by":[{"name":"deny","namespace":"shop","revision":"3"}],"Summary":"TCP Flags: SYN"}"#;

fn flow() -> Bytes {
    let flow: Flow = json::parse(&FLOW.replace('\n', "")).unwrap().message;
    Bytes::from(flow.encode_to_vec())
}

/// Whether it holds for the flow; or why it cannot be told.
fn ask(expression: &str) -> Result<bool, String> {
    let program = Program::compile(expression).map_err(|error| error.to_string())?;
    program.holds(&flow()).map_err(|error| format!("evaluation: {error}"))
}

#[test]
fn every_kind_of_field_can_be_asked_for() {
    for (expression, expected) in [
        ("true", true),
        // enums by number, by name, and by whole name; of a message, and one that is zero
        ("_flow.verdict == 2", true),
        ("_flow.verdict == Verdict.DROPPED && _flow.verdict != flow.Verdict.FORWARDED", true),
        ("_flow.verdict == .flow.Verdict.DROPPED", true),
        ("_flow.tunnel.protocol == Tunnel.Protocol.VXLAN", true),
        ("_flow.traffic_direction == TrafficDirection.TRAFFIC_DIRECTION_UNKNOWN", true),
        ("_flow.drop_reason_desc in [DropReason.POLICY_DENIED, DropReason.POLICY_DENY]", true),
        // numbers
        ("_flow.source.identity == 12345u", true),
        ("_flow.event_type.sub_type + 1 == 134", true),
        ("_flow.l4.TCP.destination_port >= 8080u && _flow.l4.TCP.destination_port < uint(9000)", true),
        ("_flow.egress_denied_by[0].revision == uint('3')", true),
        // texts
        (
            "_flow.Summary.contains('SYN') && _flow.Summary.startsWith('TCP') && !_flow.Summary.endsWith('ACK')",
            true,
        ),
        ("_flow.Summary.matches('^TCP.*(SYN|FIN)$') && matches(_flow.Summary, 'F[a-z]+s')", true),
        ("size(_flow.Summary) == 14 && _flow.node_name + '!' == 'k1!'", true),
        // lists
        ("_flow.source.labels.exists(l, l.startsWith('k8s:app='))", true),
        ("_flow.source.labels.all(l, l.startsWith('k8s:')) && _flow.source.labels.size() == 2", true),
        ("_flow.source.workloads.exists_one(w, w.kind == 'Deployment' && w.name == 'front')", true),
        ("_flow.egress_denied_by.map(p, p.namespace + '/' + p.name) == ['shop/deny']", true),
        ("_flow.source.labels.filter(l, l.contains('tier'))[0] == 'k8s:tier=web'", true),
        ("'api.example.com' in _flow.destination_names", true),
        ("[1, 2, 3].map(x, x * 2).exists(y, y == 6) && {'a': 1}['a'] == 1", true),
        // what is there, and what is not
        ("has(_flow.l4.TCP) && !has(_flow.l4.UDP) && !has(_flow.l7) && has(_flow.source.labels)", true),
        ("has(_flow.is_reply) && _flow.is_reply == false && !_flow.is_reply", true),
        ("_flow.l7.http.code == 0u && _flow.l7.http.url == '' && _flow.ip_trace_id.trace_id == 0u", true),
        ("_flow.l4.UDP.destination_port == 53u", false),
        ("_flow.IP.encrypted ? _flow.proxy_port == 15001u : false", true),
        ("_flow.source == _flow.source && _flow.source != _flow.destination", true),
        ("_flow.auth_type == AuthType.SPIRE && _flow.time == _flow.time", true),
        // an error that another side overrides
        ("_flow.source.labels[9] == 'x' || true", true),
    ] {
        assert_eq!(ask(expression), Ok(expected), "{expression}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_an_error_and_no_answer() {
    for (expression, says) in [
        ("_flow.source.labels[9] == 'x'", "Index out of bounds"),
        ("1 / (_flow.event_type.type - 1) == 1", "Division by zero"),
        ("{'a': 1}['b'] == 1", "No such key"),
        ("9223372036854775807 + _flow.event_type.type > 0", "Overflow"),
        ("int(_flow.node_name) == 1", "string parse error"),
    ] {
        let error = ask(expression).unwrap_err();
        assert!(error.starts_with("evaluation: ") && error.contains(says), "{expression}: {error}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let no_overload = "found no matching overload for";
    for (expression, place, says) in [
        ("_flow.source.identity == 12345", "1:23", format!("{no_overload} '_==_' applied to '(uint, int)'")),
        ("_flow.Summary > 1", "1:15", format!("{no_overload} '_>_' applied to '(string, int)'")),
        ("'é🦀' + 1 == 2", "1:6", format!("{no_overload} '_+_' applied to '(string, int)'")),
        ("true &&\n 'a'.contains(1)", "2:14", format!("{no_overload} 'contains' applied to 'string.(int)'")),
        (
            "_flow.source.labels == 'a'",
            "1:21",
            format!("{no_overload} '_==_' applied to '(list(string), string)'"),
        ),
        ("!_flow.source", "1:1", format!("{no_overload} '!_' applied to '(flow.Endpoint)'")),
        (
            "_flow.verdict == Verdict.NOPE",
            "1:18",
            "undeclared reference to 'Verdict' (in container 'flow')".to_owned(),
        ),
        ("flow.verdict", "1:1", "undeclared reference to 'flow' (in container 'flow')".to_owned()),
        ("foo(1)", "1:4", "undeclared reference to 'foo' (in container 'flow')".to_owned()),
        ("_flow.nodeName == ''", "1:6", "undefined field 'nodeName'".to_owned()),
        ("has(_flow.nope)", "1:4", "undefined field 'nope'".to_owned()),
        ("_flow.Summary.x == 1", "1:14", "type 'string' does not support field selection".to_owned()),
        (
            "_flow.verdict.all(x, true)",
            "1:6",
            "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)"
                .to_owned(),
        ),
        ("_flow.Summary.matches('(')", "1:22", "error parsing regexp: missing closing ): `(`".to_owned()),
        ("1 +", "1:4", "Syntax error: mismatched input '<EOF>'".to_owned()),
        // what CEL has, and this server has not
        (
            "_flow.time > timestamp('2026-01-01T00:00:00Z')",
            "1:23",
            "'timestamp' is not supported by this server".to_owned(),
        ),
        (
            "_flow.Summary.matches(_flow.uuid)",
            "1:22",
            "'matches' with a pattern that is not written out is not supported".to_owned(),
        ),
        (
            "flow.TCPFlags{SYN: true}.SYN",
            "1:14",
            "making messages ('flow.TCPFlags') is not supported by this server".to_owned(),
        ),
    ] {
        let error = ask(expression).unwrap_err();
        assert!(error.starts_with(&format!("ERROR: <input>:{place}: {says}")), "{expression}: {error}");
    }
    let two = "_flow.nope == 1 && foo";
    let expected = format!(
        "ERROR: <input>:1:6: undefined field 'nope'\n | {two}\n | .....^\n\
         ERROR: <input>:1:20: undeclared reference to 'foo' (in container 'flow')\n | {two}\n | {}^",
        ".".repeat(19)
    );
    assert_eq!(ask(two), Err(expected), "all that is wrong is told");
    for (expression, result) in [
        ("1+1", "int"),
        ("_flow.is_reply", "wrapper(bool)"),
        ("_flow", "flow.Flow"),
        ("_flow.source.labels", "list(string)"),
        ("dyn(true)", "dyn"),
    ] {
        let expected = format!("got \"{result}\", wanted \"bool\" result type");
        assert_eq!(ask(expression), Err(expected), "{expression}");
    }
}

/// Compiles and evaluates on a thread with the stack of a server's: what came of it, and how long it took.
fn ask_timed(expression: String) -> (Result<bool, String>, Duration) {
    let begin = Instant::now();
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let asked = thread.spawn(move || ask(&expression)).unwrap().join().expect("no panic");
    (asked, begin.elapsed())
}

#[test]
fn hostile_expressions_end_soon_with_an_error_or_an_answer() {
    let deep = |open: &str, levels: usize, close: &str| {
        format!("{}true{}", open.repeat(levels), close.repeat(levels))
    };
    let list = |length: usize| format!("[{}]", vec!["1"; length].join(","));
    let too_deep = format!("nested deeper than {MAX_DEPTH} levels");
    let too_many = format!("more than {MAX_STEPS} steps of loops");
    let legal = MAX_DEPTH - 4;
    for (name, expression, expected) in [
        ("as deep as may be", format!("{}1{} > 0", "1+(".repeat(legal), ")".repeat(legal)), Ok(true)),
        ("as many terms as fit", vec!["true"; 600].join("&&"), Ok(true)),
        ("parentheses", deep("(", 1_500, ")"), Err(&*too_deep)),
        ("parentheses that stay open", "(".repeat(MAX_CEL_BYTES), Err(&too_deep)),
        ("lists in lists", "[".repeat(MAX_CEL_BYTES), Err(&too_deep)),
        ("maps in maps", "{".repeat(MAX_CEL_BYTES), Err(&too_deep)),
        ("calls in calls", deep("size(", 400, ")"), Err(&too_deep)),
        ("a long chain of fields", format!("_flow{}", ".a".repeat(2_000)), Err(&too_deep)),
        ("a long chain of indices", format!("_flow{}", "[0]".repeat(1_300)), Err(&too_deep)),
        ("a long sum", format!("{} > 0", vec!["1"; 2_000].join("+")), Err(&too_deep)),
        ("a long comparison", vec!["1"; 1_300].join("=="), Err(&too_deep)),
        ("many negations", format!("{}true", "!".repeat(4_000)), Ok(true)),
        ("no language at all", "$#@ ".repeat(1_000), Err("Syntax error")),
        ("one long text", format!("'{}' == ''", "a".repeat(4_000)), Ok(false)),
        ("as many turns as may be", format!("{}.all(x, x > 0)", list(900)), Ok(true)),
        (
            "a loop with a long body",
            format!("{}.all(x, {})", list(100), vec!["x > 0"; 400].join(" && ")),
            Err(&too_many),
        ),
        (
            "loops in loops",
            format!("{0}.all(x, {0}.all(y, {0}.all(z, x + y + z > 0)))", list(300)),
            Err(&too_many),
        ),
        ("lists of lists", format!("{0}.map(x, {0}.map(y, {0})).size() > 0", list(300)), Err(&too_many)),
        ("too long", format!("true{}", " ".repeat(MAX_CEL_BYTES)), Err("has 4100 bytes, of at most 4096")),
    ] {
        let (asked, took) = ask_timed(expression);
        match (&asked, expected) {
            (Ok(holds), Ok(expected)) => assert_eq!(*holds, expected, "{name}"),
            (Err(error), Err(says)) => assert!(error.contains(says), "{name}: {error}"),
            _ => panic!("{name}: {asked:?}"),
        }
        // a hundredth of that, without checks and on a machine of its own
        assert!(took < Duration::from_secs(10), "{name} took {took:?}");
    }
}

/// Pieces of the language, from which random texts are made: some of them are expressions.
const PIECES: &[&str] = &[
    "_flow",
    ".verdict",
    ".source",
    ".labels",
    ".l7",
    ".http",
    ".is_reply",
    ".time",
    "[0]",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    " == ",
    " != ",
    " < ",
    " && ",
    " || ",
    " ? ",
    " : ",
    " + ",
    " - ",
    " / ",
    " % ",
    " in ",
    "!",
    "-",
    ",",
    "1",
    "2u",
    "0.5",
    "'a'",
    "\"b\"",
    "b'c'",
    "true",
    "false",
    "null",
    "Verdict.DROPPED",
    ".all(x, ",
    ".exists(x, ",
    ".map(x, ",
    ".filter(x, ",
    "has(",
    "size(",
    "int(",
    "string(",
    "dyn(",
    ".matches('a')",
    ".contains('a')",
    "x",
    "flow.TCPFlags{",
    "SYN: true",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 2))]

    #[test]
    fn no_text_makes_the_compiler_or_the_evaluator_panic(
        pieces in prop::collection::vec(select(PIECES), 1..12),
        free in "\\PC{0,8}",
        is_free in prop::bool::weighted(0.1),
    ) {
        let text = if is_free { pieces.concat() + &free } else { pieces.concat() };
        match Program::compile(&text) {
            Ok(program) => drop(program.holds(&flow())),
            Err(error) => prop_assert_ne!(error, InvalidCel::Panicked, "{}", text),
        }
    }
}
