//! Which part of the past, and whether the future.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use palomar_proto::observer::GetFlowsRequest;
use prost_types::Timestamp;

use crate::arguments::Given;
use crate::time::parse_instant;

/// Flows that are printed if nothing is said.
const DEFAULT_NUMBER: u64 = 20;
/// The last responses of a file are kept in memory: no more than so many.
const MOST_LAST: u64 = 1_000_000;

/// The selectors of a command line, free of conflicts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selectors {
    /// The last so many; `None` also for zero, as Hubble has it.
    pub last: Option<u64>,
    /// The first so many; `None` also for zero.
    pub first: Option<u64>,
    /// Everything there is.
    pub all: bool,
    /// What is to come.
    pub follow: bool,
    /// From this time on, itself included.
    pub since: Option<DateTime<Utc>>,
    /// Up to this time, itself included. `None` if following.
    pub until: Option<DateTime<Utc>>,
}

impl Selectors {
    /// Times before `now` are reckoned from there. The flags of all kinds of events contradict each other alike.
    pub fn from_flags(given: &Given, now: DateTime<Utc>) -> Result<Self> {
        let last = given.number("last")?.filter(|number| *number > 0);
        let first = given.number("first")?.filter(|number| *number > 0);
        let all = given.switch("all")?;
        let follow = given.switch("follow")?;
        let conflicts = [
            ("--first and --last", first.is_some() && last.is_some()),
            ("--first and --all", first.is_some() && all),
            ("--first and --follow", first.is_some() && follow),
            ("--last and --all", last.is_some() && all),
        ];
        if let Some((flags, _)) = conflicts.iter().find(|(_, both)| *both) {
            bail!("cannot set both {flags}");
        }
        let time = |flag: &str| {
            let text = given.text(flag).filter(|text| !text.is_empty());
            let time = text.map(|text| parse_instant(text, now)).transpose();
            time.with_context(|| format!("failed to parse the {flag} time"))
        };
        let (since, until) = (time("since")?, time("until")?);
        Ok(Self { last, first, all, follow, since, until: until.filter(|_| !follow) })
    }

    /// An error if more of the last responses are wanted than are kept of a file.
    pub fn check_kept(&self) -> Result<()> {
        if let Some(last) = self.last.filter(|last| *last > MOST_LAST) {
            bail!("--last must be <= 1_000_000, got {last}");
        }
        Ok(())
    }

    /// Whether a response of that time is in the range, to which both of its ends belong. One without time is of 1970,
    /// as in Hubble.
    pub fn have(&self, time: impl FnOnce() -> Option<(i64, i32)>) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let (seconds, nanos_of_second) = time().unwrap_or((0, 0));
        let time = i128::from(seconds) * 1_000_000_000 + i128::from(nanos_of_second);
        self.since.is_none_or(|since| nanos(since) <= time)
            && self.until.is_none_or(|until| time <= nanos(until))
    }

    /// Whether the last N after a time are wanted, which stock servers do not give.
    pub fn is_tail_of_range(&self) -> bool {
        self.since.is_some() && self.last.is_some() && !self.follow
    }

    /// The number in a request for agent or debug events: unlike that for flows, it has its default also when
    /// following.
    pub fn number_of_events(&self) -> u64 {
        match (self.first.or(self.last), self.since.is_some() || self.until.is_some()) {
            (Some(number), _) => number,
            (None, true) => 0,
            (None, false) if self.all => u64::MAX,
            (None, false) => DEFAULT_NUMBER,
        }
    }

    /// The beginning of the range as requests have it.
    pub fn since(&self) -> Option<Timestamp> {
        self.since.map(timestamp)
    }

    /// The end of the range as requests have it.
    pub fn until(&self) -> Option<Timestamp> {
        self.until.map(timestamp)
    }

    /// Fills the request of a server.
    pub fn apply(&self, request: &mut GetFlowsRequest) {
        let in_range = self.since.is_some() || self.until.is_some();
        request.number = match self.first.or(self.last) {
            Some(number) => number,
            None if in_range => 0,
            None if self.all => u64::MAX,
            None if self.follow => 0,
            None => DEFAULT_NUMBER,
        };
        request.first = self.first.is_some();
        request.follow = self.follow;
        request.since = self.since();
        request.until = self.until();
    }
}

fn timestamp(time: DateTime<Utc>) -> Timestamp {
    // a leap second has more nanoseconds than protobuf allows
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(999_999_999).min(999_999_999);
    Timestamp { seconds: time.timestamp(), nanos }
}

fn nanos(time: DateTime<Utc>) -> i128 {
    i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos())
}
