//! Settings between the text of a flag and the value of a config file.

use palomar_transport::default_target;
use serde_json::Value;

use crate::arguments::{Kind, value};
use crate::time::{format_duration, parse_duration};

/// The default of a setting as a flag would have it; empty for none.
pub fn default(key: &str) -> String {
    match key {
        "server" => default_target().to_string(),
        "timeout" => "5s".to_owned(),
        "request-timeout" => "12s".to_owned(),
        "port-forward-port" => "4245".to_owned(),
        "kube-namespace" => "kube-system".to_owned(),
        "debug" | "port-forward" | "tls" | "tls-allow-insecure" => "false".to_owned(),
        _ => String::new(),
    }
}

/// The value of a text that its kind takes; a text that it does not take stays a text.
pub fn typed(kind: Kind, text: &str) -> Value {
    let number = |text: &str| value::parse_number(text).ok().map(Value::from);
    let own = match kind {
        Kind::Switch | Kind::Toggle => value::parse_bool(text).ok().map(Value::Bool),
        Kind::Number | Kind::Port => number(text),
        Kind::Duration => {
            let nanos = parse_duration(text).ok().and_then(|nanos| u64::try_from(nanos).ok());
            nanos.map(|nanos| Value::String(format_duration(nanos)))
        }
        Kind::List => Some(list(text)),
        Kind::Text | Kind::Filter | Kind::Mark => None,
    };
    own.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn list(text: &str) -> Value {
    let inner = text.strip_prefix('[').unwrap_or(text);
    let inner = inner.strip_suffix(']').unwrap_or(inner);
    Value::Array(inner.split(',').filter(|part| !part.is_empty()).map(Value::from).collect())
}

/// The texts that a flag would have for a value of a config file: several for a list, none for null. The error says
/// what was expected.
pub fn texts(kind: Kind, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Bool(value) => Ok(vec![value.to_string()]),
        Value::Number(number) => Ok(vec![number.to_string()]),
        Value::Array(values) if matches!(kind, Kind::List | Kind::Text) => {
            let inner = values.iter().map(|value| match value {
                Value::Array(_) => Err("expected a text in the list".to_owned()),
                value => texts(kind, value),
            });
            Ok(inner.collect::<Result<Vec<_>, _>>()?.concat())
        }
        Value::Array(_) | Value::Object(_) => Err(format!("expected type={}", name(kind))),
    }
}

/// The name of a type in messages.
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch | Kind::Toggle => "bool",
        Kind::Number => "uint64",
        Kind::Port => "uint16",
        Kind::Duration => "duration",
        Kind::List => "stringSlice",
        Kind::Text | Kind::Filter | Kind::Mark => "string",
    }
}
