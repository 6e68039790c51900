//! `policy list` and `policy get`: what an agent enforces for each endpoint, by direction and rule.
//!
//! Which policies isolate an endpoint is what the kernel holds; what their rules say is the agent's objects. How often a
//! rule was hit is not told: the kernel counts connections, and no rules.

use anyhow::{Result, bail};
use palomar_model::netpol::{PortRule, Rule};
use palomar_model::object::ObjectName;
use palomar_model::verdict::Direction;
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_proto::palomar::v1::{Endpoint, ListEndpointsRequest};
use palomar_transport::http2::MAX_MESSAGE_BYTES;
use serde_json::{Value, json};

use super::basis::Basis;
use super::manifests::Manifests;
use super::text::shown_peer;
use crate::arguments::{Parsed, UsageError};
use crate::connection::Connection;
use crate::palomar_api::{Output, failure, output, print_json};
use crate::render::Columns;
use crate::render::escape::escape;
use crate::status::agent::mode_name;
use crate::surroundings::Surroundings;

/// `policy list`: of all endpoints that are pods.
pub async fn list(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let output = output(&parsed.given)?;
    let (endpoints, basis) = ask(connection, surroundings).await?;
    print(&endpoints.iter().collect::<Vec<_>>(), &basis.manifests, output, surroundings)
}

/// `policy get POD`: of one.
pub async fn get(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let output = output(&parsed.given)?;
    let [pod] = parsed.words.as_slice() else {
        bail!(UsageError::MissingArgument("a pod, as namespace/name"));
    };
    let (endpoints, basis) = ask(connection, surroundings).await?;
    let found: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| name(endpoint) == *pod).collect();
    if found.is_empty() {
        let names: Vec<String> = endpoints.iter().map(name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("{}: no pod of the agent's node; choose from: {}", escape(pod), escape(&names));
    }
    print(&found, &basis.manifests, output, surroundings)
}

async fn ask(connection: &Connection, surroundings: &mut Surroundings<'_>) -> Result<(Vec<Endpoint>, Basis)> {
    let link = connection.connect().await?;
    let mut client = PalomarClient::new(link).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let answer = connection
        .call(surroundings.err, ListEndpointsRequest {}, |request| client.list_endpoints(request))
        .await;
    let mut endpoints = answer.map_err(|status| failure(connection, &status))?.endpoints;
    endpoints.retain(|endpoint| endpoint.is_pod);
    Ok((endpoints, Basis::from_agent(connection, surroundings.err).await?))
}

fn name(endpoint: &Endpoint) -> String {
    format!("{}/{}", endpoint.namespace, endpoint.pod_name)
}

/// The policies that isolate one direction; `None` where nothing does.
fn isolating(endpoint: &Endpoint, direction: Direction) -> Option<Vec<ObjectName>> {
    let (isolated, names) = match direction {
        Direction::Ingress => (endpoint.ingress_isolated, &endpoint.ingress_policies),
        Direction::Egress => (endpoint.egress_isolated, &endpoint.egress_policies),
    };
    isolated.then(|| names.iter().map(|name| ObjectName::new(&endpoint.namespace, name)).collect())
}

/// The rules of a policy in one direction; `None` where the agent's objects do not have them, or not any more.
fn rules<'m>(manifests: &'m Manifests, policy: &ObjectName, direction: Direction) -> Option<&'m [Rule]> {
    manifests.world.policies.get(policy)?.rules(direction)
}

fn peers(rule: &Rule) -> Vec<String> {
    rule.peers.iter().map(shown_peer).collect()
}

fn ports(rule: &Rule) -> Vec<String> {
    rule.ports.iter().map(PortRule::to_string).collect()
}

fn print(
    endpoints: &[&Endpoint],
    manifests: &Manifests,
    output: Output,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    if output == Output::Json {
        let endpoints = endpoints.iter().map(|endpoint| to_json(endpoint, manifests));
        return print_json(&json!({ "endpoints": endpoints.collect::<Vec<_>>() }), surroundings);
    }
    let mut table = Columns::default();
    table.line(&["POD", "DIRECTION", "MODE", "POLICY", "RULE", "PEERS", "PORTS"]);
    for endpoint in endpoints {
        for direction in Direction::BOTH {
            for [policy, rule, peers, ports] in rows(endpoint, manifests, direction) {
                table.line(&[
                    &escape(&name(endpoint)),
                    &direction.to_string(),
                    mode_name(endpoint.mode),
                    &escape(&policy),
                    &rule,
                    &escape(&peers),
                    &escape(&ports),
                ]);
            }
        }
    }
    Ok(table.write(surroundings.out)?)
}

/// Policy, rule, peers and ports of each rule; a row without a rule says what that means.
fn rows(endpoint: &Endpoint, manifests: &Manifests, direction: Direction) -> Vec<[String; 4]> {
    let row =
        |policy: &str, rule: &str, peers: &str, ports: &str| [policy, rule, peers, ports].map(str::to_owned);
    let Some(policies) = isolating(endpoint, direction) else {
        return vec![row("-", "-", "any (not isolated)", "any")];
    };
    let mut rows = Vec::new();
    for policy in policies {
        match rules(manifests, &policy, direction) {
            None => rows.push(row(&policy.name, "-", "not told", "not told")),
            Some([]) => rows.push(row(&policy.name, "-", "none", "none")),
            Some(rules) => rows.extend(rules.iter().enumerate().map(|(number, rule)| {
                let or_any = |list: Vec<String>, between: &str| {
                    if list.is_empty() { "any".to_owned() } else { list.join(between) }
                };
                [
                    policy.name.clone(),
                    number.to_string(),
                    or_any(peers(rule), " or "),
                    or_any(ports(rule), ","),
                ]
            })),
        }
    }
    rows
}

fn to_json(endpoint: &Endpoint, manifests: &Manifests) -> Value {
    let side = |direction: Direction| {
        let policies = isolating(endpoint, direction);
        let policy = |policy: &ObjectName| {
            let place = manifests.policy(policy);
            let rules = rules(manifests, policy, direction).map(|rules| {
                let rules = rules.iter().enumerate();
                let rules = rules.map(
                    |(number, rule)| json!({ "rule": number, "peers": peers(rule), "ports": ports(rule) }),
                );
                rules.collect::<Vec<_>>()
            });
            json!({
                "namespace": policy.namespace,
                "name": policy.name,
                "file": place.map(|place| &place.file),
                "line": place.map(|place| place.line),
                "rules": rules,
            })
        };
        json!({
            "isolated": policies.is_some(),
            "policies": policies.unwrap_or_default().iter().map(policy).collect::<Vec<_>>(),
        })
    };
    json!({
        "id": endpoint.id,
        "namespace": endpoint.namespace,
        "pod_name": endpoint.pod_name,
        "mode": mode_name(endpoint.mode),
        "policy_revision": endpoint.policy_revision,
        "ingress": side(Direction::Ingress),
        "egress": side(Direction::Egress),
    })
}
