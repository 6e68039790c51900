//! Command lines that cannot be understood, and how flags are read.

use crate::support::{fixture_path, palomar};
use chrono::Datelike;
use proptest::prelude::*;

#[test]
fn errors_are_worded_as_those_of_hubble() {
    let table: [(&[&str], &str); 30] = [
        (&["bogus"], "unknown command \"bogus\" for \"palomar\""),
        (&["identity", "bogus"], "unknown command \"bogus\" for \"palomar identity\""),
        (&["help", "bogus"], "unknown command \"bogus\" for \"palomar\""),
        (&["observe", "--bogus"], "unknown flag: --bogus"),
        (&["observe", "--bogus=1"], "unknown flag: --bogus"),
        (&["observe", "-x"], "unknown shorthand flag: 'x' in -x"),
        (&["observe", "-4xy"], "unknown shorthand flag: 'x' in -xy"),
        (&["observe", "--pod"], "flag needs an argument: --pod"),
        (&["observe", "-4n"], "flag needs an argument: 'n' in -n"),
        (&["observe", "--=x"], "bad flag syntax: --=x"),
        (&["statsu"], "unknown command \"statsu\" for \"palomar\"\n\nDid you mean this?\n\tstatus"),
        (&["bogus", "--bogus"], "unknown command \"bogus\" for \"palomar\""),
        (&["observe", "--not", "-o", "yaml"], "trailing --not found in the arguments"),
        (&["observe", "agent-events", "--pod", "a"], "unknown flag: --pod"),
        (&["observe", "--pod", "a/b", "agent-events"], "unknown flag: --pod"),
        (
            &["observe", "--verdict", "x", "--bogus"],
            "invalid argument \"x\" for \"--verdict\" flag: invalid --verdict value: x",
        ),
        (&["observe", "--bogus", "--verdict", "x"], "unknown flag: --bogus"),
        (
            &["observe", "--verdict", "x", "--help"],
            "invalid argument \"x\" for \"--verdict\" flag: invalid --verdict value: x",
        ),
        (&["observe", "-o", "yaml", "--first", "1", "--last", "1"], "invalid output format: yaml"),
        (
            &["observe", "--allowlist", "x", "--since", "y"],
            "failed to parse the since time: failed to convert y to time",
        ),
        (
            &["observe", "-n", "a", "-n", "b", "--pod", "c/x"],
            "invalid argument \"c/x\" for \"--pod\" flag: namespace conflict: \"a\" does not contain \"c/x\"",
        ),
        (&["identity", "list", "extra"], "unexpected argument \"extra\""),
        (&["status", "-o", "bogus"], "invalid output format: bogus"),
        (&["list", "nodes", "-o", "yaml"], "unknown output format: yaml"),
        (
            &["observe", "--follow=maybe"],
            "invalid argument \"maybe\" for \"-f, --follow\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            &["observe", "--first", "99999999999999999999"],
            "invalid argument \"99999999999999999999\" for \"--first\" flag: strconv.ParseUint: parsing \
             \"99999999999999999999\": value out of range",
        ),
        (
            &["status", "--timeout", "5"],
            "invalid argument \"5\" for \"--timeout\" flag: time: missing unit in duration \"5\"",
        ),
        (
            &["observe", "--server", "ftp://relay:443"],
            "server address \"ftp://relay:443\" has an unknown scheme; choose from: unix:///path, host:port, tls://host:port",
        ),
        (
            // the first wrong value is told, whatever its flag
            &["observe", "--type", "x", "--verdict", "y"],
            "invalid argument \"x\" for \"-t, --type\" flag: unable to parse type 'x', not a known type name and \
             unable to parse as numeric value: strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            &["observe", "--input-file", "-", "--uuid", "a", "--not", "--identity", "5000000000"],
            "invalid argument \"5000000000\" for \"--identity\" flag: invalid security identity, expected one of [host \
             world unmanaged health init remote-node kube-apiserver ingress world-ipv4 world-ipv6 11] or a numeric value",
        ),
    ];
    for (words, wanted) in table {
        let outcome = palomar(words).run();
        assert_eq!(
            (outcome.err.trim_end(), outcome.code, outcome.out.as_str()),
            (wanted, 1, ""),
            "{words:?}"
        );
    }
}

#[test]
fn flags_may_be_written_in_all_usual_ways() {
    let raw = |words: &[&str]| palomar(&[&["observe", "--print-raw-filters"], words].concat()).run().out;
    let wanted = raw(&["--namespace", "shop", "--ipv4"]);
    assert!(wanted.contains("shop/"), "{wanted}");
    for words in [
        &["--namespace=shop", "-4"] as &[&str],
        &["-n", "shop", "--ipv4=true"],
        &["-nshop", "-4"],
        &["-4n", "shop"],
        &["flows", "-n=shop", "-4"],
        &["-n", "shop", "-4", "--", "--pod", "ignored"],
    ] {
        assert_eq!(raw(words), wanted, "{words:?}");
    }
    let dashed = raw(&["--pod", "--verdict"]);
    assert!(dashed.contains("\"--verdict\""), "a value may begin with dashes: {dashed}");
}

#[test]
fn numbers_are_read_as_go_reads_them() {
    let raw = |words: &[&str]| palomar(&[&["observe", "--print-raw-filters"], words].concat()).run();
    let filter = |json: &str| format!("allowlist:\n    - '{json}'\n");
    let both = |json: &str| {
        let (left, right) = (json.replace('E', "source"), json.replace('E', "destination"));
        format!("allowlist:\n    - '{left}'\n    - '{right}'\n")
    };
    assert_eq!(raw(&["--identity", "0x1_F"]).out, both("{\"E_identity\":[31]}"));
    assert_eq!(raw(&["--identity", "017"]).out, both("{\"E_identity\":[15]}"));
    assert_eq!(raw(&["-t", "4294967295"]).out, filter("{\"event_type\":[{\"type\":-1}]}"));
    assert!(raw(&["-t", "0x1"]).err.contains("strconv.ParseUint: parsing \"0x1\": invalid syntax"));
    assert_eq!(raw(&["--last", "0x10"]).code, 0);
}

proptest! {
    #[test]
    fn no_command_line_and_no_text_of_a_time_brings_the_program_down(
        words in prop::collection::vec(prop_oneof!["-{0,3}[a-zA-Z0-9=-]{0,8}", "\\PC{0,6}", Just("observe".to_owned()), Just("--since".to_owned())], 0..6),
        time in "[-0-9TZ:.,+ a-z]{0,30}|\\PC{0,20}",
    ) {
        let parsed = palomar_cli::arguments::parse(&palomar_cli::arguments::commands::ROOT, &words);
        if let Ok(parsed) = parsed {
            prop_assert!(parsed.words.len() <= words.len());
        }
        let now = crate::support::now();
        if let Ok(instant) = palomar_cli::time::parse_instant(&time, now) {
            prop_assert!(palomar_cli::time::parse_duration(&time).is_ok() || (1..=9999).contains(&instant.year()));
        }
    }
}

#[test]
fn not_turns_the_next_filter_flag_also_past_other_flags() {
    let out =
        palomar(&["observe", "--not", "-o", "json", "--verdict", "DROPPED", "--print-raw-filters"]).run().out;
    assert_eq!(out, "denylist:\n    - '{\"verdict\":[\"DROPPED\"]}'\n");
}

#[test]
fn a_switch_can_be_turned_off_again() {
    let path = fixture_path("flows.jsonl");
    let observe = |words: &[&str]| {
        palomar(&[&["observe", "--input-file", path.to_str().unwrap(), "--first", "1"], words].concat())
            .run()
            .out
    };
    assert_eq!(observe(&["--numeric", "--numeric=false"]), observe(&[]));
    assert_ne!(observe(&["--numeric"]), observe(&[]));
}

#[test]
fn filters_come_from_the_environment_only_if_no_flag_says_otherwise() {
    let filter = "{\"verdict\":[\"DROPPED\"]}";
    let out = palomar(&["observe", "--print-raw-filters"]).variable("HUBBLE_ALLOWLIST", filter).run().out;
    assert_eq!(out, format!("allowlist:\n    - '{filter}'\n"));
    let given = palomar(&["observe", "--print-raw-filters", "--allowlist", "{}"])
        .variable("HUBBLE_ALLOWLIST", filter);
    assert_eq!(given.run().out, "allowlist:\n    - '{}'\n");
}
