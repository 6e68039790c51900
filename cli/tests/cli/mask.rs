//! The fields asked for are those that are printed.

use crate::support::{assert_same, fixture, palomar};
use palomar_cli::observe::default_mask;
use palomar_flow::{json, mask::FieldMask};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

/// What the fixture's flows do not have.
const MORE: &str = r#"
{"flow":{"IP":{"source":"10.0.0.1"},"source_service":{"name":"web","namespace":"shop"}}}
{"flow":{"IP":{"source":"10.0.0.1"},"source_names":["a.example.com"]}}
{"flow":{"verdict":"DROPPED","event_type":{"type":5},"traffic_direction":"EGRESS","egress_denied_by":[{"name":"d","kind":"K"}]}}
"#;

fn flows() -> String {
    fixture("flows.jsonl") + MORE.trim_start()
}

/// The flows as a server sends them that takes the mask literally.
fn masked(paths: &[String]) -> String {
    let mask = FieldMask::compile(paths).unwrap();
    let mut lines = String::new();
    for line in flows().lines() {
        let mut response = json::parse::<GetFlowsResponse>(line).unwrap().message;
        if let Some(ResponseTypes::Flow(flow)) = &mut response.response_types {
            *flow = mask.apply(flow.clone());
        }
        lines.push_str(&json::to_string(&response).unwrap());
        lines.push('\n');
    }
    lines
}

fn observe(input: &str, format: &str) -> String {
    let words = ["observe", "--input-file", "-", "-o", format, "--print-policy-names", "--print-node-name"];
    palomar(&words).input(input).run().out
}

#[test]
fn no_text_format_prints_a_field_that_it_does_not_ask_for() {
    let masked = masked(&default_mask().paths);
    for format in ["compact", "dict", "table"] {
        assert_same(format, &observe(&masked, format), &observe(&flows(), format));
    }
}

#[test]
fn no_text_format_asks_for_a_field_that_it_does_not_print() {
    let all = default_mask().paths;
    let texts = |input: &str| ["compact", "dict", "table"].map(|format| observe(input, format));
    let complete = texts(&flows());
    // the time and the node of a line are those of the response, which a server copies from the flow; Type is not
    // printed, and asked for because Hubble's servers and ours know the list by heart
    for path in all.iter().filter(|path| !["time", "node_name", "Type"].contains(&path.as_str())) {
        let others: Vec<String> = all.iter().filter(|other| *other != path).cloned().collect();
        assert!(texts(&masked(&others)) != complete, "{path} is asked for and not printed");
    }
}
