//! `palomar endpoint list`: how each pod of a node is watched, and which cannot be seen.

use anyhow::Result;
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_proto::palomar::v1::{
    Attachment, Endpoint, ListEndpointsRequest, ListEndpointsResponse, PolicyHits, RuleHits, UnseenPod,
    UnseenReason, VerdictCounts,
};
use serde_json::{Value, json};

use crate::arguments::Parsed;
use crate::connection::Connection;
use crate::palomar_api::{Output, failure, output, print_json};
use crate::render::escape::escape;
use crate::render::{Columns, identity_name};
use crate::status::agent::{attach_name, mode_name};
use crate::status::grouped;
use crate::surroundings::Surroundings;
use crate::time::TimeFormat;

/// Runs the command.
pub async fn list(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let output = output(&parsed.given)?;
    let mut client = PalomarClient::new(connection.connect().await?);
    let answer = connection
        .call(surroundings.err, ListEndpointsRequest {}, |request| client.list_endpoints(request))
        .await;
    let answer = answer.map_err(|status| failure(connection, &status))?;
    match output {
        Output::Json => print_json(&to_json(&answer), surroundings),
        Output::Table => print_tables(&answer, surroundings),
    }
}

// === Tables ===

fn print_tables(answer: &ListEndpointsResponse, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let mut seen = Columns::default();
    seen.line(&[
        "ENDPOINT",
        "POD",
        "IDENTITY",
        "INTERFACE",
        "INGRESS",
        "EGRESS",
        "ISOLATED",
        "MODE",
        "ALLOWED",
        "DENIED",
        "ADDRESSES",
    ]);
    for endpoint in &answer.endpoints {
        seen.line(&[
            &endpoint.id.to_string(),
            &pod(endpoint),
            &identity(endpoint.identity),
            &escape(&endpoint.interface),
            &attachment(endpoint.ingress.as_ref()),
            &attachment(endpoint.egress.as_ref()),
            isolation(endpoint),
            mode_name(endpoint.mode),
            &sum(endpoint, |verdicts| verdicts.allowed),
            &sum(endpoint, |verdicts| verdicts.denied),
            &or_dash(&endpoint.addresses.iter().map(|address| escape(address)).collect::<Vec<_>>().join(",")),
        ]);
    }
    seen.write(surroundings.out)?;
    if answer.unseen_pods.is_empty() {
        return Ok(());
    }
    let mut unseen = Columns::default();
    unseen.line(&["NOT SEEN", "WHY", "DETAIL"]);
    for UnseenPod { namespace, pod_name, reason, detail } in &answer.unseen_pods {
        unseen.line(&[
            &escape(&format!("{namespace}/{pod_name}")),
            unseen_reason(*reason),
            &or_dash(&escape(detail)),
        ]);
    }
    writeln!(surroundings.out)?;
    Ok(unseen.write(surroundings.out)?)
}

/// Of both directions; `-` where the agent does not count.
fn sum(endpoint: &Endpoint, count: fn(&VerdictCounts) -> u64) -> String {
    let both = endpoint.ingress_verdicts.as_ref().zip(endpoint.egress_verdicts.as_ref());
    both.map_or_else(|| "-".to_owned(), |(ingress, egress)| grouped(count(ingress) + count(egress)))
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn pod(endpoint: &Endpoint) -> String {
    if endpoint.is_pod {
        escape(&format!("{}/{}", endpoint.namespace, endpoint.pod_name)).into_owned()
    } else {
        "-".to_owned()
    }
}

fn identity(number: u32) -> String {
    match identity_name(number) {
        name if name.starts_with("ID:") => number.to_string(),
        name => format!("{number} ({name})"),
    }
}

/// The kind of hook, and what keeps it from seeing everything.
fn attachment(attachment: Option<&Attachment>) -> String {
    let Some(Attachment { kind, attach_error, first_in_order }) = attachment else {
        return "not told".to_owned();
    };
    match (attach_error.as_str(), first_in_order) {
        ("", true) => attach_name(*kind).to_owned(),
        ("", false) => format!("{} (not first)", attach_name(*kind)),
        (error, _) => format!("error: {}", escape(error)),
    }
}

fn isolation(endpoint: &Endpoint) -> &'static str {
    match (endpoint.ingress_isolated, endpoint.egress_isolated) {
        (true, true) => "ingress,egress",
        (true, false) => "ingress",
        (false, true) => "egress",
        (false, false) => "-",
    }
}

fn unseen_reason(reason: i32) -> &'static str {
    match UnseenReason::try_from(reason) {
        Ok(UnseenReason::HostNetwork) => "host network",
        Ok(UnseenReason::NoAddress) => "no address yet",
        Ok(UnseenReason::NoVeth) => "no veth",
        Ok(UnseenReason::Ambiguous) => "shared address",
        Ok(UnseenReason::NotAttached) => "not attached",
        Ok(UnseenReason::OtherNode) => "other node",
        Ok(UnseenReason::Unspecified) | Err(_) => "see detail",
    }
}

// === JSON ===

fn to_json(answer: &ListEndpointsResponse) -> Value {
    let ListEndpointsResponse { endpoints, unseen_pods, verdicts_since } = answer;
    json!({
        "verdicts_since": verdicts_since.as_ref().map(|since| TimeFormat::Rfc3339Nano.print(Some(since))),
        "endpoints": endpoints.iter().map(endpoint_json).collect::<Vec<_>>(),
        "unseen_pods": unseen_pods.iter().map(unseen_json).collect::<Vec<_>>(),
    })
}

fn endpoint_json(endpoint: &Endpoint) -> Value {
    let Endpoint {
        id,
        is_pod,
        namespace,
        pod_name,
        identity,
        labels,
        addresses,
        ifindex,
        interface,
        ingress,
        egress,
        ingress_isolated,
        egress_isolated,
        ingress_policies,
        egress_policies,
        mode,
        policy_revision,
        ingress_verdicts,
        egress_verdicts,
        policy_set,
    } = endpoint;
    json!({
        "id": id,
        "is_pod": is_pod,
        "namespace": namespace,
        "pod_name": pod_name,
        "identity": identity,
        "labels": labels,
        "addresses": addresses,
        "ifindex": ifindex,
        "interface": interface,
        "ingress": ingress.as_ref().map(attachment_json),
        "egress": egress.as_ref().map(attachment_json),
        "ingress_isolated": ingress_isolated,
        "egress_isolated": egress_isolated,
        "ingress_policies": ingress_policies,
        "egress_policies": egress_policies,
        "mode": mode_name(*mode),
        "policy_revision": policy_revision,
        "policy_set": policy_set,
        "ingress_verdicts": ingress_verdicts.as_ref().map(verdicts_json),
        "egress_verdicts": egress_verdicts.as_ref().map(verdicts_json),
    })
}

fn verdicts_json(verdicts: &VerdictCounts) -> Value {
    let VerdictCounts { allowed, denied, unattributed, policies } = verdicts;
    let rule = |RuleHits { rule, connections }: &RuleHits| json!({ "rule": rule, "allowed": connections });
    let policy = |PolicyHits { policy, rules, denied }: &PolicyHits| json!({ "policy": policy, "rules": rules.iter().map(rule).collect::<Vec<_>>(), "denied": denied });
    json!({
        "allowed": allowed,
        "denied": denied,
        "unattributed": unattributed,
        "policies": policies.iter().map(policy).collect::<Vec<_>>(),
    })
}

fn attachment_json(attachment: &Attachment) -> Value {
    let Attachment { kind, attach_error, first_in_order } = attachment;
    json!({ "kind": attach_name(*kind), "attach_error": attach_error, "first_in_order": first_in_order })
}

fn unseen_json(pod: &UnseenPod) -> Value {
    let UnseenPod { namespace, pod_name, reason, detail } = pod;
    json!({ "namespace": namespace, "pod_name": pod_name, "reason": unseen_reason(*reason), "detail": detail })
}
