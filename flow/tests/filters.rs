//! Our filters against what the stock CLI v1.19.4 answered to the same questions.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test would")]

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use palomar_flow::filter::Filters;
use palomar_flow::json;
use palomar_flow::view::NoFlow;
use palomar_proto::flow::flow_filter::Experimental;
use palomar_proto::flow::{Flow, FlowFilter};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::read_to_string(path).unwrap()
}

/// What the stock CLI answered, by its flags: the number of lines, or the error.
fn answers() -> HashMap<String, Result<usize, String>> {
    let text = fixture("filters-offline.txt");
    let blocks = text.split("$ hubble observe --input-file F ").skip(1);
    blocks
        .map(|block| {
            let (flags, rest) = block.split_once("\n  flows=").unwrap();
            let (count, rest) = rest.split_once(" rc=").unwrap();
            let error = rest.split_once("err=").unwrap().1.trim_end().trim_end_matches('|');
            let answer =
                if rest.starts_with('0') { Ok(count.parse().unwrap()) } else { Err(error.to_owned()) };
            (flags.trim_end().to_owned(), answer)
        })
        .collect()
}

fn compile(whitelist: &str, blacklist: &str) -> Result<Filters, String> {
    let parse = |list: &str| -> Vec<FlowFilter> {
        let mut rest = list;
        let mut filters = Vec::new();
        while !rest.is_empty() {
            let (parsed, length) = json::parse_first::<FlowFilter>(rest).unwrap();
            assert_eq!(parsed.unknown, None);
            filters.push(parsed.message);
            rest = rest[length..].trim_start();
        }
        filters
    };
    Filters::compile(&parse(whitelist), &parse(blacklist)).map_err(|error| error.to_string())
}

fn count(filters: &Filters) -> usize {
    let input = fixture("flows.jsonl");
    let responses = input.lines().map(|line| json::parse::<GetFlowsResponse>(line).unwrap().message);
    responses
        .filter(|response| match &response.response_types {
            Some(ResponseTypes::Flow(flow)) => filters.matches(flow),
            Some(ResponseTypes::LostEvents(_)) | None => filters.matches(&NoFlow),
            Some(ResponseTypes::NodeStatus(_)) => false,
        })
        .count()
}

/// Flags, and the filters that they stand for. `@` stands for both ends: `{"@x":…}` is a filter on `source_x` and
/// one on `destination_x`.
const ALLOWED: &[(&str, &str)] = &[
    ("", ""),
    ("--port abc", r#"{"@port":["abc"]}"#),
    ("--port 70000", r#"{"@port":["70000"]}"#),
    ("--protocol nope", r#"{"protocol":["nope"]}"#),
    ("--protocol TCP", r#"{"protocol":["TCP"]}"#),
    ("--from-ip notanip", r#"{"source_ip":["notanip"]}"#),
    ("--from-ip 10.0.1.0/40", r#"{"source_ip":["10.0.1.0/40"]}"#),
    ("--ip 10.0.1.0/24", r#"{"@ip":["10.0.1.0/24"]}"#),
    ("--from-ip 10.0.1.10", r#"{"source_ip":["10.0.1.10"]}"#),
    ("--from-ip 010.0.1.10", r#"{"source_ip":["010.0.1.10"]}"#),
    ("--from-ip fd00:0::1", r#"{"source_ip":["fd00:0::1"]}"#),
    ("--from-ip fd00::/16", r#"{"source_ip":["fd00::/16"]}"#),
    ("--fqdn", r#"{"@fqdn":[""]}"#),
    ("--fqdn a..", r#"{"@fqdn":["a.."]}"#),
    ("--fqdn bad!", r#"{"@fqdn":["bad!"]}"#),
    ("--to-fqdn *.example.com", r#"{"destination_fqdn":["*.example.com"]}"#),
    ("--to-fqdn A.Example.com.", r#"{"destination_fqdn":["A.Example.com."]}"#),
    ("--to-fqdn example.com", r#"{"destination_fqdn":["example.com"]}"#),
    ("--label a=b=c", r#"{"@label":["a=b=c"]}"#),
    ("--label app=front", r#"{"@label":["app=front"]}"#),
    ("--label k8s:app=front", r#"{"@label":["k8s:app=front"]}"#),
    ("--label any:app=front", r#"{"@label":["any:app=front"]}"#),
    ("--label app", r#"{"@label":["app"]}"#),
    ("--label !app", r#"{"@label":["!app"]}"#),
    ("--label app in (front,x)", r#"{"@label":["app in (front,x)"]}"#),
    ("--label app in (front", r#"{"@label":["app in (front"]}"#),
    ("--label reserved:world", r#"{"@label":["reserved:world"]}"#),
    ("--label reserved.world", r#"{"@label":["reserved.world"]}"#),
    ("--label app!=front", r#"{"@label":["app!=front"]}"#),
    ("--from-label app==front", r#"{"source_label":["app==front"]}"#),
    ("--http-status 404", r#"{"http_status_code":["404"]}"#),
    ("--http-status 5+", r#"{"http_status_code":["5+"]}"#),
    ("--http-status 50+", r#"{"http_status_code":["50+"]}"#),
    ("--http-status 5", r#"{"http_status_code":["5"]}"#),
    ("--http-status 600", r#"{"http_status_code":["600"]}"#),
    ("--http-status 5xx", r#"{"http_status_code":["5xx"]}"#),
    ("--http-status 503 -t trace", r#"{"http_status_code":["503"],"event_type":[{"type":4}]}"#),
    ("--http-status 503 -t l7", r#"{"http_status_code":["503"],"event_type":[{"type":129}]}"#),
    ("--http-method get", r#"{"http_method":["get"]}"#),
    ("--http-method get -t trace", r#"{"http_method":["get"],"event_type":[{"type":4}]}"#),
    ("--http-path ^/items$", r#"{"http_path":["^/items$"]}"#),
    ("--http-path (", r#"{"http_path":["("]}"#),
    ("--http-url id=1", r#"{"http_url":["id=1"]}"#),
    ("--http-url [", r#"{"http_url":["["]}"#),
    ("--http-header X-Request-Id:abc", r#"{"http_header":[{"key":"X-Request-Id","value":"abc"}]}"#),
    ("--http-header x-request-id:abc", r#"{"http_header":[{"key":"x-request-id","value":"abc"}]}"#),
    ("--node-name k1", r#"{"node_name":["k1"]}"#),
    ("--node-name default/k1", r#"{"node_name":["default/k1"]}"#),
    ("--node-name prod/*", r#"{"node_name":["prod/*"]}"#),
    ("--node-name prod/", r#"{"node_name":["prod/"]}"#),
    ("--node-name /k1", r#"{"node_name":["/k1"]}"#),
    ("--node-name a/b/c", r#"{"node_name":["a/b/c"]}"#),
    ("--node-name", r#"{"node_name":[""]}"#),
    ("--node-name k*", r#"{"node_name":["k*"]}"#),
    ("--node-name worker-1.example.com", r#"{"node_name":["worker-1.example.com"]}"#),
    ("--verdict DROPPED", r#"{"verdict":["DROPPED"]}"#),
    ("--verdict REDIRECTED", r#"{"verdict":["REDIRECTED"]}"#),
    ("--drop-reason-desc POLICY_DENIED", r#"{"drop_reason_desc":["POLICY_DENIED"]}"#),
    ("-t drop:133", r#"{"event_type":[{"type":1,"match_sub_type":true,"sub_type":133}]}"#),
    ("-t trace:to-endpoint", r#"{"event_type":[{"type":4,"match_sub_type":true}]}"#),
    ("-t trace", r#"{"event_type":[{"type":4}]}"#),
    ("-t capture", r#"{"event_type":[{"type":3}]}"#),
    ("-t policy-verdict", r#"{"event_type":[{"type":5}]}"#),
    ("-t l7", r#"{"event_type":[{"type":129}]}"#),
    ("-t trace-sock", r#"{"event_type":[{"type":7}]}"#),
    ("-t trace-sock:1", r#"{"event_type":[{"type":7,"match_sub_type":true,"sub_type":1}]}"#),
    ("-t agent", r#"{"event_type":[{"type":130}]}"#),
    ("-t 0", r#"{"event_type":[{}]}"#),
    ("--identity 2", r#"{"@identity":[2]}"#),
    ("--identity world", r#"{"@identity":[2]}"#),
    ("--identity 0", r#"{"@identity":[0]}"#),
    ("--workload Deployment/front", r#"{"@workload":[{"name":"front","kind":"Deployment"}]}"#),
    ("--workload deployment/front", r#"{"@workload":[{"name":"front","kind":"deployment"}]}"#),
    ("--workload StatefulSet/", r#"{"@workload":[{"kind":"StatefulSet"}]}"#),
    ("--from-workload fr", r#"{"source_workload":[{"name":"fr"}]}"#),
    ("--pod shop/fr", r#"{"@pod":["shop/fr"]}"#),
    ("--pod fr", r#"{"@pod":["fr"]}"#),
    ("--pod /fr", r#"{"@pod":["/fr"]}"#),
    ("--pod shop/", r#"{"@pod":["shop/"]}"#),
    ("--pod", r#"{"@pod":[""]}"#),
    ("--from-pod podnons", r#"{"source_pod":["podnons"]}"#),
    ("--from-pod /podnons", r#"{"source_pod":["/podnons"]}"#),
    ("-n shop", r#"{"@pod":["shop/"]}"#),
    ("-A", r#"{"@pod":["/"]}"#),
    ("--service kube-system/kube", r#"{"@service":["kube-system/kube"]}"#),
    ("--service kube", r#"{"@service":["kube"]}"#),
    ("-n otherns", r#"{"@pod":["otherns/"]}"#),
    ("--tcp-flags SYN", r#"{"tcp_flags":[{"SYN":true}]}"#),
    ("--tcp-flags SYN,ACK", r#"{"tcp_flags":[{"SYN":true,"ACK":true}]}"#),
    ("--tcp-flags ACK", r#"{"tcp_flags":[{"ACK":true}]}"#),
    ("--trace-id 4bf92f3577b34da6a3ce929d0e0e4736", r#"{"trace_id":["4bf92f3577b34da6a3ce929d0e0e4736"]}"#),
    ("--ip-trace-id 42", r#"{"ip_trace_id":["42"]}"#),
    ("--encrypted", r#"{"encrypted":[true]}"#),
    ("--unencrypted", r#"{"encrypted":[false]}"#),
    ("--ip-version none", r#"{"ip_version":["IP_NOT_USED"]}"#),
    ("-4", r#"{"ip_version":["IPv4"]}"#),
    ("-6", r#"{"ip_version":["IPv6"]}"#),
    ("--interface eth0", r#"{"interface":[{"name":"eth0"}]}"#),
    ("--interface", r#"{"interface":[{}]}"#),
    ("--snat-ip 198.51.100.0/24", r#"{"source_ip_xlated":["198.51.100.0/24"]}"#),
    ("--uuid 00000000-0000-4000-8000-000000000003", r#"{"uuid":["00000000-0000-4000-8000-000000000003"]}"#),
    ("--traffic-direction ingress", r#"{"traffic_direction":["INGRESS"]}"#),
    ("--node-label a=b", r#"{"node_labels":["a=b"]}"#),
    (r#"--allowlist {"reply":[false]}"#, r#"{"reply":[false]}"#),
    (r#"--allowlist {"reply":[true]}"#, r#"{"reply":[true]}"#),
    (r#"--allowlist {"dns_query":["api.*"]}"#, r#"{"dns_query":["api.*"]}"#),
    (r#"--allowlist {"dns_query":["("]}"#, r#"{"dns_query":["("]}"#),
    ("--allowlist {}", "{}"),
    ("--cluster", r#"{"@cluster_name":[""]}"#),
    ("--cluster x", r#"{"@cluster_name":["x"]}"#),
];

const DENIED: &[(&str, &str)] = &[
    ("--not --verdict DROPPED", r#"{"verdict":["DROPPED"]}"#),
    ("--not --pod shop/front", r#"{"@pod":["shop/front"]}"#),
    (r#"--denylist {"reply":[true]}"#, r#"{"reply":[true]}"#),
    ("--denylist {}", "{}"),
];

fn on_both_ends(filter: &str) -> String {
    if filter.contains('@') {
        format!("{} {}", filter.replace('@', "source_"), filter.replace('@', "destination_"))
    } else {
        filter.to_owned()
    }
}

#[test]
fn every_filter_of_the_stock_cli_gives_its_count_or_its_error() {
    let answers = answers();
    let cases = ALLOWED.iter().map(|(flags, filter)| (flags, on_both_ends(filter), String::new()));
    let denied = DENIED.iter().map(|(flags, filter)| (flags, String::new(), on_both_ends(filter)));
    for (flags, whitelist, blacklist) in cases.chain(denied) {
        let expected = answers.get(*flags).unwrap_or_else(|| panic!("no answer for {flags:?}"));
        let actual = compile(&whitelist, &blacklist).map(|filters| count(&filters));
        assert_eq!(actual, *expected, "{flags}");
    }
}

#[test]
fn every_cel_expression_of_the_stock_cli_gives_its_count_or_its_error() {
    let mut rows = 0;
    for (flags, expected) in answers() {
        let Some(expression) = flags.strip_prefix("--cel-expression ") else { continue };
        let experimental = Some(Experimental { cel_expression: vec![expression.to_owned()] });
        let filter = FlowFilter { experimental, ..FlowFilter::default() };
        let compiled = Filters::compile(&[filter], &[]).map_err(|error| error.to_string().replace('\n', "|"));
        assert_eq!(compiled.map(|filters| count(&filters)), expected, "{flags}");
        rows += 1;
    }
    assert_eq!(rows, 10);
}

#[test]
fn what_the_stock_cli_was_not_asked_is_answered_as_it_would_be() {
    let table = [
        ("no trace id is the empty one", r#"{"trace_id":[""]}"#, "{}", true),
        ("also beside others", r#"{"trace_id":["t",""]}"#, r#"{"trace_context":{"parent":{}}}"#, true),
        (
            "which no flow with an id has",
            r#"{"trace_id":[""]}"#,
            r#"{"trace_context":{"parent":{"trace_id":"t"}}}"#,
            false,
        ),
        ("any cluster is one with a name", r#"{"node_name":["/n1"]}"#, r#"{"node_name":"c1/n1"}"#, true),
        ("of letters in lower case", r#"{"node_name":["/n1"]}"#, r#"{"node_name":"C1/n1"}"#, false),
        ("any node is one with a name", r#"{"node_name":["c1/"]}"#, r#"{"node_name":"c1/n1.x_y.z"}"#, true),
        ("and without a slash", r#"{"node_name":["c1/"]}"#, r#"{"node_name":"c1/n1/x"}"#, false),
        ("whose parts are not empty", r#"{"node_name":["c1/"]}"#, r#"{"node_name":"c1/n1..x"}"#, false),
        ("nor the name itself", r#"{"node_name":["c1/"]}"#, r#"{"node_name":"c1/"}"#, false),
    ];
    for (what, filter, flow, matches) in table {
        let flow = json::parse::<Flow>(flow).unwrap().message;
        assert_eq!(compile(filter, "").unwrap().matches(&flow), matches, "{what}");
    }
}

#[test]
fn the_first_wrong_field_in_the_order_of_the_server_is_reported() {
    let all_wrong =
        r#"{"node_name":[""],"source_port":["x"],"source_ip":["y"],"protocol":["z"],"source_pod":[""]}"#;
    let error = compile(all_wrong, "").unwrap_err();
    assert_eq!(error, r#"invalid protocol filter: unknown protocol: "z""#);
}
