//! Our JSON against what the stock CLI v1.19.4 printed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use palomar_flow::json;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn flows_print_as_the_stock_cli_prints_them() {
    let input = fs::read_to_string(fixture("flows.jsonl")).unwrap();
    for golden in ["json.txt", "jsonpb.txt"] {
        let golden = fs::read_to_string(fixture(golden)).unwrap();
        let mut expected = golden.lines();
        for line in input.lines() {
            let parsed = json::parse::<GetFlowsResponse>(line).unwrap();
            assert_eq!(parsed.unknown, None, "{line}");
            // node states go to another stream
            if !matches!(parsed.message.response_types, Some(ResponseTypes::NodeStatus(_))) {
                assert_eq!(json::to_string(&parsed.message).unwrap(), expected.next().unwrap());
            }
        }
        assert_eq!(expected.next(), None);
    }
}

#[test]
fn five_thousand_realistic_flows_survive_the_round_trip_byte_for_byte() {
    let file = File::open(fixture("flows-5k.jsonl.gz")).unwrap();
    let mut writer = json::Writer::default();
    let mut count = 0;
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let line = line.unwrap();
        let parsed = json::parse::<GetFlowsResponse>(&line).unwrap();
        let mut out = String::new();
        writer.write(&parsed.message, &mut out).unwrap();
        assert_eq!(out, line);
        count += 1;
    }
    assert_eq!(count, 5000);
}

/// Not a test of time, but it tells how long the round trip takes: `cargo test --release -- --ignored --nocapture`.
#[test]
#[ignore = "prints times"]
fn times() {
    let mut text = String::new();
    GzDecoder::new(File::open(fixture("flows-5k.jsonl.gz")).unwrap()).read_to_string(&mut text).unwrap();
    let start = std::time::Instant::now();
    let parsed: Vec<_> =
        text.lines().map(|line| json::parse::<GetFlowsResponse>(line).unwrap().message).collect();
    let read = start.elapsed();
    let (mut writer, mut out) = (json::Writer::default(), String::new());
    let start = std::time::Instant::now();
    for response in &parsed {
        writer.write(response, &mut out).unwrap();
        out.push('\n');
    }
    let written = start.elapsed();
    assert_eq!(out, text);
    println!("{} flows: read {read:?}, written {written:?}", parsed.len());
}
