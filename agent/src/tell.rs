//! What the control path knows, as messages of Palomar's own service.

mod metrics;
mod objects;
mod verdicts;

use std::sync::Arc;

use palomar_bpf::abi::{Counter, Mode};
use palomar_bpf::{Hook, Maps};
use palomar_flow::convert::timestamp;
use palomar_model::attribution::PolicyRef;
use palomar_model::object::ObjectName;
use palomar_proto::palomar::v1;

use crate::clock::wall_now_ns;
use crate::config::ClusterSource;
use crate::connections::{KernelConnections, Sources};
use crate::control::{AttachState, EndpointFacts, Facts, SharedFacts};
use crate::directory::{LocalEndpoint, PodEntry};
use crate::enrich::{Attributions, DirectionHits, Hits};
use crate::kernel::Foreign;
use crate::server::AgentFacts;

/// Answers from the control path's newest facts and the kernel's maps.
pub struct Teller {
    /// The newest facts.
    pub facts: SharedFacts,
    /// The kernel's maps.
    pub maps: Arc<Maps>,
    /// The meaning of the kernel's policy numbers.
    pub attributions: Arc<dyn Attributions>,
    /// The network namespace's number.
    pub instance: String,
    /// Where the world comes from.
    pub source: ClusterSource,
    /// The hook in use.
    pub hook: Hook,
    /// Whether the node puts its own address in place of the client's for every service.
    pub masks: bool,
    /// Whether drops by others are told.
    pub foreign: Foreign,
    /// How often each policy decided.
    pub hits: Arc<Hits>,
}

impl AgentFacts for Teller {
    fn agent_status(&self) -> v1::GetAgentStatusResponse {
        let facts = self.facts.load();
        let memory = self.maps.memory().unwrap_or_default();
        let (foreign_drops, foreign_drops_error) = foreign(&self.foreign);
        v1::GetAgentStatusResponse {
            instance: self.instance.clone(),
            node_name: facts.directory.node_name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: self.mode().into(),
            cluster_source: match self.source {
                ClusterSource::Manifests => v1::ClusterSource::Manifests,
                ClusterSource::None => v1::ClusterSource::None,
            }
            .into(),
            attach: kind(self.hook).into(),
            endpoints: u32::try_from(facts.endpoints.len()).unwrap_or(u32::MAX),
            kernel_map_bytes: memory.iter().map(|map| map.bytes).sum(),
            conntrack_midstream_misses: self.maps.counters.get(Counter::MidConnection).unwrap_or(0),
            refused_manifests: refused(&facts),
            foreign_drops: foreign_drops.into(),
            foreign_drops_error,
        }
    }

    fn endpoints(&self) -> v1::ListEndpointsResponse {
        let facts = self.facts.load();
        let mode = self.mode();
        let (hits, never) = (self.hits.by_endpoint(), <[DirectionHits; 2]>::default());
        let mut endpoints: Vec<v1::Endpoint> = facts
            .directory
            .endpoints
            .values()
            .filter_map(|local| {
                let [ingress, egress] = hits.get(&local.id).unwrap_or(&never);
                Some(v1::Endpoint {
                    ingress_verdicts: Some(verdicts::message(ingress)),
                    egress_verdicts: Some(verdicts::message(egress)),
                    ..endpoint(local, facts.endpoints.get(&local.id)?, mode)
                })
            })
            .collect();
        endpoints.sort_by(|a, b| {
            (!a.is_pod, &a.namespace, &a.pod_name, a.id).cmp(&(!b.is_pod, &b.namespace, &b.pod_name, b.id))
        });
        let verdicts_since = Some(timestamp(self.hits.since_ns()));
        v1::ListEndpointsResponse { endpoints, unseen_pods: unseen(&facts), verdicts_since }
    }

    fn objects(&self) -> Option<Vec<v1::ListObjectsResponse>> {
        (self.source != ClusterSource::None).then(|| {
            // the clock before the facts: what changes in between is in them
            let now_ns = wall_now_ns();
            let facts = self.facts.load();
            objects::messages(&facts.history, &facts.directory, self.masks, now_ns)
        })
    }

    fn connections(&self) -> Option<Sources> {
        Some(Sources {
            tables: Arc::new(KernelConnections(Arc::clone(&self.maps))),
            directory: Arc::clone(&self.facts.load().directory),
            attributions: Arc::clone(&self.attributions),
        })
    }
}

impl Teller {
    fn mode(&self) -> v1::PolicyMode {
        match self.maps.settings.mode() {
            Ok(Mode::Off) => v1::PolicyMode::Off,
            Ok(Mode::Audit) => v1::PolicyMode::Audit,
            Ok(Mode::Enforce) => v1::PolicyMode::Enforce,
            Err(_) => v1::PolicyMode::Unspecified,
        }
    }
}

fn kind(hook: Hook) -> v1::AttachKind {
    match hook {
        Hook::Tcx => v1::AttachKind::Tcx,
        Hook::Clsact => v1::AttachKind::Clsact,
    }
}

fn foreign(foreign: &Foreign) -> (v1::ForeignDrops, String) {
    match foreign {
        Foreign::Off => (v1::ForeignDrops::Off, String::new()),
        Foreign::Told(_) => (v1::ForeignDrops::On, String::new()),
        Foreign::Unavailable(why) => (v1::ForeignDrops::Unavailable, why.clone()),
    }
}

fn refused(facts: &Facts) -> Vec<v1::RefusedManifest> {
    let refused = facts.world.refused.iter().map(|refusal| v1::RefusedManifest {
        file: refusal.error.file.clone(),
        line: refusal.error.line,
        field: refusal.error.field.clone(),
        reason: refusal.error.reason.clone(),
    });
    let whole = facts
        .world
        .complaint
        .iter()
        .chain(&facts.failure)
        .map(|reason| v1::RefusedManifest { reason: reason.clone(), ..v1::RefusedManifest::default() });
    refused.chain(whole).collect()
}

fn endpoint(local: &LocalEndpoint, facts: &EndpointFacts, mode: v1::PolicyMode) -> v1::Endpoint {
    let flow = local.pod.as_ref().map(|entry| &entry.flow_endpoint);
    let unmanaged = palomar_model::identity::Identity::UNMANAGED;
    let name = flow.and_then(|flow| flow.pod.clone());
    let (namespace, pod_name) = name.map(|name| (name.namespace, name.name)).unwrap_or_default();
    let (ingress, egress) = attachments(&facts.attach);
    let mode = if mode == v1::PolicyMode::Enforce && !facts.enforced { v1::PolicyMode::Audit } else { mode };
    v1::Endpoint {
        id: local.id,
        is_pod: local.pod.is_some(),
        namespace,
        pod_name,
        identity: flow.map_or(unmanaged, |flow| flow.identity).0,
        labels: flow.map(|flow| flow.labels.to_strings()).unwrap_or_default(),
        addresses: local.addresses.iter().map(ToString::to_string).collect(),
        ifindex: local.id,
        interface: local.interface.to_string(),
        ingress: Some(ingress),
        egress: Some(egress),
        ingress_isolated: !facts.ingress_policies.is_empty(),
        egress_isolated: !facts.egress_policies.is_empty(),
        ingress_policies: names(&facts.ingress_policies),
        egress_policies: names(&facts.egress_policies),
        mode: mode.into(),
        policy_revision: facts.revision.into(),
        policy_set: facts.policy_set,
        ..v1::Endpoint::default()
    }
}

fn names(policies: &[PolicyRef]) -> Vec<String> {
    policies.iter().map(|policy| policy.name.name.clone()).collect()
}

fn attachments(state: &AttachState) -> (v1::Attachment, v1::Attachment) {
    let both = |attachment: v1::Attachment| (attachment.clone(), attachment);
    match state {
        AttachState::Pending => {
            both(v1::Attachment { attach_error: "not attached yet".into(), ..Default::default() })
        }
        AttachState::Failed(error) => {
            both(v1::Attachment { attach_error: error.clone(), ..Default::default() })
        }
        AttachState::Attached { hook, ingress_first, egress_first } => {
            let attachment = |first_in_order| v1::Attachment {
                kind: kind(*hook).into(),
                attach_error: String::new(),
                first_in_order,
            };
            (attachment(*ingress_first), attachment(*egress_first))
        }
    }
}

/// The pods that are said to be on this node, to share its network, or seem to be here, and are not seen.
fn unseen(facts: &Facts) -> Vec<v1::UnseenPod> {
    let directory = &facts.directory;
    let here = |entry: &PodEntry| *entry.pod.node == *directory.node_name;
    let mut unseen: Vec<v1::UnseenPod> = directory
        .pods
        .values()
        .filter(|entry| here(entry) && entry.flow_endpoint.id == 0)
        .map(|entry| {
            let (reason, detail) = if entry.pod.host_network {
                (v1::UnseenReason::HostNetwork, "it shares the node's network".to_owned())
            } else if entry.pod.addresses.is_empty() {
                (v1::UnseenReason::NoAddress, "it has no address".to_owned())
            } else {
                let addresses: Vec<String> = entry.pod.addresses.iter().map(ToString::to_string).collect();
                (v1::UnseenReason::NoVeth, format!("no veth of this node leads to {}", addresses.join(", ")))
            };
            unseen_pod(&entry.pod.name, reason, detail)
        })
        .collect();
    unseen.extend(facts.contested.iter().map(|(pod, address, owner)| {
        unseen_pod(pod, v1::UnseenReason::Ambiguous, format!("{address} is also claimed by {owner}"))
    }));
    for (ifindex, endpoint) in &*facts.endpoints {
        let AttachState::Failed(error) = &endpoint.attach else { continue };
        if let Some(entry) = directory.endpoints.get(ifindex).and_then(|local| local.pod.as_ref()) {
            unseen.push(unseen_pod(&entry.pod.name, v1::UnseenReason::NotAttached, error.clone()));
        }
    }
    unseen.extend(directory.misplaced().map(|(endpoint, entry)| {
        let (node, ours, interface) = (&entry.pod.node, &directory.node_name, &endpoint.interface);
        let detail = format!(
            "it is said to run on node {node}, and {interface} of this node, {ours}, has its address (--node-name)"
        );
        unseen_pod(&entry.pod.name, v1::UnseenReason::OtherNode, detail)
    }));
    unseen.sort_by(|a, b| (&a.namespace, &a.pod_name).cmp(&(&b.namespace, &b.pod_name)));
    unseen
}

fn unseen_pod(pod: &ObjectName, reason: v1::UnseenReason, detail: String) -> v1::UnseenPod {
    v1::UnseenPod {
        namespace: pod.namespace.clone(),
        pod_name: pod.name.clone(),
        reason: reason.into(),
        detail,
    }
}
