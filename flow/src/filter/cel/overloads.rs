//! Which functions there are, for which types, and what they give.

use cel::common::ast::operators as op;

use super::types::Type;

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// No function has that name.
    Undeclared,
    /// The function takes no arguments of these types.
    NoOverload,
    /// CEL has it, and this evaluator has not.
    Unsupported,
}

/// What only timestamps and durations have.
const OF_TIME: [&str; 12] = [
    "timestamp",
    "duration",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
];

/// The type of a call. The target of a member function is the first argument.
pub(super) fn result(function: &str, is_member: bool, arguments: &[Type]) -> Result<Type, Miss> {
    if OF_TIME.contains(&function) || matches!(function, "type") {
        return Err(Miss::Unsupported);
    }
    let known = if is_member { member(function, arguments) } else { global(function, arguments) };
    known.unwrap_or(Err(Miss::Undeclared))
}

/// `None` for a function that there is not.
fn member(function: &str, arguments: &[Type]) -> Option<Result<Type, Miss>> {
    Some(match (function, arguments) {
        ("contains" | "startsWith" | "endsWith", [target, argument]) => {
            given(is(target, &Type::String) && is(argument, &Type::String), Type::Bool)
        }
        ("size", [target]) => given(has_size(target), Type::Int),
        ("contains" | "startsWith" | "endsWith" | "size", _) => Err(Miss::NoOverload),
        _ => return None,
    })
}

fn global(function: &str, arguments: &[Type]) -> Option<Result<Type, Miss>> {
    Some(match (function, arguments) {
        (op::CONDITIONAL, [condition, one, other]) => match one.common(other) {
            Some(common) if is(condition, &Type::Bool) => Ok(common.clone()),
            _ => Err(Miss::NoOverload),
        },
        (op::LOGICAL_AND | op::LOGICAL_OR, [one, other]) => {
            given(is(one, &Type::Bool) && is(other, &Type::Bool), Type::Bool)
        }
        (op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, [one]) => given(is(one, &Type::Bool), Type::Bool),
        (op::EQUALS | op::NOT_EQUALS, [one, other]) => given(one.common(other).is_some(), Type::Bool),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [one, other]) => {
            let comparable = [Type::Bool, Type::Int, Type::Uint, Type::Double, Type::String, Type::Bytes];
            given(both(&comparable, one, other).is_some(), Type::Bool)
        }
        (op::ADD, [Type::List(one), Type::List(other)]) => match one.common(other) {
            Some(common) => Ok(Type::List(Box::new(common.clone()))),
            None => Err(Miss::NoOverload),
        },
        (op::ADD, [one, other]) => {
            same(&[Type::Int, Type::Uint, Type::Double, Type::String, Type::Bytes], one, other)
        }
        (op::SUBSTRACT | op::MULTIPLY | op::DIVIDE, [one, other]) => {
            same(&[Type::Int, Type::Uint, Type::Double], one, other)
        }
        (op::MODULO, [one, other]) => same(&[Type::Int, Type::Uint], one, other),
        (op::NEGATE, [one]) => same(&[Type::Int, Type::Double], one, one),
        (op::IN, [one, Type::List(element)]) => given(element.common(one).is_some(), Type::Bool),
        (op::IN, [one, Type::Map(key, _)]) => given(key.common(one).is_some(), Type::Bool),
        (op::IN, [_, Type::Dyn]) => Ok(Type::Bool),
        (op::INDEX, [Type::List(element), index]) => given(is(index, &Type::Int), (**element).clone()),
        (op::INDEX, [Type::Map(key, value), index]) => given(key.accepts(index), (**value).clone()),
        ("size", [one]) => given(has_size(one), Type::Int),
        ("int" | "uint" | "double", [one]) => {
            let from = [Type::Int, Type::Uint, Type::Double, Type::String];
            let to = match function {
                "int" => Type::Int,
                "uint" => Type::Uint,
                _ => Type::Double,
            };
            given(from.iter().any(|from| is(one, from)), to)
        }
        ("string", [one]) => {
            let from = [Type::Bool, Type::Int, Type::Uint, Type::Double, Type::String, Type::Bytes];
            given(from.iter().any(|from| is(one, from)), Type::String)
        }
        ("bool", [one]) => given(is(one, &Type::Bool) || is(one, &Type::String), Type::Bool),
        ("bytes", [one]) => given(is(one, &Type::Bytes) || is(one, &Type::String), Type::Bytes),
        (op::INDEX, [Type::Dyn, _]) | ("dyn", [_]) => Ok(Type::Dyn),
        ("size" | "int" | "uint" | "double" | "string" | "bool" | "bytes" | "dyn", _) => {
            Err(Miss::NoOverload)
        }
        _ if function.starts_with(['_', '!', '-', '@']) => Err(Miss::NoOverload),
        _ => return None,
    })
}

fn given(is_given: bool, result: Type) -> Result<Type, Miss> {
    if is_given { Ok(result) } else { Err(Miss::NoOverload) }
}

fn is(argument: &Type, wanted: &Type) -> bool {
    wanted.accepts(argument)
}

fn has_size(argument: &Type) -> bool {
    matches!(argument, Type::List(_) | Type::Map(..))
        || is(argument, &Type::String)
        || is(argument, &Type::Bytes)
}

/// The one of these types that both are.
fn both<'a>(types: &'a [Type], one: &Type, other: &Type) -> Option<&'a Type> {
    types.iter().find(|wanted| is(one, wanted) && is(other, wanted))
}

fn same(types: &[Type], one: &Type, other: &Type) -> Result<Type, Miss> {
    match (one, other) {
        (Type::Dyn, Type::Dyn) => Ok(Type::Dyn),
        _ => both(types, one, other).cloned().ok_or(Miss::NoOverload),
    }
}
