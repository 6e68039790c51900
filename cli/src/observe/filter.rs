//! Filter flags to Hubble's `FlowFilter`s.

mod conflicts;
mod ends;
mod event_type;
mod json_syntax;
mod namespaces;
mod raw;
mod set;
mod tracker;
mod values;

use anyhow::Result;
use palomar_proto::flow::FlowFilter;

pub use values::parse_identity;

use crate::arguments::{Given, UsageError};
use tracker::Tracker;

/// What filter flags say is to be shown and what is not.
#[derive(Debug, Default)]
pub struct Filters {
    allow: Tracker,
    deny: Tracker,
    /// Whether `--not` waits for a flag to turn.
    negated: bool,
}

/// Filters for a server. A list is an OR of its filters; empty: everything, respectively nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lists {
    /// What is shown.
    pub allow: Vec<FlowFilter>,
    /// What is not shown, of that.
    pub deny: Vec<FlowFilter>,
}

impl Filters {
    /// Takes the flags in their order, since `--not` turns the flag after it.
    pub fn from_flags(given: &Given) -> Result<Self, UsageError> {
        let mut filters = Self::default();
        for entry in given.iter().filter(|entry| entry.flag.is_filter()) {
            if entry.flag.long == "not" {
                if filters.negated {
                    return Err(entry.refuse("consecutive --not statements"));
                }
                filters.negated = true;
                continue;
            }
            let negated = std::mem::take(&mut filters.negated);
            let tracker = if negated { &mut filters.deny } else { &mut filters.allow };
            tracker.set(entry.flag.long, &entry.value).map_err(|reason| entry.refuse(reason))?;
        }
        Ok(filters)
    }

    /// `--not` has to have a flag behind it.
    pub fn check_end(&self) -> Result<(), UsageError> {
        if self.negated { Err(UsageError::TrailingNot) } else { Ok(()) }
    }

    /// The filters, those of `--allowlist` and `--denylist` after them.
    pub fn into_lists(self, given: &Given) -> Result<Lists> {
        let mut lists = Lists { allow: self.allow.into_filters(), deny: self.deny.into_filters() };
        raw::append(&mut lists.allow, given, "allowlist")?;
        raw::append(&mut lists.deny, given, "denylist")?;
        Ok(lists)
    }
}
