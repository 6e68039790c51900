//! An explanation for programs. It begins with the fields of an answer to a probe.

use palomar_model::attribution::PolicyRef;
use palomar_model::object::ObjectName;
use palomar_policy::Exemption;
use palomar_policy::explain::{
    Change, Clause, Deciding, DirectionAnswer, DirectionExplanation, Edit, Missing, Outcome, Party,
    PathExplanation, RuleExplanation, Standing,
};
use serde_json::{Value, json};

use super::explain::Told;
use super::manifests::Manifests;
use super::question::protocol_name;
use super::text::shown_peer;

/// The whole explanation.
pub fn of(told: &Told<'_>) -> Value {
    let Told { question, from, to, explanation, change, manifests } = told;
    let answer = &explanation.answer;
    json!({
        "from": from,
        "to": to,
        "port": question.port,
        "protocol": protocol_name(question.protocol),
        "verdict": answer.verdict.name(),
        "ingress": side(&answer.ingress),
        "egress": side(&answer.egress),
        "missing": missing(&answer.missing),
        "paths": explanation.paths.iter().map(|path| path_of(path, manifests)).collect::<Vec<_>>(),
        "change": change.map(|change| change_of(change, manifests)),
    })
}

fn side(side: &DirectionAnswer<'_>) -> Value {
    let DirectionAnswer { verdict, isolated, by } = side;
    json!({
        "verdict": verdict.name(),
        "isolated": isolated,
        "by": by.iter().map(deciding).collect::<Vec<_>>(),
    })
}

fn deciding(deciding: &Deciding<'_>) -> Value {
    let Deciding { policy, rule } = deciding;
    let mut value = json!({ "kind": "NetworkPolicy", "namespace": policy.namespace, "name": policy.name });
    if let Some(rule) = rule {
        value["rule"] = json!(rule);
    }
    value
}

fn missing(facts: &[Missing]) -> Vec<String> {
    facts.iter().map(ToString::to_string).collect()
}

fn path_of(explained: &PathExplanation<'_>, manifests: &Manifests) -> Value {
    let PathExplanation { path, verdict, egress, ingress, closed_by } = explained;
    json!({
        "from": party(&path.from),
        "to": party(&path.to),
        "port": path.port,
        "service": path.service.map(ToString::to_string),
        "other_node": path.other_node.as_ref().map(|(node, port)| json!({ "node": party(node), "port": port })),
        "verdict": verdict.name(),
        "closed_by": closed_by.as_ref().map(party),
        "ingress": direction(ingress, manifests),
        "egress": direction(egress, manifests),
    })
}

fn party(party: &Party<'_>) -> Value {
    let address = party.address.map(|address| address.to_string());
    let (kind, name) = match party.standing {
        Standing::Pod(pod) => ("pod", Some(pod.name.to_string())),
        Standing::Node { name: _, pod: Some(pod) } => ("host-network pod", Some(pod.name.to_string())),
        Standing::Node { name, pod: None } => ("node", Some(name.to_owned())),
        Standing::Masked => ("masked", None),
        Standing::Service(service) => ("service", Some(service.name.to_string())),
        Standing::World => ("world", None),
    };
    json!({ "kind": kind, "name": name, "address": address })
}

fn direction(side: &DirectionExplanation<'_>, manifests: &Manifests) -> Value {
    let DirectionExplanation { answer, isolated_by, exemption, rules, not_selecting, missing: facts } = side;
    let exemption = exemption.map(|exemption| match exemption {
        Exemption::Itself => "a pod may always connect to itself",
        Exemption::NodeToItsPod => "a node may always connect to its own pods",
    });
    let not_selecting = not_selecting.iter().map(|(policy, clause)| {
        let mut value = policy_of(policy, manifests);
        value["clause"] = clause_of(clause);
        value
    });
    json!({
        "verdict": answer.verdict.name(),
        "isolated_by": isolated_by.iter().map(|policy| policy_of(policy, manifests)).collect::<Vec<_>>(),
        "exemption": exemption,
        "rules": rules.iter().map(|rule| rule_of(rule, manifests)).collect::<Vec<_>>(),
        "not_selecting": not_selecting.collect::<Vec<_>>(),
        "missing": missing(facts),
    })
}

fn policy_of(policy: &PolicyRef, manifests: &Manifests) -> Value {
    let PolicyRef { name, kind } = policy;
    let place = manifests.policy(name);
    json!({
        "kind": kind,
        "namespace": name.namespace,
        "name": name.name,
        "file": place.map(|place| &place.file),
        "line": place.map(|place| place.line),
    })
}

fn rule_of(explained: &RuleExplanation, manifests: &Manifests) -> Value {
    let RuleExplanation { rule, outcome } = explained;
    let mut value = policy_of(&PolicyRef::network_policy(rule.policy.clone()), manifests);
    value["direction"] = json!(rule.direction.to_string());
    value["rule"] = json!(rule.index);
    match outcome {
        Outcome::Allows => value["outcome"] = json!("allows"),
        Outcome::Depends(facts) => {
            value["outcome"] = json!("depends");
            value["missing"] = json!(missing(facts));
        }
        Outcome::Fails(clauses) => {
            value["outcome"] = json!("fails");
            value["clauses"] = clauses.iter().map(clause_of).collect();
        }
    }
    value
}

fn clause_of(clause: &Clause) -> Value {
    let Clause { field, wanted, found } = clause;
    json!({ "field": field, "wanted": wanted, "found": found })
}

fn change_of(change: &Change, manifests: &Manifests) -> Value {
    json!({
        "edits": change.edits.iter().map(edit).collect::<Vec<_>>(),
        "yaml": change.to_yaml(&manifests.world.policies),
    })
}

fn edit(edit: &Edit) -> Value {
    let ObjectName { namespace, name } = edit.policy();
    match edit {
        Edit::AddPeer { policy: _, direction, rule, peer } => json!({
            "add": "peer", "namespace": namespace, "name": name, "direction": direction.to_string(), "rule": rule,
            "peer": shown_peer(peer),
        }),
        Edit::AddPort { policy: _, direction, rule, port } => json!({
            "add": "port", "namespace": namespace, "name": name, "direction": direction.to_string(), "rule": rule,
            "port": port.to_string(),
        }),
        Edit::AddPolicy(_) => json!({ "add": "policy", "namespace": namespace, "name": name }),
    }
}
