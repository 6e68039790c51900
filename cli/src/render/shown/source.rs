//! Where single values of a response come from: a line of JSON, or an encoded message.

use std::borrow::Cow;

use palomar_flow::json::Picked;
use palomar_flow::skim::Skimmed;

use super::Names;

/// Values by the place of their path in [`PATHS`](super::PATHS).
pub trait Source<'a>: Copy {
    /// Whether there is one.
    fn has(self, path: usize) -> bool;
    /// A number that stands for the value, and for no other; 0 for none, `None` where it has no number.
    fn repeated(self, path: usize) -> Option<u64>;
    /// A text; empty for none.
    fn text(self, path: usize) -> Cow<'a, str>;
    /// A list of texts.
    fn names(self, path: usize) -> Names<'a>;
    /// An unsigned integer; zero for none.
    fn number(self, path: usize) -> u64;
    /// An integer of 32 bits; zero for none.
    fn integer(self, path: usize) -> i32;
    /// An enum's number, which `find` knows by its name; zero for none.
    fn named(self, path: usize, find: impl Fn(&str) -> Option<i32>) -> i32;
    /// A flag that may be absent.
    fn flag(self, path: usize) -> Option<bool>;
    /// Seconds and nanoseconds since 1970.
    fn time(self, path: usize) -> Option<(i64, i32)>;
}

impl<'a> Source<'a> for Picked<'a> {
    fn has(self, path: usize) -> bool {
        Picked::has(&self, path)
    }

    fn repeated(self, path: usize) -> Option<u64> {
        Picked::repeated(&self, path)
    }

    fn text(self, path: usize) -> Cow<'a, str> {
        Picked::text(&self, path)
    }

    fn names(self, path: usize) -> Names<'a> {
        if Source::has(self, path) { Names::Line(self, path) } else { Names::None }
    }

    fn number(self, path: usize) -> u64 {
        Picked::number(&self, path)
    }

    fn integer(self, path: usize) -> i32 {
        Picked::integer(&self, path)
    }

    fn named(self, path: usize, find: impl Fn(&str) -> Option<i32>) -> i32 {
        if Source::has(self, path) { find(&Picked::text(&self, path)).unwrap_or(0) } else { 0 }
    }

    fn flag(self, path: usize) -> Option<bool> {
        Picked::flag(&self, path)
    }

    fn time(self, path: usize) -> Option<(i64, i32)> {
        Picked::time(&self, path)
    }
}

impl<'a> Source<'a> for Skimmed<'a> {
    fn has(self, path: usize) -> bool {
        Skimmed::has(&self, path)
    }

    fn repeated(self, _: usize) -> Option<u64> {
        None
    }

    fn text(self, path: usize) -> Cow<'a, str> {
        Skimmed::text(&self, path)
    }

    fn names(self, path: usize) -> Names<'a> {
        if Skimmed::has(&self, path) { Names::Message(self, path) } else { Names::None }
    }

    fn number(self, path: usize) -> u64 {
        Skimmed::number(&self, path)
    }

    fn integer(self, path: usize) -> i32 {
        Skimmed::integer(&self, path)
    }

    fn named(self, path: usize, _: impl Fn(&str) -> Option<i32>) -> i32 {
        Skimmed::integer(&self, path)
    }

    fn flag(self, path: usize) -> Option<bool> {
        Skimmed::flag(&self, path)
    }

    fn time(self, path: usize) -> Option<(i64, i32)> {
        Skimmed::time(&self, path)
    }
}
