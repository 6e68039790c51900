//! Which flow metrics are counted, and with which labels: the text of `--metrics`, checked and typed.
//!
//! The syntax is that of Hubble's static configuration: `name`, or `name:option=value;option=value`. Metrics are
//! separated by white space, as in Hubble's flag and in what its Helm chart makes of a list. Because people write
//! commas, a comma separates metrics as well where it cannot be part of an option: in `drop,tcp,flow:…` and before
//! the name of a metric, as in `flow:labelsContext=source_pod,destination_pod,drop`. No label and no context after a
//! comma has the name of a metric, so that this is never ambiguous.

mod context;
mod error;
mod metric;
mod split;

#[cfg(test)]
mod tests;

pub use context::{ContextLabel, Contexts, Identifier, SideContext, SideFact};
pub use error::InvalidSelection;
pub use metric::{Metric, WorldOptions};
use palomar_flow::view::Side;

/// A metric with what its series are told apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What is counted.
    pub metric: Metric,
    /// The labels beside its own.
    pub contexts: Contexts,
}

/// The metrics that are counted: each at most once, in the order in which they were named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection(Vec<Chosen>);

// === impl Selection ===

impl Selection {
    /// What is counted if nothing is said: every metric of this agent, without contexts.
    pub const DEFAULT: &str = "drop flow flows-to-world icmp policy port-distribution tcp";

    /// Reads lists of metrics, one after the other. No list, and lists without a metric, select nothing.
    pub fn parse(lists: &[impl AsRef<str>]) -> Result<Self, InvalidSelection> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for text in lists.iter().flat_map(|list| split::metrics(list.as_ref())) {
            let next = parse_metric(text)?;
            let name = next.metric.name();
            if chosen.iter().any(|other| other.metric.name() == name) {
                return Err(InvalidSelection::MetricTwice(name));
            }
            chosen.push(next);
        }
        Ok(Self(chosen))
    }

    /// The metrics, in the order in which they were named.
    pub fn iter(&self) -> impl Iterator<Item = &Chosen> {
        self.0.iter()
    }

    /// Whether a context of some metric asks for this.
    pub fn uses(&self, identifier: Identifier) -> bool {
        let lists = self.iter().flat_map(|Chosen { contexts, .. }| {
            Side::BOTH.into_iter().flat_map(|side| contexts.side(side).lists())
        });
        lists.flatten().any(|other| *other == identifier)
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse_metric(text: &str) -> Result<Chosen, InvalidSelection> {
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    let mut chosen = Chosen { metric: name.parse()?, contexts: Contexts::default() };
    let mut seen: Vec<String> = Vec::new();
    for option in options.split(';').map(str::trim).filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        // Hubble takes option names in any case
        let lower = key.to_lowercase();
        let metric = chosen.metric.name();
        if seen.contains(&lower) {
            return Err(InvalidSelection::OptionTwice { metric, option: key.to_owned() });
        }
        let is_known = chosen.contexts.set(metric, &lower, value)? || chosen.metric.set(&lower, value)?;
        if !is_known {
            let choices = chosen.metric.options().collect();
            return Err(InvalidSelection::UnknownOption { metric, option: key.to_owned(), choices });
        }
        seen.push(lower);
    }
    Ok(chosen)
}
