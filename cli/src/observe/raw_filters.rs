//! `--print-raw-filters`: the filters as YAML lists of JSON texts.

use std::io::Write;

use anyhow::Result;
use palomar_flow::json;
use palomar_proto::flow::FlowFilter;
use palomar_proto::observer::GetFlowsRequest;

use crate::surroundings::Surroundings;

/// Prints both lists; what is empty is left out.
pub fn print(request: &GetFlowsRequest, surroundings: &mut Surroundings<'_>) -> Result<()> {
    if request.whitelist.is_empty() && request.blacklist.is_empty() {
        writeln!(surroundings.out, "{{}}")?;
    }
    list(surroundings.out, "allowlist", &request.whitelist)?;
    list(surroundings.out, "denylist", &request.blacklist)
}

fn list(out: &mut dyn Write, name: &str, filters: &[FlowFilter]) -> Result<()> {
    if !filters.is_empty() {
        writeln!(out, "{name}:")?;
    }
    for filter in filters {
        writeln!(out, "    - '{}'", json::to_string(filter)?.replace('\'', "''"))?;
    }
    Ok(())
}
