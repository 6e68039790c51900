//! Messages as typed flows and back.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test would")]

use std::fs::{self, File};
use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use palomar_flow::convert::{NodeContext, Typed};
use palomar_flow::json;
use palomar_flow::rest::Stands;
use palomar_proto::flow::Flow;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use prost::Message as _;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn flows(text: &str) -> Vec<Flow> {
    let response = |line| json::parse::<GetFlowsResponse>(line).unwrap().message;
    text.lines()
        .filter_map(|line| match response(line).response_types? {
            ResponseTypes::Flow(flow) => Some(flow),
            ResponseTypes::NodeStatus(_) | ResponseTypes::LostEvents(_) => None,
        })
        .collect()
}

fn stock_flows() -> Vec<Flow> {
    flows(&fs::read_to_string(fixture("flows.jsonl")).unwrap())
}

fn realistic_flows() -> Vec<Flow> {
    let mut text = String::new();
    GzDecoder::new(File::open(fixture("flows-5k.jsonl.gz")).unwrap()).read_to_string(&mut text).unwrap();
    flows(&text)
}

/// Every flow comes back as it was. Returns how many have nothing beside the typed flow, something, and something that
/// filters read; and how many have no typed flow.
fn survey(flows: &[Flow]) -> [usize; 4] {
    let node = NodeContext::of_flow(&flows[0]);
    let mut counts = [0; 4];
    for flow in flows {
        let typed = Typed::of(flow, &node);
        assert_eq!(typed.to_proto(&node), *flow);
        let kind = match &typed.rest {
            None => 0,
            Some(rest) if rest.stands() == Stands::Instead => 3,
            Some(rest) => 1 + usize::from(rest.is_filtered()),
        };
        counts[kind] += 1;
    }
    counts
}

#[test]
fn every_flow_of_a_stock_server_comes_back_as_it_was() {
    // ethernet addresses, the place in the datapath's source, and labels of policies
    assert_eq!(survey(&realistic_flows()), [0, 5_000, 0, 0]);
    // most say whether they are replies, and neither why nor in which direction; four have no addresses or no ends
    assert_eq!(survey(&stock_flows()), [4, 27, 47, 4]);
}

#[test]
fn what_is_left_out_is_only_what_the_typed_flow_does_not_say() {
    let flows = realistic_flows();
    let node = NodeContext::of_flow(&flows[0]);
    for flow in flows {
        let rest = Typed::of(&flow, &node).rest.unwrap();
        let rest = Flow::decode(rest.fields()).unwrap();
        let left = Flow {
            ethernet: flow.ethernet.clone(),
            file: flow.file.clone(),
            egress_allowed_by: flow.egress_allowed_by.clone(),
            ingress_allowed_by: flow.ingress_allowed_by.clone(),
            ..Flow::default()
        };
        assert_eq!(rest, left);
    }
}
