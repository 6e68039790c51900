//! Filters by CEL, over records and what they hold beyond their fields.

use palomar_proto::flow::flow_filter::Experimental;
use palomar_proto::flow::{self as proto, FlowFilter};
use palomar_proto::observer::GetFlowsRequest;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use tonic::Code;

use super::fixture::fixture;

fn request(expressions: &[&str]) -> GetFlowsRequest {
    let cel_expression = expressions.iter().map(|text| (*text).to_owned()).collect();
    let filter = FlowFilter { experimental: Some(Experimental { cel_expression }), ..FlowFilter::default() };
    GetFlowsRequest { whitelist: vec![filter], ..GetFlowsRequest::default() }
}

/// Expressions of one filter, and the flows that they are to find.
type Row = (&'static [&'static str], fn(&proto::Flow) -> bool);

#[tokio::test]
async fn an_expression_finds_the_flows_of_which_it_holds() {
    let mut fixture = fixture(1_023);
    fixture.says_more = true;
    for n in 0..400 {
        fixture.write(n * 7_919, i64::try_from(n).unwrap());
    }
    let table: [Row; 6] = [
        (&["_flow.verdict == Verdict.DROPPED"], |flow| flow.verdict() == proto::Verdict::Dropped),
        // what only the rest of a record holds, and no other filter reads
        (&["_flow.proxy_port == 15001u"], |flow| flow.proxy_port == 15_001),
        (&["has(_flow.l7)"], |flow| flow.l7.is_some()),
        (&["false", "_flow.node_name == 'node-2'"], |flow| flow.node_name == "node-2"),
        (&["_flow.node_labels == ['zone=a'] && _flow.is_reply == true"], |flow| flow.is_reply == Some(true)),
        // one that cannot be evaluated takes the others with it
        (&["_flow.source_names[0] == 'x'", "true"], |_| false),
    ];
    for (expressions, holds) in table {
        let responses = fixture.ask(request(expressions)).await.unwrap();
        let found: Vec<_> = responses
            .into_iter()
            .filter_map(|response| match response.response_types {
                Some(ResponseTypes::Flow(flow)) => Some(flow),
                _ => None,
            })
            .collect();
        let expected: Vec<_> = (0..fixture.flows.len()).map(|at| fixture.message(at)).filter(holds).collect();
        assert_eq!(found, expected, "{expressions:?}");
        assert!(expressions.len() > 1 || !expected.is_empty(), "{expressions:?} finds nothing");
    }
}

#[tokio::test]
async fn the_last_ones_by_an_expression_are_those_by_the_field() {
    let mut fixture = fixture(1_023);
    for n in 0..700 {
        fixture.write(n * 7_919, i64::try_from(n).unwrap());
    }
    let by_field = FlowFilter { verdict: vec![proto::Verdict::Dropped.into()], ..FlowFilter::default() };
    for (number, first) in [(1, false), (17, false), (9_999, false), (17, true)] {
        let by_field = GetFlowsRequest {
            number,
            first,
            whitelist: vec![by_field.clone()],
            ..GetFlowsRequest::default()
        };
        let by_expression =
            GetFlowsRequest { number, first, ..request(&["_flow.verdict == Verdict.DROPPED"]) };
        let expected = fixture.ask(by_field).await.unwrap();
        assert!(!expected.is_empty());
        assert_eq!(fixture.ask(by_expression).await.unwrap(), expected, "{number} {first}");
    }
}

#[tokio::test]
async fn an_expression_that_does_not_compile_refuses_the_request() {
    let fixture = fixture(15);
    let refused = fixture.ask(request(&["_flow.nope == 1"])).await.unwrap_err();
    let expected = "error compiling CEL expression: ERROR: <input>:1:6: undefined field 'nope'\n | _flow.nope == 1\n | \
                    .....^";
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, expected));
    let many = vec!["true"; 17];
    let refused = fixture.ask(request(&many)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("too many CEL expressions in filters: 17, of at most 16"));
}
