//! The load server with the flows of a file: clients print of them what they print of the file.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use flate2::read::GzDecoder;
use serde_json::Value;
use support::{FlowServer, field};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/fixtures").join(name)
}

fn text(name: &str) -> String {
    let mut text = String::new();
    let mut file = File::open(fixture(name)).unwrap();
    if name.contains("5k") {
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
    } else {
        file.read_to_string(&mut text).unwrap();
    }
    text
}

fn serve(name: &str, args: &[&str]) -> FlowServer {
    let path = fixture(name);
    FlowServer::start(&[&["--from", path.to_str().unwrap()], args].concat())
}

/// JSON without the UUIDs, which every server gives itself.
fn without_uuids(json: &str) -> String {
    let mut out = String::new();
    let mut rest = json;
    while let Some(at) = rest.find(r#""uuid":""#) {
        let (before, uuid) = rest.split_at(at);
        out.push_str(before);
        rest = uuid.split_once(',').unwrap().1;
    }
    out + rest
}

/// What a golden text says of flows: lost events are not served.
fn of_flows(golden: &str) -> String {
    if golden.contains("------------\n") {
        let records: Vec<&str> =
            golden.split("------------\n").filter(|r| !r.contains("EVENTS LOST")).collect();
        return records.join("------------\n");
    }
    let is_flow = |line: &&str| !line.contains("EVENTS LOST") && !line.starts_with(r#"{"lost_events""#);
    golden.split_inclusive('\n').filter(is_flow).collect()
}

fn assert_same(what: &str, actual: &str, expected: &str) {
    for (number, (actual, expected)) in (1..).zip(actual.lines().zip(expected.lines())) {
        assert_eq!(actual, expected, "{what}, line {number}");
    }
    assert_eq!(actual.lines().count(), expected.lines().count(), "{what}");
    assert_eq!(actual, expected, "{what}");
}

#[test]
fn five_thousand_realistic_flows_print_as_those_of_the_stock_server() {
    let server = serve("flows-5k.jsonl.gz", &["--capacity", "8191"]);
    assert!(server.said.contains("serving 5000 flows of 5000 written"), "{}", server.said);
    for format in ["compact", "dict", "tab"] {
        let actual = server.ask(&["observe", "--all", "-o", format]);
        assert_same(format, &actual, &text(&format!("flows-5k.{format}.txt.gz")));
    }
    let actual = server.ask(&["observe", "--all", "-o", "jsonpb"]);
    assert_same("jsonpb", &without_uuids(&actual), &without_uuids(&text("flows-5k.jsonl.gz")));
    assert_eq!(server.flows(&["--all", "--verdict", "DROPPED"]).len(), 500);
    let status = server.ask(&["status"]);
    assert!(status.contains("node worker-01"), "{status}");
}

#[test]
fn flows_of_every_kind_print_in_every_format_as_the_stock_cli_printed_them() {
    let server = serve("flows.jsonl", &[]);
    let table: [(&str, &[&str]); 10] = [
        ("compact.txt", &[]),
        ("compact-color.txt", &["--color", "always"]),
        ("compact-nodename.txt", &["--print-node-name"]),
        ("compact-numeric.txt", &["--numeric"]),
        ("compact-policynames.txt", &["--print-policy-names"]),
        ("dict.txt", &["-o", "dict"]),
        ("tab.txt", &["-o", "tab"]),
        ("tab-nodename.txt", &["-o", "tab", "--print-node-name"]),
        ("json.txt", &["-o", "json"]),
        ("json.txt", &["-o", "jsonpb", "--color", "always"]),
    ];
    for (golden, args) in table {
        let actual = server.ask(&[&["observe", "--all"], args].concat());
        // our CLI lets no colours of a summary through
        let expected = of_flows(&text(golden)).replace("\x1b[31mred\x1b[0m cr", "^[[31mred^[[0m cr");
        assert_same(golden, &without_uuids(&actual), &without_uuids(&expected));
    }
}

/// Queries that are not compared, and why.
const NOT_COMPARED: [(&str, &str); 6] = [
    ("--uuid", "the server gives its own"),
    ("--last", "of a file lost events count, and a server does not have them"),
    ("--first", "likewise"),
    ("--follow", "a file has an end"),
    ("--input-file", "no server is asked"),
    ("-P", "likewise"),
];

#[test]
fn every_filter_finds_among_served_flows_what_it_finds_in_the_file() {
    let server = serve("flows.jsonl", &[]);
    let file = fixture("flows.jsonl");
    let (mut compared, mut wrong) = (0, Vec::new());
    for line in text("filters-offline.txt").lines() {
        let Some(line) = line.strip_prefix("$ hubble observe --input-file F ") else { continue };
        if NOT_COMPARED.iter().any(|(flag, _)| line.contains(flag)) {
            continue;
        }
        // without a range a server gives the last 20 alone
        let has_range = line.split(' ').any(|word| ["--all", "--since", "--until"].contains(&word));
        let all = if has_range { "" } else { "--all" };
        let args: Vec<String> = words(line).into_iter().chain(words(all)).collect();
        let mut of_file = server.palomar(&["observe", "-s", "-o", "json", "--input-file"]);
        let mut of_server = server.palomar(&["observe", "-s", "-o", "json"]);
        let [expected, actual] = [of_file.arg(&file), &mut of_server].map(|command| {
            let Output { status, stdout, stderr } = command.args(&args).output().unwrap();
            let flows = of_flows(&String::from_utf8(stdout).unwrap());
            // line feeds of a server's error are escaped, those of our own are not
            let told = String::from_utf8(stderr).unwrap().replace("\\n", "\n");
            (status.code(), without_uuids(&flows), told)
        });
        if expected != actual {
            wrong.push(format!("{line:?}: of the file {expected:?}\n    served {actual:?}"));
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 120, "only {compared} queries were compared");
}

/// The words of a recorded command line, which lost its quotes: what follows the value of a flag belongs to it.
fn words(line: &str) -> Vec<String> {
    const SWITCHES: [&str; 7] = ["-4", "-6", "-A", "--all", "--not", "--encrypted", "--unencrypted"];
    let mut words: Vec<String> = Vec::new();
    let mut value_open = false;
    for part in line.split(' ') {
        let wants_value = |word: &String| word.starts_with('-') && !SWITCHES.contains(&word.as_str());
        if !value_open && words.last().is_some_and(wants_value) {
            words.push(part.to_owned());
            value_open = true;
        } else if value_open && !part.starts_with('-') {
            let value = words.last_mut().unwrap();
            value.push(' ');
            value.push_str(part);
        } else {
            value_open = false;
            if !part.is_empty() {
                words.push(part.to_owned());
            }
        }
    }
    words
}

#[test]
fn a_file_is_told_again_for_more_flows_than_it_has_and_only_its_beginning_for_fewer() {
    let count = |count: &str| serve("flows.jsonl", &["--count", count]).flows(&["--all"]);
    let times = |flows: &[Value]| -> Vec<String> {
        flows.iter().map(|flow| field(flow, "/time").as_str().unwrap().to_owned()).collect()
    };
    let (all, more, fewer) = (count("82"), count("170"), count("5"));
    assert_eq!((all.len(), more.len(), fewer.len()), (82, 170, 5));
    assert_eq!(times(&fewer), times(&all)[..5]);
    assert_eq!(times(&more)[..82], times(&all));
    let newest = times(&all).into_iter().max().unwrap();
    assert!(times(&more)[82..].iter().all(|time| *time > newest), "the second round follows the first");
    assert_eq!(more[82]["Summary"], all[0]["Summary"]);
}

#[test]
fn live_flows_of_a_file_have_the_time_at_which_they_come() {
    let server = serve("flows.jsonl", &["--count", "0", "--rate", "1000"]);
    let mut follower =
        server.palomar(&["observe", "-f", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let times: Vec<Value> = lines
        .take(100)
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()["time"].take())
        .collect();
    follower.kill().unwrap();
    follower.wait().unwrap();
    let times: Vec<&str> = times.iter().map(|time| time.as_str().unwrap()).collect();
    assert!(times.is_sorted() && *times[0] > *"2026-03-05", "{times:?}");
}

#[test]
fn standard_input_is_read_as_well_and_what_is_not_served_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("flows.sock");
    let listen = format!("unix://{}", socket.display());
    let args = ["--from", "-", "--listen", &listen, "--rate", "0"];
    let mut process = FlowServer::command(&args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(text("flows.jsonl").as_bytes()).unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("serving 82 flows of 82 written"), "{line}");
    process.kill().unwrap();
    let mut told = String::new();
    process.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    process.wait().unwrap();
    let expected = "palomar-lab: -: 3 lines with lost_events: not served, a server tells its own
palomar-lab: -: 4 lines with node_status: not served, only a relay tells it
palomar-lab: -: 82 lines with flow.uuid: the server gives its own
";
    assert_eq!(told, expected);
}

#[test]
fn a_file_that_is_no_file_of_flows_is_refused_by_its_line() {
    let flow = r#"{"flow":{"verdict":"FORWARDED"}}"#;
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let table = [
        (file(""), "no flow in it"),
        (file("\n\n"), "no flow in it"),
        (file(r#"{"lost_events":{"num_events_lost":"3"}}"#), "no flow in it"),
        (file(&format!("{flow}\n\n{{\"flow\":7}}\n")), "line 3: proto: syntax error"),
        (file("{\"flow\":{\"verdict\":\"FORW"), "line 1: proto"),
        (file(&"x".repeat(1 << 20)), "line 1: longer than 1048576 bytes"),
    ];
    let refused = |from: &str| {
        let output =
            FlowServer::command(&["--listen", "unix:///tmp/never-made.sock", "--from", from]).output();
        let Output { status, stderr, .. } = output.unwrap();
        assert!(!status.success(), "{from}");
        String::from_utf8(stderr).unwrap()
    };
    for (file, why) in table {
        let path = file.path().to_str().unwrap();
        let error = refused(path);
        assert!(error.contains(&format!("--from {path}: {why}")), "{error}");
    }
    let (mut packed, path) = (Vec::new(), fixture("flows-5k.jsonl.gz"));
    File::open(path).unwrap().take(5_000).read_to_end(&mut packed).unwrap();
    let mut cut = tempfile::NamedTempFile::new().unwrap();
    cut.write_all(&packed).unwrap();
    assert!(refused(cut.path().to_str().unwrap()).contains(": line "), "a packed file that is cut off");
    assert!(refused("/nowhere/flows.jsonl").contains("open /nowhere/flows.jsonl: No such file or directory"));
}
