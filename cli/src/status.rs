//! `palomar status`: whether the server is well, how much it remembers and what it lost.

pub(crate) mod agent;
mod compact;
mod table;

use anyhow::{Context, Result, bail};
use palomar_flow::json;
use palomar_proto::observer::observer_client::ObserverClient;
use palomar_proto::observer::{ServerStatusRequest, ServerStatusResponse};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::arguments::Parsed;
use crate::connection::{Connection, Link};
use crate::rpc;
use crate::surroundings::Surroundings;

/// The service that an agent and a relay report on.
const SERVICE: &str = "hubble.server.Observer";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Compact,
    Dict,
    Json,
    Table,
}

/// Runs the command. A server that does not serve is a failure.
pub async fn run(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let name = parsed.given.text("output").unwrap_or("compact");
    let format = match name {
        "compact" => Format::Compact,
        "dict" => Format::Dict,
        "json" | "jsonpb" | "JSON" => Format::Json,
        "tab" | "table" => Format::Table,
        _ => bail!("invalid output format: {name}"),
    };
    let channel = connection.connect().await.context("failed getting status")?;
    let health = health(connection, channel.clone(), surroundings).await?;
    if format == Format::Compact {
        let answer = match health {
            ServingStatus::Serving => "Ok".to_owned(),
            other => format!("Unavailable: {}", other.as_str_name()),
        };
        writeln!(surroundings.out, "Healthcheck (via {}): {answer}", connection.target)?;
    }
    if health != ServingStatus::Serving {
        bail!("not healthy");
    }
    let mut observer = ObserverClient::new(channel.clone());
    let request = ServerStatusRequest {};
    let status = connection.call(surroundings.err, request, |request| observer.server_status(request)).await;
    let failed = |status| rpc::coded_failure(&status);
    let status = status.map_err(failed).context("failed to get hubble server status")?;
    print(format, &status, surroundings)?;
    if format == Format::Compact {
        agent::print(connection, channel, surroundings).await?;
    }
    Ok(())
}

async fn health(
    connection: &Connection,
    channel: Link,
    surroundings: &mut Surroundings<'_>,
) -> Result<ServingStatus> {
    let mut client = HealthClient::new(channel);
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let answer = connection.call(surroundings.err, request, |request| client.check(request)).await;
    let answer = answer.map_err(|status| rpc::coded_failure(&status)).context("failed getting status")?;
    Ok(ServingStatus::try_from(answer.status).unwrap_or(ServingStatus::Unknown))
}

fn print(format: Format, status: &ServerStatusResponse, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let out = &mut *surroundings.out;
    match format {
        Format::Compact => compact::print(status, out)?,
        Format::Dict => table::dict(status, out)?,
        Format::Table => table::table(status, out)?,
        Format::Json => writeln!(out, "{}", json::to_string(status)?)?,
    }
    Ok(())
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
