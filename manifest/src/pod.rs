//! Pods.

use std::net::IpAddr;

use palomar_model::labels::Labels;
use palomar_model::object::{ObjectName, Workload};
use palomar_model::world::{Pod, Stage};

use crate::containers;
use crate::fields::{At, Fields, Known, Problems};
use crate::meta::Metadata;
use crate::syntax;

const SPEC: Known<'_> = Known {
    read: &[
        "serviceAccountName",
        "serviceAccount",
        "nodeName",
        "hostNetwork",
        "containers",
        "initContainers",
    ],
    others: &["hostname", "nodeSelector"],
};
const STATUS: Known<'_> =
    Known { read: &["phase", "podIP", "podIPs", "conditions"], others: &["hostIP", "hostIPs"] };
const CONDITION: Known<'_> = Known::read(&["type", "status"]);
const POD_IP: Known<'_> = Known::read(&["ip"]);
const PHASES: [&str; 5] = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];

/// Reads a pod. Addresses of a pod that has ended are left out: they may be another's by now.
pub(crate) fn read(name: ObjectName, metadata: Metadata, root: &Fields<'_>, problems: &mut Problems) -> Pod {
    let Metadata { key: _, uid, labels, controller, is_ending } = metadata;
    let stage = if is_ending { Stage::Ending } else { Stage::Alive };
    let workload = controller.map(|owner| workload(owner, &labels));
    let mut pod = Pod { workload, uid, labels, stage, ..Pod::new(name) };
    if let Some(spec) = root.get("spec").and_then(|at| at.fields(problems, SPEC)) {
        // `serviceAccount` is the old name of the field.
        let account = spec.get_text("serviceAccountName").or_else(|| spec.get_text("serviceAccount"));
        if let Some(account) = account.and_then(|at| at.checked(problems, syntax::dns_subdomain)) {
            account.clone_into(&mut pod.service_account);
        }
        if let Some(node) =
            spec.get_text("nodeName").and_then(|at| at.checked(problems, syntax::dns_subdomain))
        {
            node.clone_into(&mut pod.node);
        }
        pod.host_network = spec.get("hostNetwork").and_then(|at| at.boolean(problems)).unwrap_or(false);
        pod.named_ports = containers::named_ports(&spec, problems);
    }
    if let Some(status) = root.get("status").and_then(|at| at.fields(problems, STATUS)) {
        let addresses = addresses(&status, problems);
        pod.is_ready = is_ready(&status, problems);
        let phase = status.get_text("phase").and_then(|at| phase(&at, problems));
        if matches!(phase, Some("Succeeded" | "Failed")) {
            pod.stage = Stage::Ended;
        } else {
            pod.addresses = addresses;
        }
    }
    pod
}

fn phase<'a>(at: &At<'a>, problems: &mut Problems) -> Option<&'a str> {
    let phase = at.string(problems)?;
    if !PHASES.contains(&phase) {
        problems.add(at, format!("unknown phase (known: {})", PHASES.join(", ")));
    }
    Some(phase)
}

/// A pod of which it is not told is ready: nobody keeps a status for those who write theirs by hand.
fn is_ready(status: &Fields<'_>, problems: &mut Problems) -> bool {
    let mut is_ready = true;
    for at in status.get("conditions").map(|at| at.items(problems)).unwrap_or_default() {
        let Some(fields) = at.fields(problems, CONDITION) else { continue };
        let mut text = |name| fields.get(name).and_then(|at| at.string(problems));
        if let (Some("Ready"), Some(status)) = (text("type"), text("status")) {
            is_ready = status == "True";
        }
    }
    is_ready
}

/// `podIPs`, and `podIP` where it is not among them.
fn addresses(status: &Fields<'_>, problems: &mut Problems) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for item in status.get("podIPs").map(|at| at.items(problems)).unwrap_or_default() {
        let Some(fields) = item.fields(problems, POD_IP) else { continue };
        match fields.get_text("ip") {
            Some(at) => addresses.extend(at.address(problems)),
            None => problems.add(&fields.missing("ip"), "missing"),
        }
    }
    if let Some(first) = status.get_text("podIP").and_then(|at| at.address(problems))
        && !addresses.contains(&first)
    {
        addresses.insert(0, first);
    }
    addresses
}

/// What users call the owner: the Deployment behind a `ReplicaSet`, the `CronJob` behind a Job. Both are known by
/// the names that their controllers give: `<deployment>-<pod-template-hash>`, `<cronjob>-<minutes since 1970>`.
fn workload(owner: Workload, labels: &Labels) -> Workload {
    let parent = match owner.kind.as_str() {
        "ReplicaSet" => labels
            .get("pod-template-hash")
            .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'))
            .map(|name| (name, "Deployment")),
        "Job" => owner
            .name
            .rsplit_once('-')
            .filter(|(_, minutes)| {
                (8..=10).contains(&minutes.len()) && minutes.bytes().all(|b| b.is_ascii_digit())
            })
            .map(|(name, _)| (name, "CronJob")),
        _ => None,
    };
    match parent {
        Some((name, kind)) if !name.is_empty() => Workload { name: name.to_owned(), kind: kind.to_owned() },
        _ => owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_is_what_users_made() {
        let table = [
            ("a ReplicaSet with its hash", "ReplicaSet", "web-5d9c", "Deployment", "web"),
            ("a ReplicaSet of another hash", "ReplicaSet", "web-aaaa", "ReplicaSet", "web-aaaa"),
            ("a ReplicaSet that is only the hash", "ReplicaSet", "5d9c", "ReplicaSet", "5d9c"),
            ("a Job of a CronJob", "Job", "backup-28493021", "CronJob", "backup"),
            ("a Job with a short number", "Job", "backup-2", "Job", "backup-2"),
            ("a Job with a word", "Job", "migrate-database", "Job", "migrate-database"),
            ("a StatefulSet", "StatefulSet", "db", "StatefulSet", "db"),
        ];
        let labels = Labels::from([("pod-template-hash".into(), "5d9c".into())]);
        for (sentence, kind, name, expected_kind, expected_name) in table {
            let found = workload(Workload { name: name.into(), kind: kind.into() }, &labels);
            assert_eq!(
                (found.kind.as_str(), found.name.as_str()),
                (expected_kind, expected_name),
                "{sentence}"
            );
        }
    }
}
