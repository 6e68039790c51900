//! `experimental.cel_expression`: CEL over the variable `_flow`, the message [`flow.Flow`](palomar_proto::flow::Flow).
//!
//! An expression is parsed by the crate `cel`, checked here against the messages of the contract with the words of the stock
//! server, and evaluated by the crate. Names of the package `flow` need no prefix; the result has to be a bool. Several
//! expressions of one filter are alternatives, of which one that fails to evaluate (no such index, division by zero)
//! makes the whole filter not match.
//!
//! Not supported, and refused by name: timestamps and durations, messages made in an expression, names of types, a pattern of
//! `matches` that is not written out. An `Any` is not unpacked. Where the syntax is wrong, the words are those of the
//! crate's parser.
//!
//! What an expression may cost has bounds: [`MAX_CEL_BYTES`](super::MAX_CEL_BYTES) of text, [`MAX_DEPTH`] levels, and
//! [`MAX_STEPS`] evaluations inside of loops (`all`, `exists`, `map`, …) for one flow, beyond which the evaluation has
//! failed: each turn of a loop counts as many as its body has names, values and calls.

mod check;
mod field;
mod issue;
mod overloads;
mod program;
mod types;

use palomar_proto::flow::FlowFilter;
use prost::Message as _;
use prost::bytes::Bytes;

use self::program::Program;
use super::InvalidFilter;
use super::test::Test;
use crate::view::FlowView;

/// How deep an expression may be nested.
pub const MAX_DEPTH: usize = 48;
/// How many names, values and calls may be evaluated in the loops of an expression, for one flow.
pub const MAX_STEPS: u64 = 10_000;

/// Expressions of which one must hold.
#[derive(Debug)]
pub(super) struct Expressions(Vec<Program>);

pub(super) fn compile(filter: &FlowFilter) -> Result<Option<Test>, InvalidFilter> {
    let Some(experimental) = filter.experimental.as_ref().filter(|e| !e.cel_expression.is_empty()) else {
        return Ok(None);
    };
    let programs = experimental.cel_expression.iter().map(|text| Program::compile(text));
    let programs = programs.collect::<Result<_, _>>().map_err(InvalidFilter::Cel)?;
    Ok(Some(Test::Cel(Expressions(programs))))
}

impl Expressions {
    /// A response that carries no flow never matches.
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        let Some(message) = flow.message() else { return false };
        let encoded = Bytes::from(message.encode_to_vec());
        for program in &self.0 {
            match program.holds(&encoded) {
                Ok(false) => {}
                Ok(true) => return true,
                Err(_) => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
