//! Types and names of an expression, before it is evaluated.
//!
//! What the evaluator could not do by itself is written into the expression: enum values as numbers, `has(x.f)` as
//! a field of another name, patterns as variables, and the count of each loop's turns.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo,
};
use regex::Regex;

use super::field::PRESENT;
use super::issue::Issue;
use super::overloads::{self, Miss};
use super::types::Type;
use super::{MAX_DEPTH, program};
use crate::go::regexp;
use crate::schema::SCHEMA;

/// Goes through an expression.
pub(super) struct Checker<'a> {
    pub(super) source: &'a SourceInfo,
    /// Variables and their types, innermost last.
    pub(super) scope: Vec<(String, Type)>,
    pub(super) issues: Vec<Issue>,
    /// What `matches` is asked for.
    pub(super) patterns: Vec<Regex>,
    pub(super) depth: usize,
}

impl Checker<'_> {
    /// The type of an expression; `Dyn` where something is wrong with it.
    pub(super) fn check(&mut self, node: &mut IdedExpr) -> Type {
        if self.depth == MAX_DEPTH {
            return self.issue(node.id, format!("expression is nested deeper than {MAX_DEPTH} levels"));
        }
        self.depth += 1;
        let checked = self.check_expr(node);
        self.depth -= 1;
        checked
    }

    fn check_expr(&mut self, node: &mut IdedExpr) -> Type {
        let id = node.id;
        if let Some(number) = self.constant(&node.expr) {
            node.expr = Expr::Literal(LiteralValue::Int(i64::from(number).into()));
            return Type::Int;
        }
        match &mut node.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => match self.variable(name) {
                Some(variable) => variable.clone(),
                None => self.undeclared(id, name.trim_start_matches('.')),
            },
            Expr::Select(select) => self.select(id, select),
            Expr::Call(call) => self.call(id, call),
            Expr::List(list) => {
                let elements = list.elements.iter_mut().map(|element| self.check(element)).collect();
                Type::List(Box::new(common(elements)))
            }
            Expr::Map(map) => {
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        keys.push(self.check(&mut entry.key));
                        values.push(self.check(&mut entry.value));
                    }
                }
                Type::Map(Box::new(common(keys)), Box::new(common(values)))
            }
            Expr::Comprehension(comprehension) => self.comprehension(id, comprehension),
            Expr::Struct(made) => {
                let text = format!("making messages ('{}') is not supported by this server", made.type_name);
                self.issue(id, text)
            }
            Expr::Unspecified => self.issue(id, "expression is empty".to_owned()),
        }
    }

    fn select(&mut self, id: u64, select: &mut SelectExpr) -> Type {
        let SelectExpr { operand, field, test } = select;
        let of = match self.check(operand) {
            Type::Message(message) => {
                let known = SCHEMA.message(message).field(field).and_then(Type::of_field);
                let Some(known) = known else {
                    return self.issue(id, format!("undefined field '{field}'"));
                };
                if *test {
                    *field = format!("{PRESENT}{field}");
                    *test = false;
                    return Type::Bool;
                }
                known
            }
            Type::Map(_, value) => *value,
            Type::Dyn => Type::Dyn,
            other => return self.issue(id, format!("type '{other}' does not support field selection")),
        };
        if *test { Type::Bool } else { of }
    }

    fn call(&mut self, id: u64, call: &mut CallExpr) -> Type {
        let CallExpr { func_name, target, args } = call;
        let is_member = target.is_some();
        let all = target.iter_mut().map(|target| &mut **target).chain(args.iter_mut());
        let (known, mut types) = (self.issues.len(), Vec::new());
        for argument in all {
            types.push(self.check(argument));
        }
        if self.issues.len() > known {
            return Type::Dyn;
        }
        if func_name == "matches" {
            return self.matches(id, call, &types);
        }
        match overloads::result(func_name, is_member, &types) {
            Ok(result) => result,
            Err(Miss::Undeclared) => self.undeclared(id, func_name),
            Err(Miss::Unsupported) => {
                self.issue(id, format!("'{func_name}' is not supported by this server"))
            }
            Err(Miss::NoOverload) => self.no_overload(id, func_name, is_member, &types),
        }
    }

    /// A pattern is compiled here, once, and in the words of the stock server.
    fn matches(&mut self, id: u64, call: &mut CallExpr, types: &[Type]) -> Type {
        let is_member = call.target.is_some();
        if !matches!(types, [text, pattern] if Type::String.accepts(text) && Type::String.accepts(pattern)) {
            return self.no_overload(id, "matches", is_member, types);
        }
        let pattern = call.args.last().map(|pattern| &pattern.expr);
        let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern else {
            let text = "'matches' with a pattern that is not written out is not supported by this server";
            return self.issue(id, text.to_owned());
        };
        match regexp::compile(pattern.inner()) {
            Ok(pattern) => {
                let name = program::pattern_name(self.patterns.len());
                self.patterns.push(pattern);
                if let Some(target) = call.target.take() {
                    call.args.insert(0, *target);
                }
                program::MATCHES.clone_into(&mut call.func_name);
                if let Some(pattern) = call.args.last_mut() {
                    pattern.expr = Expr::Ident(name);
                }
                Type::Bool
            }
            Err(error) => self.issue(id, error.to_string()),
        }
    }

    fn comprehension(&mut self, id: u64, comprehension: &mut ComprehensionExpr) -> Type {
        let ComprehensionExpr {
            iter_range,
            iter_var,
            iter_var2,
            accu_var,
            accu_init,
            loop_cond,
            loop_step,
            result,
        } = comprehension;
        if iter_var2.is_some() {
            return self.issue(id, "loops over two variables are not supported by this server".to_owned());
        }
        let element = match self.check(iter_range) {
            Type::List(element) => *element,
            Type::Map(key, _) => *key,
            Type::Dyn => Type::Dyn,
            other => {
                let text = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.issue(iter_range.id, text)
            }
        };
        let begin = self.scope.len();
        let accumulated = self.check(accu_init);
        self.scope.push((accu_var.clone(), accumulated.clone()));
        self.scope.push((iter_var.clone(), element));
        self.check(loop_cond);
        let stepped = self.check(loop_step);
        self.scope.truncate(begin);
        let accumulated = accumulated.common(&stepped).unwrap_or(&Type::Dyn).clone();
        let accumulated = if matches!(stepped, Type::List(_)) { stepped } else { accumulated };
        self.scope.push((accu_var.clone(), accumulated));
        let given = self.check(result);
        self.scope.truncate(begin);

        let weight = nodes(&loop_cond.expr) + nodes(&loop_step.expr);
        let weight = IdedExpr { id, expr: Expr::Literal(LiteralValue::UInt(weight.into())) };
        let range = std::mem::take(iter_range);
        *iter_range = IdedExpr {
            id: range.id,
            expr: Expr::Call(CallExpr {
                func_name: program::COUNTED.to_owned(),
                target: None,
                args: vec![range, weight],
            }),
        };
        given
    }

    fn variable(&self, name: &str) -> Option<&Type> {
        self.scope.iter().rev().find(|(known, _)| known == name).map(|(_, variable)| variable)
    }

    /// The number of an enum's value, by its whole name or without the package.
    fn constant(&self, expr: &Expr) -> Option<i32> {
        let name = qualified_name(expr)?;
        let root = name.split('.').find(|part| !part.is_empty())?;
        if self.variable(root).is_some() {
            return None;
        }
        let (of, value) = name.trim_start_matches('.').rsplit_once('.')?;
        let in_package = (!name.starts_with('.')).then(|| format!("flow.{of}"));
        let found = in_package.iter().map(String::as_str).chain([of]);
        found.filter_map(|of| SCHEMA.find_enum(of)).find_map(|of| SCHEMA.enumeration(of).number(value))
    }

    fn undeclared(&mut self, id: u64, name: &str) -> Type {
        self.issue(id, format!("undeclared reference to '{name}' (in container 'flow')"))
    }

    fn no_overload(&mut self, id: u64, function: &str, is_member: bool, types: &[Type]) -> Type {
        let texts: Vec<String> = types.iter().map(ToString::to_string).collect();
        let applied = match texts.split_first() {
            Some((target, rest)) if is_member => format!("{target}.({})", rest.join(", ")),
            _ => format!("({})", texts.join(", ")),
        };
        self.issue(id, format!("found no matching overload for '{function}' applied to '{applied}'"))
    }

    fn issue(&mut self, id: u64, message: String) -> Type {
        // the parser counts bytes
        let bytes = self.source.offset_for(id).map_or(0, |(start, _)| start as usize);
        let offset = self.source.source.get(..bytes).map_or(bytes, |before| before.chars().count());
        self.issues.push(Issue { offset, message });
        Type::Dyn
    }
}

/// How many names, values and calls an expression has; its loops' bodies once.
fn nodes(expr: &Expr) -> u64 {
    let entry = |entry: &EntryExpr| match entry {
        EntryExpr::MapEntry(entry) => nodes(&entry.key.expr) + nodes(&entry.value.expr),
        EntryExpr::StructField(field) => nodes(&field.value.expr),
    };
    let inside: u64 = match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
        Expr::Select(select) => nodes(&select.operand.expr),
        Expr::Call(CallExpr { target, args, .. }) => {
            target.as_deref().into_iter().chain(args).map(|argument| nodes(&argument.expr)).sum()
        }
        Expr::List(list) => list.elements.iter().map(|element| nodes(&element.expr)).sum(),
        Expr::Map(map) => map.entries.iter().map(|of| entry(&of.expr)).sum(),
        Expr::Struct(made) => made.entries.iter().map(|of| entry(&of.expr)).sum(),
        Expr::Comprehension(inner) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = &**inner;
            let parts = [iter_range, accu_init, loop_cond, loop_step, result];
            parts.into_iter().map(|part| nodes(&part.expr)).sum()
        }
    };
    inside + 1
}

/// `a.b.c`; `None` for what is no name.
fn qualified_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(SelectExpr { operand, field, test: false }) => {
            Some(format!("{}.{field}", qualified_name(&operand.expr)?))
        }
        _ => None,
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// The type that all fit into; `Dyn` where there is none.
fn common(types: Vec<Type>) -> Type {
    let all = types.into_iter().reduce(|one, other| one.common(&other).unwrap_or(&Type::Dyn).clone());
    all.unwrap_or(Type::Dyn)
}
