//! The table of `docs/hubble-differences.md`: where we and the recordings are not equal.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::support::fixture_path;

const TABLE: &str = include_str!("../../../docs/hubble-differences.md");

/// The rows about one recording, and which of them were met.
#[derive(Debug)]
pub struct Differences {
    recording: String,
    met: RefCell<BTreeSet<String>>,
}

/// Recording and row of each row.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "four cells: {row}");
        (cells[0], cells[1])
    })
}

impl Differences {
    pub fn of(recording: &str) -> Self {
        Self { recording: recording.to_owned(), met: RefCell::default() }
    }

    fn is_listed(&self, row: &str) -> bool {
        rows().any(|listed| listed == (self.recording.as_str(), row))
    }

    /// Whether a row is as the table says: equal, or listed as different.
    pub fn is_as_listed(&self, row: &str, is_equal: bool) -> bool {
        if is_equal {
            return true;
        }
        self.met.borrow_mut().insert(row.to_owned());
        self.is_listed(row)
    }

    /// What a rule makes of the recording, if the table lists the rule.
    pub fn ruled(&self, rule: &str, recorded: &str, apply: impl FnOnce(&str) -> String) -> String {
        if !self.is_listed(rule) {
            return recorded.to_owned();
        }
        let changed = apply(recorded);
        if changed != recorded {
            self.met.borrow_mut().insert(rule.to_owned());
        }
        changed
    }

    /// Every listed difference has to have been met: what is equal is to leave the table.
    pub fn end(self) {
        for (_, row) in rows().filter(|(recording, _)| *recording == self.recording) {
            assert!(self.met.borrow().contains(row), "{}: {row:?} differs no longer", self.recording);
        }
    }
}

#[test]
fn every_row_of_the_table_is_about_a_recording_and_stands_there_once() {
    let rows: Vec<_> = rows().collect();
    assert!(rows.len() > 5, "{rows:?}");
    for (at, (recording, row)) in rows.iter().enumerate() {
        assert!(fixture_path(recording).exists(), "{recording}");
        assert!(!rows[..at].contains(&(recording, row)), "twice: {recording}, {row}");
    }
}

#[test]
fn a_difference_that_is_not_listed_fails_and_one_that_is_listed_has_to_be_met() {
    let differences = Differences::of("server-outputs.txt");
    assert!(differences.is_as_listed("status", true));
    assert!(!differences.is_as_listed("status", false));
    assert!(differences.is_as_listed("observe (hdr versions)", false));
    assert_eq!(differences.ruled("no such rule", "text", |_| "other".to_owned()), "text");
    let unmet = std::panic::catch_unwind(|| Differences::of("requests.txt").end());
    assert!(unmet.is_err());
}
