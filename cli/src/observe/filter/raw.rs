//! `--allowlist` and `--denylist`: filters as JSON.

use anyhow::{Result, anyhow};
use palomar_flow::json;
use palomar_proto::flow::FlowFilter;

use super::json_syntax::check_first;
use crate::arguments::Given;

/// Appends the filters of every value of a flag; a value may hold several, one after the other. As in Go, what is no
/// JSON is told before what is no filter.
pub fn append(filters: &mut Vec<FlowFilter>, given: &Given, flag: &str) -> Result<()> {
    for value in given.all(flag).map(|entry| entry.value.as_str()) {
        let mut rest = value.trim_end();
        while !rest.is_empty() {
            let fail =
                |reason: String| anyhow!("invalid --{flag} flag: failed to decode '{value}': {reason}");
            check_first(rest).map_err(|error| fail(error.to_string()))?;
            let (parsed, length) =
                json::parse_first::<FlowFilter>(rest).map_err(|error| fail(error.to_string()))?;
            if let Some(unknown) = parsed.unknown {
                return Err(fail(unknown.to_string()));
            }
            filters.push(parsed.message);
            rest = rest[length..].trim_start();
        }
    }
    Ok(())
}
