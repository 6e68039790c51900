//! What is printed of encoded responses, against what is printed of the decoded ones.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use palomar_flow::json;
use palomar_flow::mask::{FieldMask, STOCK_DEFAULT};
use palomar_proto::observer::get_flows_response::ResponseTypes;
use proptest::prelude::*;

use super::*;
use crate::render::{Colour, Format, Naming, NodeStates, Options, PolicyNames};
use crate::time::TimeFormat;

/// Varied responses and realistic ones, whole and masked.
static RESPONSES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut text = fs::read_to_string(fixtures.join("flows.jsonl")).expect("a fixture");
    let packed = fs::read(fixtures.join("flows-5k.jsonl.gz")).expect("a fixture");
    GzDecoder::new(packed.as_slice()).take(1 << 20).read_to_string(&mut text).expect("gzip");
    let paths: Vec<String> = STOCK_DEFAULT.into_iter().map(str::to_owned).collect();
    let mask = FieldMask::compile(&paths).expect("paths of a flow");
    let mut responses = Vec::new();
    // the last line is cut
    for line in text.lines().rev().skip(1) {
        let response: GetFlowsResponse = json::parse(line).expect("a response").message;
        responses.push(response.encode_to_vec());
        if let Some(ResponseTypes::Flow(flow)) = response.response_types {
            let flow = mask.apply(flow);
            let response = GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..response };
            responses.push(response.encode_to_vec());
        }
    }
    responses
});

/// Output, stderr, and the error.
type Printed = (String, String, Option<String>);

fn printed(
    options: Options,
    print: impl FnOnce(&mut Printer<&mut Vec<u8>, &mut Vec<u8>>) -> Result<()>,
) -> Printed {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut printer = Printer::new(options, &mut out, &mut err);
    let outcome = print(&mut printer);
    printer.finish().expect("vectors take all");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(out), text(err), outcome.err().map(|error| format!("{error:#}")))
}

fn skimmed(options: Options, responses: &[Vec<u8>]) -> Printed {
    printed(options, |printer| {
        let mut skim = Skim::new(printer);
        responses.iter().try_for_each(|response| skim.print(response))
    })
}

fn decoded(options: Options, responses: &[Vec<u8>]) -> Printed {
    printed(options, |printer| {
        responses.iter().try_for_each(|encoded| {
            let response = GetFlowsResponse::decode(encoded.as_slice())
                .map_err(|error| rpc::failure(&Status::internal(error.to_string())))?;
            Ok(printer.print(&response)?)
        })
    })
}

const FORMATS: [Format; 5] = [Format::Compact, Format::Dict, Format::Table, Format::Json, Format::LegacyJson];

fn options(format: Format) -> Options {
    Options {
        format,
        time: TimeFormat::Rfc3339,
        naming: Naming::Names,
        policy_names: PolicyNames::Hide,
        print_node_name: true,
        colour: Colour::Off,
        node_states: NodeStates::All,
    }
}

/// How many of the responses a skim is enough for.
fn plain(responses: &[Vec<u8>]) -> usize {
    let mut skimmer = Skimmer::new::<GetFlowsResponse>(PATHS);
    responses.iter().filter(|response| skimmer.skim(response).is_some()).count()
}

#[test]
fn encoded_responses_print_as_decoded_ones_and_hardly_one_has_to_be_decoded() {
    for format in FORMATS {
        for policy_names in [PolicyNames::Hide, PolicyNames::Show] {
            let options = Options { policy_names, ..options(format) };
            assert_eq!(skimmed(options, &RESPONSES), decoded(options, &RESPONSES), "{format:?}");
        }
    }
    assert_eq!(plain(&RESPONSES), RESPONSES.len());
}

#[test]
fn what_is_not_plain_is_decoded() {
    let first = RESPONSES.last().expect("some").clone();
    let cut = first[..first.len() - 1].to_vec();
    let table: [(&str, Vec<u8>); 9] = [
        ("two flows in one response are merged", [first.clone(), first.clone()].concat()),
        ("a flow and a loss: the last counts", [first.clone(), vec![0x1a, 2, 8, 1]].concat()),
        ("a flow without anything said twice", vec![0x0a, 0, 0x0a, 0]),
        ("an empty node name that is written", vec![0x0a, 0, 0xc2, 0x3e, 0]),
        ("a node name that is no UTF-8", vec![0x0a, 0, 0xc2, 0x3e, 1, 0xff]),
        ("a verdict of 0 that is written", vec![0x0a, 2, 0x10, 0]),
        ("a group", vec![0x0a, 0, 0x0b, 0x0c]),
        ("a flow as a number", vec![0x08, 1]),
        ("a message that is cut", cut),
    ];
    for (what, response) in table {
        assert_eq!(plain(std::slice::from_ref(&response)), 0, "{what}");
        for format in FORMATS {
            let responses = [first.clone(), response.clone(), first.clone()];
            assert_eq!(skimmed(options(format), &responses), decoded(options(format), &responses), "{what}");
        }
    }
}

#[test]
fn what_a_newer_server_says_is_left_out_and_its_numbers_are_shown() {
    // field 77 of the response, field 90 of the flow, verdict 99
    let response = vec![0x0a, 6, 0x10, 99, 0xd2, 0x05, 1, b'x', 0xe8, 0x04, 5];
    assert_eq!(plain(std::slice::from_ref(&response)), 1);
    let (out, err, error) = skimmed(options(Format::Json), std::slice::from_ref(&response));
    assert_eq!((out.as_str(), err.as_str(), error), ("{\"flow\":{\"verdict\":99}}\n", "", None));
    for format in FORMATS {
        let responses = [response.clone()];
        assert_eq!(skimmed(options(format), &responses), decoded(options(format), &responses));
    }
}

prop_compose! {
    /// A response, perhaps with other bytes in one place, or with more behind it.
    fn any_encoded()(
        at in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), length in 0..4_usize,
        instead in prop::collection::vec(prop_oneof![0..32_u8, any::<u8>()], 0..4), is_changed in any::<bool>(),
        more in prop::option::weighted(0.2, prop::collection::vec(prop_oneof![0..32_u8, any::<u8>()], 1..6)),
    ) -> Vec<u8> {
        let mut response = RESPONSES[at.index(RESPONSES.len())].clone();
        if is_changed && !response.is_empty() {
            let start = place.index(response.len());
            let end = (start + length).min(response.len());
            response.splice(start..end, instead);
        }
        response.extend(more.unwrap_or_default());
        response
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 2))]

    #[test]
    fn whatever_comes_prints_as_it_would_decoded(
        responses in prop::collection::vec(any_encoded(), 1..4),
        format in prop::sample::select(FORMATS.to_vec()), is_numeric in any::<bool>(), shows_policies in any::<bool>(),
    ) {
        let options = Options {
            naming: if is_numeric { Naming::Numeric } else { Naming::Names },
            policy_names: if shows_policies { PolicyNames::Show } else { PolicyNames::Hide },
            ..options(format)
        };
        prop_assert_eq!(skimmed(options, &responses), decoded(options, &responses));
    }
}
