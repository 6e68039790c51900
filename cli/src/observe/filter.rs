//! Filter flags to Hubble's `FlowFilter`s.

mod conflicts;
mod ends;
mod event_type;
mod namespaces;
mod raw;
mod set;
mod tracker;
mod values;

use anyhow::Result;
use palomar_proto::flow::FlowFilter;

pub use values::parse_identity;

use crate::arguments::{Given, UsageError, is_filter};
use tracker::Tracker;

/// What is to be shown and what is not. A list is an OR of its filters; empty: everything, respectively nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters {
    /// What is shown.
    pub allow: Vec<FlowFilter>,
    /// What is not shown, of that.
    pub deny: Vec<FlowFilter>,
}

impl Filters {
    /// Takes the flags in their order, since `--not` turns the flag after it.
    pub fn from_flags(given: &Given) -> Result<Self> {
        let (mut allow, mut deny) = (Tracker::default(), Tracker::default());
        let mut negated = false;
        for (flag, value) in given.iter().filter(|(flag, _)| is_filter(&flag.long)) {
            if flag.long == "not" {
                if negated {
                    return Err(flag.refuse(value, "consecutive --not statements").into());
                }
                negated = true;
                continue;
            }
            let tracker = if std::mem::take(&mut negated) { &mut deny } else { &mut allow };
            tracker.set(&flag.long, value).map_err(|reason| flag.refuse(value, reason))?;
        }
        if negated {
            return Err(UsageError::TrailingNot.into());
        }
        let mut filters = Self { allow: allow.into_filters(), deny: deny.into_filters() };
        raw::append(&mut filters.allow, given, "allowlist")?;
        raw::append(&mut filters.deny, given, "denylist")?;
        Ok(filters)
    }
}
