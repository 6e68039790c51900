//! The filter that several flags make together.

use palomar_proto::flow::FlowFilter;

use super::ends::Ends;
use super::namespaces::Namespaces;
use super::{conflicts, set};

/// Flags of one side of `--not`. Two filters grow side by side: one that means the source where a flag means either
/// end, and one that means the destination. If they are the same in the end, one is sent.
#[derive(Debug, Default)]
pub struct Tracker {
    left: FlowFilter,
    right: FlowFilter,
    namespaces: Namespaces,
    flags: Vec<String>,
}

impl Tracker {
    /// Adds a flag; the error says why it does not fit.
    pub fn set(&mut self, flag: &str, value: &str) -> Result<(), String> {
        if !self.flags.iter().any(|known| known == flag) {
            self.flags.push(flag.to_owned());
        }
        conflicts::check(&self.flags)?;
        set::set(self, flag, value)?;
        self.namespaces.check(&self.left)?;
        self.namespaces.check(&self.right)
    }

    /// The filters; none if there was no flag.
    pub fn into_filters(mut self) -> Vec<FlowFilter> {
        if self.flags.is_empty() {
            return Vec::new();
        }
        self.namespaces.apply(&mut self.left, &mut self.right);
        if self.left == self.right { vec![self.left] } else { vec![self.left, self.right] }
    }

    /// Adds a value to a field of its own.
    pub fn add<T: Clone>(&mut self, value: T, field: impl Fn(&mut FlowFilter) -> &mut Vec<T>) {
        field(&mut self.left).push(value.clone());
        field(&mut self.right).push(value);
    }

    /// Adds a value to the field of one end, or of either.
    pub fn add_end<T: Clone>(
        &mut self,
        ends: Ends,
        value: T,
        source: impl Fn(&mut FlowFilter) -> &mut Vec<T>,
        destination: impl Fn(&mut FlowFilter) -> &mut Vec<T>,
    ) {
        match ends {
            Ends::Either => {
                source(&mut self.left).push(value.clone());
                destination(&mut self.right).push(value);
            }
            Ends::Source => self.add(value, source),
            Ends::Destination => self.add(value, destination),
        }
    }

    /// Adds a namespace; empty means any.
    pub fn add_namespace(&mut self, ends: Ends, namespace: &str) {
        self.namespaces.of(ends).push(namespace.to_owned());
    }
}
