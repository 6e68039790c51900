//! What Kubernetes lets a label key and a label value be.

use crate::go::quote::Quoted;

const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
    validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. \
    'example.com/MyName')";
const SUBDOMAIN: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
    for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
    for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const INTEGER: &str = "for 'Gt', 'Lt' operators, the value must be an integer";

/// Checks a key: a name of at most 63 characters, with an optional DNS subdomain and `/` before it.
pub(super) fn key(key: &str) -> Result<(), String> {
    let mut faults = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => Some(name),
        [prefix, name] => {
            faults.extend(prefix_faults(prefix));
            Some(name)
        }
        _ => None,
    };
    match name {
        Some(name) => {
            match name.len() {
                0 => faults.push("name part must be non-empty".to_owned()),
                1..=63 => {}
                _ => faults.push("name part must be no more than 63 characters".to_owned()),
            }
            if !is_name(name) {
                faults.push(format!("name part {NAME}"));
            }
        }
        None => faults.push(QUALIFIED.to_owned()),
    }
    if faults.is_empty() { Ok(()) } else { Err(invalid("<nil>", key, &faults.join("; "))) }
}

/// Checks the values of a requirement on this key.
pub(super) fn values(key: &str, values: &[String]) -> Result<(), String> {
    in_one(values.iter().enumerate().filter_map(|(at, value)| value_fault(key, at, value)).collect())
}

/// Reads the bound of `>` and `<`.
pub(super) fn integer(key: &str, value: &str) -> Result<i64, String> {
    value.parse().map_err(|_| {
        let faults = [Some(invalid("values[0]", value, INTEGER)), value_fault(key, 0, value)];
        in_one(faults.into_iter().flatten().collect()).err().unwrap_or_default()
    })
}

fn value_fault(key: &str, at: usize, value: &str) -> Option<String> {
    let mut faults = Vec::new();
    if value.len() > 63 {
        faults.push("must be no more than 63 characters");
    }
    if !value.is_empty() && !is_name(value) {
        faults.push(VALUE);
    }
    (!faults.is_empty()).then(|| invalid(&format!("values[{at}][{key}]"), value, &faults.join("; ")))
}

fn prefix_faults(prefix: &str) -> Vec<String> {
    if prefix.is_empty() {
        return vec!["prefix part must be non-empty".to_owned()];
    }
    let mut faults = Vec::new();
    if prefix.len() > 253 {
        faults.push("prefix part must be no more than 253 characters".to_owned());
    }
    let is_label = |label: &str| {
        is_name(label) && !label.contains(['_', '.']) && !label.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    if !prefix.split('.').all(is_label) {
        faults.push(SUBDOMAIN.to_owned());
    }
    faults
}

fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn invalid(field: &str, value: &str, fault: &str) -> String {
    format!("{field}: Invalid value: {}: {fault}", Quoted(value))
}

/// Several faults stand in brackets.
fn in_one(mut faults: Vec<String>) -> Result<(), String> {
    match faults.len() {
        0 => Ok(()),
        1 => Err(faults.remove(0)),
        _ => Err(format!("[{}]", faults.join(", "))),
    }
}
