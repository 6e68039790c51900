//! The syntax of label keys (`name`, `prefix.example/name`) and values.

use super::{Faults, FieldPath, Reason};

/// Longest name part of a key, and longest value, in bytes.
const NAME_MAX: usize = 63;
/// Longest prefix part of a key, in bytes.
const PREFIX_MAX: usize = 253;

pub(super) fn key(written: String, path: &FieldPath, faults: &mut Faults) -> Option<String> {
    match key_problem(&written) {
        None => Some(written),
        Some(problem) => faults.reject(path, Reason::LabelKey { written, problem }),
    }
}

pub(super) fn value(written: String, path: &FieldPath, faults: &mut Faults) -> Option<String> {
    match value_problem(&written) {
        None => Some(written),
        Some(problem) => faults.reject(path, Reason::LabelValue { written, problem }),
    }
}

pub(super) fn is_key(text: &str) -> bool {
    key_problem(text).is_none()
}

fn key_problem(key: &str) -> Option<&'static str> {
    match key.split_once('/') {
        None => name_problem(key),
        Some((prefix, name)) => prefix_problem(prefix).or_else(|| name_problem(name)),
    }
}

fn value_problem(value: &str) -> Option<&'static str> {
    if value.is_empty() { None } else { name_problem(value) }
}

fn name_problem(name: &str) -> Option<&'static str> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() {
        Some("the name is empty")
    } else if name.len() > NAME_MAX {
        Some("it is longer than 63 characters")
    } else if !name.bytes().all(inner) {
        Some("only letters, digits, '-', '_' and '.' may stand in it")
    } else if !has_alphanumeric_ends(name) {
        Some("it must begin and end with a letter or digit")
    } else {
        None
    }
}

fn prefix_problem(prefix: &str) -> Option<&'static str> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if prefix.is_empty() {
        Some("the prefix before '/' is empty")
    } else if prefix.len() > PREFIX_MAX {
        Some("the prefix is longer than 253 characters")
    } else if !prefix.split('.').all(|part| part.bytes().all(inner) && has_alphanumeric_ends(part)) {
        Some("the prefix is not a DNS name of lowercase letters, digits, '-' and '.'")
    } else {
        None
    }
}

/// False for an empty text.
fn has_alphanumeric_ends(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().last()];
    ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
}
