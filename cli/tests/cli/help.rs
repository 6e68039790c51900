//! The help, as users read it. After a change that is meant, `PALOMAR_BLESS=1` writes the fixtures anew.

use std::fs;

use crate::support::{assert_same, fixture_path, palomar};

const COMMANDS: [&str; 31] = [
    "",
    "observe",
    "status",
    "identity",
    "identity get",
    "identity list",
    "endpoint",
    "endpoint list",
    "connections",
    "list",
    "list nodes",
    "list namespaces",
    "policy",
    "policy explain",
    "policy test",
    "policy simulate",
    "policy list",
    "policy get",
    "version",
    "observe flows",
    "observe agent-events",
    "observe debug-events",
    "watch",
    "watch peers",
    "reflect",
    "config",
    "config view",
    "config get",
    "config set",
    "config reset",
    "completion",
];

#[test]
fn the_help_of_every_command_is_as_agreed() {
    for command in COMMANDS {
        let words: Vec<&str> = command.split_whitespace().collect();
        let outcome = palomar(&[words.as_slice(), &["--help"]].concat()).run();
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{command}");
        let path = fixture_path("help")
            .join(format!("{}.txt", ["palomar", command].join(" ").trim_end().replace(' ', "-")));
        if std::env::var_os("PALOMAR_BLESS").is_some() {
            fs::write(&path, &outcome.out).unwrap();
        }
        assert_same(command, &outcome.out, &fs::read_to_string(&path).unwrap());
        let asked_otherwise = palomar(&[&["help"], words.as_slice()].concat()).run();
        assert_eq!(asked_otherwise, outcome, "help {command}");
    }
}

#[test]
fn a_command_that_only_groups_others_prints_its_help() {
    for command in ["identity", "endpoint", "policy", "list", "list ns", "watch", "config", "config bogus"] {
        let words: Vec<&str> = command.split(' ').collect();
        let group = &words[..1];
        assert_eq!(palomar(&words).run(), palomar(&[group, &["--help"]].concat()).run(), "{command}");
    }
    let none: [&str; 0] = [];
    assert_eq!(palomar(&none).run(), palomar(&["-h"]).run());
}

#[test]
fn every_line_fits_a_terminal_of_110_columns() {
    for command in COMMANDS {
        let words: Vec<&str> = command.split_whitespace().collect();
        let help = palomar(&[words.as_slice(), &["-h"]].concat()).run().out;
        for line in help.lines() {
            assert!(line.chars().count() <= 110, "{command}: {line}");
        }
    }
}
