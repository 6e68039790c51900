//! `policy explain --uuid`: one flow that a server remembers, with all reasons.

use anyhow::{Result, bail};
use palomar_flow::view::Side;
use palomar_policy::explain::{explain, smallest_change};
use palomar_proto::flow::{Flow, FlowFilter};
use palomar_proto::observer::GetFlowsRequest;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use serde_json::json;

use super::basis::Basis;
use super::evidence::{Comparison, Evidence};
use super::explain::Told;
use super::flow::ends::Directory;
use super::why::{self, Asked};
use super::{json, text};
use crate::arguments::Given;
use crate::connection::Connection;
use crate::observe::client;
use crate::palomar_api::print_json;
use crate::render::escape::escape;
use crate::rpc;
use crate::surroundings::Surroundings;
use crate::time::TimeFormat;

/// Runs the command.
pub async fn run(
    given: &Given,
    uuid: &str,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    if let Some(flag) = ["from", "to", "port", "protocol", "probes"].into_iter().find(|flag| given.has(flag))
    {
        bail!("--{flag} and --uuid cannot be given together: the flow is the question");
    }
    let output = given.text("output").unwrap_or("text");
    if !["text", "json"].contains(&output) {
        bail!("unknown output format: {output}; choose from: text, json");
    }
    let flow = fetch(uuid, connection, surroundings).await?;
    let mut basis = Basis::of(given, connection, surroundings).await?;
    if basis.is_older_than(why::time(&flow)) {
        // a flow of this moment: the agent tells of all changes up to a moment ago only
        tokio::time::sleep(MOMENT).await;
        basis = Basis::of(given, connection, surroundings).await?;
    }
    let directory = Directory::new(&basis.manifests.world);
    let asked = why::question(&flow, &directory, &basis);
    let time = TimeFormat::Rfc3339Nano.print(flow.time.as_ref());
    let title = format!("flow {} at {time}, {}", flow.uuid, flow.verdict().as_str_name());
    let question = match asked {
        Asked::Question(question) => question,
        Asked::Missing(fact) => return cannot(&title, &flow, Some(&fact), "", output, surroundings),
        Asked::Nothing(what) => return cannot(&title, &flow, None, what, output, surroundings),
    };
    let index = basis.manifests.index();
    let explanation = explain(&index, &question);
    let change = smallest_change(&index, question.protocol, &explanation);
    let from = why::end_name(&flow, Side::Source, &question.from);
    let to = why::end_name(&flow, Side::Destination, &question.to);
    let disagreement = why::disagreement(&explanation.answer, &flow);
    let told = Told {
        question: &question,
        from: &from,
        to: &to,
        explanation: &explanation,
        change: change.as_ref(),
        manifests: &basis.manifests,
    };
    let evidence = Evidence::of(&flow);
    let comparison = evidence.map(|evidence| evidence.beside(&explanation.answer));
    if output == "json" {
        let mut value = json::of(&told);
        value["flow"] = of(&flow);
        value["disagreement"] = json!(disagreement);
        value["evidence"] = json!(evidence.map(Evidence::json));
        value["comparison"] = json!(comparison.as_ref().map(Comparison::json));
        return print_json(&value, surroundings);
    }
    writeln!(surroundings.out, "{}", escape(&title))?;
    if let Some((evidence, comparison)) = evidence.zip(comparison) {
        writeln!(surroundings.out, "{}", escape(&evidence.text()))?;
        writeln!(surroundings.out, "{}", escape(&comparison.text))?;
    }
    if let Some(disagreement) = disagreement {
        writeln!(surroundings.out, "but these policies say otherwise: {disagreement}")?;
    }
    if basis.history.is_none() {
        writeln!(surroundings.out, "by the manifests; nobody knows whether they were in force then")?;
    }
    Ok(surroundings.out.write_all(text::of(&told).as_bytes())?)
}

/// So long after a flow the agent tells of every change before it.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(200);

fn cannot(
    title: &str,
    flow: &Flow,
    fact: Option<&str>,
    what: &str,
    output: &str,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let evidence = Evidence::of(flow);
    if output == "json" {
        let missing: Vec<&str> = fact.into_iter().collect();
        let verdict = fact.map(|_| "undecidable");
        let value = json!({
            "verdict": verdict, "missing": missing, "note": what, "flow": of(flow),
            "evidence": evidence.map(Evidence::json),
        });
        return print_json(&value, surroundings);
    }
    writeln!(surroundings.out, "{}", escape(title))?;
    if let Some(evidence) = evidence {
        writeln!(surroundings.out, "{}", escape(&evidence.text()))?;
    }
    match fact {
        Some(fact) => writeln!(surroundings.out, "cannot know: {}", escape(fact))?,
        None => writeln!(surroundings.out, "{what}")?,
    }
    Ok(())
}

fn of(flow: &Flow) -> serde_json::Value {
    json!({
        "uuid": flow.uuid,
        "time": TimeFormat::Rfc3339Nano.print(flow.time.as_ref()),
        "verdict": flow.verdict().as_str_name(),
    })
}

async fn fetch(uuid: &str, connection: &Connection, surroundings: &mut Surroundings<'_>) -> Result<Flow> {
    let filter = FlowFilter { uuid: vec![uuid.to_owned()], ..FlowFilter::default() };
    let request = GetFlowsRequest { number: 1, whitelist: vec![filter], ..GetFlowsRequest::default() };
    let mut client = client(connection.connect().await?);
    let answer = client.get_flows(request).await.map_err(|status| rpc::failure(&status))?;
    connection.warn_of_newer(answer.metadata(), &mut *surroundings.err)?;
    let mut stream = answer.into_inner();
    while let Some(response) = stream.message().await.map_err(|status| rpc::failure(&status))? {
        if let Some(ResponseTypes::Flow(flow)) = response.response_types {
            return Ok(flow);
        }
    }
    bail!("the server at {} remembers no flow of UUID {}", connection.target, escape(uuid))
}
