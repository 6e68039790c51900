//! What the commands over our own service share.

use anyhow::{Error, Result, anyhow, bail};
use serde_json::Value;
use tonic::{Code, Status};

use crate::arguments::Given;
use crate::connection::Connection;
use crate::rpc;
use crate::surroundings::Surroundings;

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// For programs; every field, also those that are zero.
    Json,
}

/// From `--output`.
pub fn output(given: &Given) -> Result<Output> {
    match given.text("output").unwrap_or("table") {
        "table" => Ok(Output::Table),
        "json" => Ok(Output::Json),
        other => bail!("unknown output format: {other}; choose from: table, json"),
    }
}

/// A server without our service gets a sentence of its own.
pub fn failure(connection: &Connection, status: &Status) -> Error {
    match status.code() {
        Code::Unimplemented => {
            anyhow!("the server at {} is no Palomar agent, it cannot tell", connection.target)
        }
        _ => rpc::failure(status),
    }
}

/// Prints indented JSON.
pub fn print_json(value: &Value, surroundings: &mut Surroundings<'_>) -> Result<()> {
    writeln!(surroundings.out, "{value:#}")?;
    Ok(())
}
