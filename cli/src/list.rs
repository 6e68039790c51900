//! `palomar list`: the nodes of a relay, and the namespaces of recent flows.

use anyhow::{Result, bail};
use palomar_flow::json::{self, JsonMessage};
use palomar_proto::observer::{GetNamespacesRequest, GetNodesRequest, Node};
use palomar_proto::relay::NodeState;
use serde_json::Value;

use crate::arguments::{Given, Parsed};
use crate::connection::Connection;
use crate::observe::client;
use crate::render::Columns;
use crate::render::escape::escape;
use crate::rpc;
use crate::surroundings::Surroundings;
use crate::time::format_duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Wide,
    Json,
}

/// `list nodes`, sorted by name.
pub async fn nodes(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let format = format(&parsed.given)?;
    let mut client = client(connection.connect().await?);
    let answer =
        connection.call(surroundings.err, GetNodesRequest {}, |request| client.get_nodes(request)).await;
    let mut nodes = answer.map_err(|status| rpc::coded_failure(&status))?.nodes;
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    if format == Format::Json {
        return print_messages(&nodes, surroundings);
    }
    let wide = format == Format::Wide;
    let mut columns = Columns::default();
    let mut header = vec!["NAME", "STATUS", "AGE", "FLOWS/S", "CURRENT/MAX-FLOWS"];
    if wide {
        header.extend(["VERSION", "ADDRESS", "TLS"]);
    }
    columns.line(&header);
    for node in &nodes {
        let cells = node_cells(node);
        let shown = if wide { cells.len() } else { header.len() };
        columns.line(&cells[..shown].iter().map(String::as_str).collect::<Vec<_>>());
    }
    Ok(columns.write(surroundings.out)?)
}

/// `list namespaces`, in the server's order.
pub async fn namespaces(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let format = format(&parsed.given)?;
    let mut client = client(connection.connect().await?);
    let answer = connection
        .call(surroundings.err, GetNamespacesRequest {}, |request| client.get_namespaces(request))
        .await;
    let namespaces = answer.map_err(|status| rpc::coded_failure(&status))?.namespaces;
    if format == Format::Json {
        return print_messages(&namespaces, surroundings);
    }
    let mut columns = Columns::default();
    match format {
        Format::Wide => columns.line(&["NAMESPACE", "CLUSTER"]),
        _ => columns.line(&["NAMESPACE"]),
    }
    for namespace in &namespaces {
        let (name, cluster) = (escape(&namespace.namespace), escape(&namespace.cluster));
        match format {
            Format::Wide if !cluster.is_empty() => columns.line(&[&name, &cluster]),
            _ => columns.line(&[&name]),
        }
    }
    Ok(columns.write(surroundings.out)?)
}

fn format(given: &Given) -> Result<Format> {
    match given.text("output").unwrap_or("table") {
        "table" => Ok(Format::Table),
        "wide" => Ok(Format::Wide),
        "json" => Ok(Format::Json),
        other => bail!("unknown output format: {other}"),
    }
}

/// NAME to TLS; `N/A` for what is zero.
fn node_cells(node: &Node) -> [String; 8] {
    let not_available = || "N/A".to_owned();
    let state = match NodeState::try_from(node.state) {
        Ok(NodeState::NodeConnected) => "Connected",
        Ok(NodeState::NodeUnavailable) => "Unavailable",
        Ok(NodeState::NodeGone) => "Gone",
        Ok(NodeState::NodeError) => "Error",
        Ok(NodeState::UnknownNodeState) | Err(_) => "Unknown",
    };
    // rounded, as Go rounds a duration
    let seconds = node.uptime_ns.saturating_add(500_000_000) / 1_000_000_000;
    let age = if seconds > 0 { format_duration(seconds * 1_000_000_000) } else { not_available() };
    let rate = if seconds > 0 { format!("{:.2}", ratio(node.seen_flows, seconds)) } else { not_available() };
    let fill = match node.max_flows {
        0 => not_available(),
        max => format!("{}/{max} ({:6.2}%)", node.num_flows, ratio(node.num_flows, max) * 100.0),
    };
    let version = if node.version.is_empty() { not_available() } else { escape(&node.version).into_owned() };
    let tls = match &node.tls {
        Some(tls) if tls.enabled => "Enabled".to_owned(),
        Some(_) => "Disabled".to_owned(),
        None => not_available(),
    };
    [
        escape(&node.name).into_owned(),
        state.to_owned(),
        age,
        rate,
        fill,
        version,
        escape(&node.address).into_owned(),
        tls,
    ]
}

#[expect(clippy::cast_precision_loss, reason = "two decimals are printed")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// An indented array; the fields of each message in the order of their declaration.
fn print_messages<M: JsonMessage>(messages: &[M], surroundings: &mut Surroundings<'_>) -> Result<()> {
    let texts = messages.iter().map(json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(writeln!(surroundings.out, "{}", indented(&texts)?)?)
}

/// An array of JSON values on lines of their own. As in Go, what would mean something in HTML is escaped.
fn indented(texts: &[String]) -> serde_json::Result<String> {
    let values = texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?;
    let text = format!("{:#}", Value::Array(values));
    // none of them stands outside of a string
    let escaped = ['<', '>', '&', '\u{2028}', '\u{2029}'];
    Ok(escaped.into_iter().fold(text, |text, c| text.replace(c, &format!("\\u{:04x}", u32::from(c)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_html_is_escaped_as_in_go() {
        let texts = [r#"{"name":"\u003ca\u0026b\u003e\u2028","tls":{}}"#.to_owned()];
        let wanted = r#"[
  {
    "name": "\u003ca\u0026b\u003e\u2028",
    "tls": {}
  }
]"#;
        assert_eq!(indented(&texts).unwrap(), wanted);
        assert_eq!(indented(&[]).unwrap(), "[]");
    }
}
