//! An expression that was checked, ready to be evaluated.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::types::{BOOL_TYPE, CelBool, CelString, CelUInt, DYN_TYPE, STRING_TYPE, Type, UINT_TYPE};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::parser::Parser;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use prost::bytes::Bytes;
use regex::Regex;

use super::check::Checker;
use super::field::Encoded;
use super::issue::{Issue, Issues};
use super::{MAX_DEPTH, MAX_STEPS, types};
use crate::filter::MAX_CEL_BYTES;
use crate::filter::error::InvalidCel;
use crate::schema::{MessageId, SCHEMA};

/// The variable that every expression has.
const FLOW: &str = "_flow";
/// The function that gives its list as it is, and counts what a loop over it evaluates: so much for each turn.
pub(super) const COUNTED: &str = "@counted";
/// The function that holds a text against a pattern.
pub(super) const MATCHES: &str = "@matches";

static PATTERN: Type = Type::new_struct_type("pattern");
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let added = env
        .add_overload(COUNTED, COUNTED, vec![DYN_TYPE, UINT_TYPE], counted)
        .and_then(|()| env.add_overload(MATCHES, MATCHES, vec![STRING_TYPE, PATTERN.to_owned()], matches));
    added.expect("invariant: no function of CEL begins with @");
    Arc::new(env)
});
static FLOW_MESSAGE: LazyLock<MessageId> =
    LazyLock::new(|| SCHEMA.find("flow.Flow").expect("invariant: the contract has flows"));

thread_local! {
    /// Steps that are left for the expression that is evaluated on this thread.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// What the parser and the checker need for the longest and deepest expression, several times over: each level of the
/// grammar calls itself. Taken from the system only as far as it is used.
const STACK_BYTES: usize = 128 << 20;

/// A checked expression.
pub(super) struct Program {
    expression: IdedExpr,
    patterns: Vec<Regex>,
}

/// A pattern as a value.
#[derive(Debug, Clone)]
struct Pattern(Regex);

/// The name of the variable that has a pattern.
pub(super) fn pattern_name(number: usize) -> String {
    format!("@pattern{number}")
}

impl Program {
    /// Parses and checks an expression, in a thread of its own for its stack.
    pub(super) fn compile(text: &str) -> Result<Self, InvalidCel> {
        if text.len() > MAX_CEL_BYTES {
            return Err(InvalidCel::TooLong(text.len()));
        }
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("cel".to_owned()).stack_size(STACK_BYTES);
            let compiling = thread.spawn_scoped(scope, || Self::compile_here(text));
            let compiling = compiling.map_err(|error| InvalidCel::NoThread(error.kind()))?;
            compiling.join().unwrap_or(Err(InvalidCel::Panicked))
        })
    }

    fn compile_here(text: &str) -> Result<Self, InvalidCel> {
        let depth = u16::try_from(MAX_DEPTH).unwrap_or(u16::MAX);
        let parsed = Parser::new().max_recursion_depth(depth).parse_with_source_info(text);
        let (mut expression, source) = parsed.map_err(|errors| {
            let issues: Vec<Issue> = errors.errors.iter().map(|error| parse_issue(text, error)).collect();
            InvalidCel::Issues(Issues { text, issues: &issues }.to_string())
        })?;
        let mut checker = Checker {
            source: &source,
            scope: vec![(FLOW.to_owned(), types::Type::Message(*FLOW_MESSAGE))],
            issues: Vec::new(),
            patterns: Vec::new(),
            depth: 0,
        };
        let result = checker.check(&mut expression);
        let Checker { mut issues, patterns, .. } = checker;
        if !issues.is_empty() {
            issues.sort_by_key(|issue| issue.offset);
            return Err(InvalidCel::Issues(Issues { text, issues: &issues }.to_string()));
        }
        if result != types::Type::Bool {
            return Err(InvalidCel::Result(result.to_string()));
        }
        Ok(Self { expression, patterns })
    }

    /// Whether the expression holds for an encoded flow.
    pub(super) fn holds(&self, flow: &Bytes) -> Result<bool, ExecutionError> {
        LEFT.set(MAX_STEPS);
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_as_val(FLOW, Box::new(Encoded { message: *FLOW_MESSAGE, bytes: flow.clone() }));
        for (number, pattern) in self.patterns.iter().enumerate() {
            context.add_variable_as_val(pattern_name(number), Box::new(Pattern(pattern.clone())));
        }
        let value = Value::resolve(&self.expression, &context)?;
        match value {
            Value::Bool(holds) => Ok(holds),
            _ => Err(ExecutionError::UnexpectedType {
                got: value.type_of().to_string(),
                want: BOOL_TYPE.name().to_owned(),
            }),
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("patterns", &self.patterns).finish_non_exhaustive()
    }
}

/// Where the parser found it, from lines and columns.
fn parse_issue(text: &str, error: &cel::ParseError) -> Issue {
    let (line, column) = error.pos;
    let before = usize::try_from(line.saturating_sub(1)).unwrap_or(0);
    let lines = text.split('\n').take(before).map(|line| line.chars().count() + 1).sum::<usize>();
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
    // the parser wraps its own words for this one
    let message = if error.msg.contains("Recursion limit") {
        format!("expression is nested deeper than {MAX_DEPTH} levels")
    } else {
        error.msg.clone()
    };
    Issue { offset: lines + column, message }
}

fn counted<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [list, weight] =
        <[CowVal<'b, 'v>; 2]>::try_from(arguments).map_err(|_| ExecutionError::MissingArgumentOrTarget)?;
    let turns = list.as_sizer().map_or(0, |sizer| *sizer.size().inner());
    let turns = u64::try_from(turns).unwrap_or(u64::MAX);
    let weight = weight.downcast_ref::<CelUInt>().map_or(u64::MAX, |weight| *weight.inner());
    let left = LEFT.get().checked_sub(turns.saturating_mul(weight));
    LEFT.set(left.unwrap_or(0));
    match left {
        Some(_) => Ok(list),
        None => Err(ExecutionError::function_error(COUNTED, format!("more than {MAX_STEPS} steps of loops"))),
    }
}

fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, pattern] =
        <[CowVal<'b, 'v>; 2]>::try_from(arguments).map_err(|_| ExecutionError::MissingArgumentOrTarget)?;
    match (text.downcast_ref::<CelString<'_>>(), pattern.downcast_ref::<Pattern>()) {
        (Some(text), Some(Pattern(pattern))) => {
            Ok(CowVal::owned(CelBool::from(pattern.is_match(text.inner()))))
        }
        _ => Err(ExecutionError::MissingArgumentOrTarget),
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}
