//! `policy list`: what an agent enforces for each endpoint, by direction and rule.
//!
//! Which policies isolate an endpoint is what the kernel holds; what their rules say is the agent's objects; how often each
//! decided is what the agent has counted since it began.

use anyhow::Result;
use palomar_model::netpol::{PortRule, Rule};
use palomar_model::object::ObjectName;
use palomar_model::verdict::Direction;
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_proto::palomar::v1::{Endpoint, ListEndpointsRequest, PolicyHits, RuleHits, VerdictCounts};
use palomar_transport::http2::MAX_MESSAGE_BYTES;
use serde_json::{Value, json};

use super::basis::Basis;
use super::manifests::Manifests;
use super::text::shown_peer;
use crate::arguments::Parsed;
use crate::connection::Connection;
use crate::palomar_api::{Output, failure, output, print_json};
use crate::render::Columns;
use crate::render::escape::escape;
use crate::status::agent::mode_name;
use crate::status::grouped;
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

/// The endpoints that are pods, and the objects of the agent.
pub(super) async fn ask(
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<(Vec<Endpoint>, Basis)> {
    let link = connection.connect().await?;
    let mut client = PalomarClient::new(link).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let answer = connection
        .call(surroundings.err, ListEndpointsRequest {}, |request| client.list_endpoints(request))
        .await;
    let mut endpoints = answer.map_err(|status| failure(connection, &status))?.endpoints;
    endpoints.retain(|endpoint| endpoint.is_pod);
    Ok((endpoints, Basis::from_agent(connection, surroundings.err).await?))
}

/// `namespace/pod`
pub(super) fn name(endpoint: &Endpoint) -> String {
    format!("{}/{}", endpoint.namespace, endpoint.pod_name)
}

/// The policies that isolate one direction; `None` where nothing does.
pub(super) fn isolating(endpoint: &Endpoint, direction: Direction) -> Option<Vec<ObjectName>> {
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

pub(super) fn peers(rule: &Rule) -> Vec<String> {
    rule.peers.iter().map(shown_peer).collect()
}

pub(super) fn ports(rule: &Rule) -> Vec<String> {
    rule.ports.iter().map(PortRule::to_string).collect()
}

/// Prints what is enforced for these endpoints.
pub(super) fn print(
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
    table.line(&["POD", "DIRECTION", "MODE", "POLICY", "RULE", "PEERS", "PORTS", "ALLOWED", "DENIED"]);
    for endpoint in endpoints {
        for direction in Direction::BOTH {
            for Row { policy, rule, peers, ports, allowed, denied } in rows(endpoint, manifests, direction) {
                table.line(&[
                    &escape(&name(endpoint)),
                    &direction.to_string(),
                    mode_name(endpoint.mode),
                    &escape(&policy),
                    &rule,
                    &escape(&peers),
                    &escape(&ports),
                    &allowed,
                    &denied,
                ]);
            }
        }
    }
    Ok(table.write(surroundings.out)?)
}

/// What is printed of a rule, or of a direction without any.
struct Row {
    policy: String,
    rule: String,
    peers: String,
    ports: String,
    /// Connections that the rule allowed.
    allowed: String,
    /// Denials while the policy isolated; in the first row of the policy alone.
    denied: String,
}

impl Row {
    /// One without counts.
    fn new(policy: &str, rule: &str, peers: &str, ports: &str) -> Self {
        let [policy, rule, peers, ports] = [policy, rule, peers, ports].map(str::to_owned);
        Self { policy, rule, peers, ports, allowed: "-".to_owned(), denied: "-".to_owned() }
    }
}

/// A row for each rule; one without a rule says what that means.
fn rows(endpoint: &Endpoint, manifests: &Manifests, direction: Direction) -> Vec<Row> {
    let Some(policies) = isolating(endpoint, direction) else {
        return vec![Row::new("-", "-", "any (not isolated)", "any")];
    };
    let hits = Hits::of(endpoint, direction);
    let mut rows = Vec::new();
    for policy in policies {
        let first = rows.len();
        match rules(manifests, &policy, direction) {
            None => rows.push(Row::new(&policy.name, "-", "not told", "not told")),
            Some([]) => rows.push(Row::new(&policy.name, "-", "none", "none")),
            Some(rules) => rows.extend(rules.iter().enumerate().map(|(number, rule)| {
                let (peers, ports) = (or_any(&peers(rule), " or "), or_any(&ports(rule), ","));
                let allowed = shown(hits.allowed(&policy, number));
                Row { allowed, ..Row::new(&policy.name, &number.to_string(), &peers, &ports) }
            })),
        }
        rows[first].denied = shown(hits.denied(&policy));
    }
    rows
}

/// What a rule lists; an empty list is open to any.
pub(super) fn or_any(list: &[String], between: &str) -> String {
    if list.is_empty() { "any".to_owned() } else { list.join(between) }
}

/// `-` where nobody counts.
pub(super) fn shown(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), grouped)
}

/// The counts of one direction.
pub(super) struct Hits<'e>(Option<&'e VerdictCounts>);

impl<'e> Hits<'e> {
    pub(super) fn of(endpoint: &'e Endpoint, direction: Direction) -> Self {
        Self(match direction {
            Direction::Ingress => endpoint.ingress_verdicts.as_ref(),
            Direction::Egress => endpoint.egress_verdicts.as_ref(),
        })
    }

    /// Connections that a rule allowed; `None` where the agent does not count.
    pub(super) fn allowed(&self, policy: &ObjectName, number: usize) -> Option<u64> {
        let is_it = |rule: &&RuleHits| usize::try_from(rule.rule).is_ok_and(|rule| rule == number);
        let mut rules = self.of_policy(policy)?.flat_map(|policy| &policy.rules);
        Some(rules.find(is_it).map_or(0, |rule| rule.connections))
    }

    /// Denials while a policy isolated; `None` where the agent does not count.
    pub(super) fn denied(&self, policy: &ObjectName) -> Option<u64> {
        Some(self.of_policy(policy)?.map(|policy| policy.denied).sum())
    }

    fn of_policy(&self, name: &ObjectName) -> Option<impl Iterator<Item = &'e PolicyHits>> {
        Some(self.0?.policies.iter().filter(|policy| policy.policy == name.name))
    }
}

fn to_json(endpoint: &Endpoint, manifests: &Manifests) -> Value {
    let side = |direction: Direction| {
        let policies = isolating(endpoint, direction);
        let hits = Hits::of(endpoint, direction);
        let policy = |policy: &ObjectName| {
            let place = manifests.policy(policy);
            let rules = rules(manifests, policy, direction).map(|rules| {
                let rules = rules.iter().enumerate();
                let rules = rules.map(|(number, rule)| {
                    json!({
                        "rule": number, "peers": peers(rule), "ports": ports(rule),
                        "allowed": hits.allowed(policy, number),
                    })
                });
                rules.collect::<Vec<_>>()
            });
            json!({
                "namespace": policy.namespace,
                "name": policy.name,
                "file": place.map(|place| &place.file),
                "line": place.map(|place| place.line),
                "rules": rules,
                "denied": hits.denied(policy),
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
        "policy_set": endpoint.policy_set,
        "ingress": side(Direction::Ingress),
        "egress": side(Direction::Egress),
    })
}
