//! What the API tells beside flows: the node, its endpoints, identities.

use std::sync::Arc;

use arc_swap::ArcSwap;
use palomar_agent::directory::{Directory, PodEntry};
use palomar_agent::server::AgentFacts;
use palomar_flow::convert::NodeContext;
use palomar_model::attribution::PolicyRef;
use palomar_model::flow::FlowEndpoint;
use palomar_model::object::ObjectName;
use palomar_model::world;
use palomar_proto::palomar::v1;
use palomar_sample::{Cluster, Pod};

use super::file::{FlowFile, Kept};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a server needs to know beside its flows.
pub struct Known {
    pub node: Arc<NodeContext>,
    pub directory: Arc<ArcSwap<Directory>>,
    pub facts: Arc<dyn AgentFacts>,
}

/// Answers for a node without a kernel.
struct NoKernel {
    node_name: String,
    endpoints: Vec<v1::Endpoint>,
}

/// The node from which a sample is seen.
pub fn of_cluster(cluster: &Cluster) -> Known {
    let (name, node) = (Cluster::NAME, Cluster::NODE);
    let mut directory = Directory::empty(Arc::from(node), Arc::from(name));
    let outside = cluster.outside().iter().chain([cluster.host()]).map(|outside| &outside.endpoint);
    for end in cluster.pods().iter().map(|pod| &pod.endpoint).chain(outside) {
        // the numbers shown stand in for those of the kernel, which is not here
        directory.identities.insert(end.identity.0, (end.identity, end.labels.clone()));
    }
    for pod in cluster.pods() {
        let Some(name) = &pod.endpoint.pod else { continue };
        directory.pods.insert(name.clone(), Arc::new(entry(pod, name)));
    }
    let mut endpoints: Vec<_> = cluster.pods().iter().filter_map(endpoint).collect();
    endpoints.sort_by(|a, b| (&a.namespace, &a.pod_name).cmp(&(&b.namespace, &b.pod_name)));
    Known {
        node: Arc::new(NodeContext::new(node, name, &Cluster::node_labels(), VERSION)),
        directory: Arc::new(ArcSwap::from_pointee(directory)),
        facts: Arc::new(NoKernel { node_name: node.to_owned(), endpoints }),
    }
}

/// The node that a file's flows name. Of its endpoints it is only known what flows tell: their identities.
pub fn of_file(file: &FlowFile) -> Known {
    let (cluster, node) = file.node.name().split_once('/').unwrap_or(("default", file.node.name()));
    let mut directory = Directory::empty(Arc::from(node), Arc::from(cluster));
    for Kept { flow, rest: _ } in &file.flows {
        for end in [&flow.source, &flow.destination] {
            if !directory.identities.contains_key(&end.identity.0) {
                directory.identities.insert(end.identity.0, (end.identity, end.labels.clone()));
            }
        }
    }
    Known {
        facts: Arc::new(NoKernel { node_name: node.to_owned(), endpoints: Vec::new() }),
        node: Arc::new(file.node.clone()),
        directory: Arc::new(ArcSwap::from_pointee(directory)),
    }
}

fn entry(pod: &Pod, name: &ObjectName) -> PodEntry {
    let Pod { endpoint, addresses, .. } = pod;
    PodEntry {
        pod: Arc::new(world::Pod {
            node: if pod.is_local() { Cluster::NODE.to_owned() } else { String::new() },
            addresses: addresses.to_vec(),
            workload: endpoint.workload.clone(),
            ..world::Pod::new(name.clone())
        }),
        internal_identity: endpoint.identity.0,
        flow_endpoint: Arc::clone(endpoint),
    }
}

/// `None` for a pod of another node.
fn endpoint(pod: &Pod) -> Option<v1::Endpoint> {
    let (ifindex, interface) = pod.interface.as_ref()?;
    let FlowEndpoint { id, identity, labels, pod: name, workload: _, cluster: _ } = &*pod.endpoint;
    let ObjectName { namespace, name } = name.clone()?;
    let isolating = pod.isolating.iter().filter(|_| pod.isolated);
    let isolating: Vec<String> = isolating.map(|PolicyRef { name, .. }| name.name.clone()).collect();
    let unseen = || {
        let attach_error = "the load server has no kernel programs".to_owned();
        Some(v1::Attachment { attach_error, ..v1::Attachment::default() })
    };
    Some(v1::Endpoint {
        id: *id,
        is_pod: true,
        namespace,
        pod_name: name,
        identity: identity.0,
        labels: labels.to_strings(),
        addresses: pod.addresses.iter().map(ToString::to_string).collect(),
        ifindex: *ifindex,
        interface: interface.to_string(),
        ingress: unseen(),
        egress: unseen(),
        ingress_isolated: pod.isolated,
        egress_isolated: pod.isolated,
        ingress_policies: isolating.clone(),
        egress_policies: isolating,
        mode: v1::PolicyMode::Enforce.into(),
        policy_revision: 0,
        policy_set: 0,
        // nothing judges here
        ingress_verdicts: None,
        egress_verdicts: None,
    })
}

impl AgentFacts for NoKernel {
    fn agent_status(&self) -> v1::GetAgentStatusResponse {
        v1::GetAgentStatusResponse {
            instance: "palomar-lab flows".to_owned(),
            node_name: self.node_name.clone(),
            version: VERSION.to_owned(),
            mode: v1::PolicyMode::Enforce.into(),
            cluster_source: v1::ClusterSource::None.into(),
            endpoints: u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX),
            ..v1::GetAgentStatusResponse::default()
        }
    }

    fn endpoints(&self) -> v1::ListEndpointsResponse {
        v1::ListEndpointsResponse {
            endpoints: self.endpoints.clone(),
            ..v1::ListEndpointsResponse::default()
        }
    }
}
