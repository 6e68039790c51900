//! Who is who + policies → what the kernel is to hold.

use std::collections::{BTreeMap, BTreeSet};

use palomar_bpf::abi::{IDENTITY_HOST, IDENTITY_UNMANAGED};
use palomar_model::identity::Identity;
use palomar_model::verdict::Direction;
use palomar_policy::{IdentityLabels, PolicySet, cidr, select, service};

use crate::directory::{Directory, LocalEndpoint};
use crate::enforce::{Desired, DesiredAddress, DesiredEndpoint};

/// Where denied packets are dropped while the mode is enforce.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnforceScope {
    /// Only in these namespaces; empty: in all.
    pub namespaces: BTreeSet<String>,
}

impl EnforceScope {
    /// Whether pods of this namespace are enforced.
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.contains(namespace)
    }
}

/// What the kernel is to hold for this directory. `identities` are the labels behind every internal identity.
pub fn wanted(
    directory: &Directory,
    identities: BTreeMap<u32, IdentityLabels>,
    scope: &EnforceScope,
) -> Desired {
    let policies = || directory.world.policies.values().map(AsRef::as_ref);
    let endpoints: BTreeMap<_, _> = directory
        .endpoints
        .iter()
        .map(|(ifindex, endpoint)| (*ifindex, wanted_endpoint(directory, endpoint, scope)))
        .collect();
    // nobody else asks what a service's address means
    let asks = endpoints.values().any(|endpoint| endpoint.policies.isolates(Direction::Egress));
    Desired {
        endpoints,
        services: if asks { service::targets(&directory.world) } else { BTreeMap::new() },
        node_ports: if asks {
            [true, false].map(|is_ipv4| service::node_ports(&directory.world, is_ipv4))
        } else {
            Default::default()
        },
        addresses: wanted_addresses(directory),
        identities,
        blocks: cidr::blocks_of(policies()).into_iter().cloned().collect(),
        port_names: cidr::port_names_in_blocks(policies()),
    }
}

fn wanted_endpoint(directory: &Directory, endpoint: &LocalEndpoint, scope: &EnforceScope) -> DesiredEndpoint {
    match &endpoint.pod {
        Some(entry) => DesiredEndpoint {
            id: endpoint.id,
            identity: entry.internal_identity,
            policies: select(&directory.world, &entry.pod),
            enforced: scope.covers(&entry.pod.name.namespace),
            check_source: true,
        },
        None => DesiredEndpoint {
            id: endpoint.id,
            identity: IDENTITY_UNMANAGED,
            policies: PolicySet::default(),
            enforced: false,
            check_source: false,
        },
    }
}

/// Later rows win: a remote node's address is least sure, the node's own is certain.
fn wanted_addresses(directory: &Directory) -> BTreeMap<std::net::IpAddr, DesiredAddress> {
    let mut addresses = BTreeMap::new();
    for address in &directory.remote_nodes {
        let identity = Identity::REMOTE_NODE.0;
        addresses.insert(*address, DesiredAddress { identity, endpoint: 0, node: false });
    }
    for endpoint in directory.endpoints.values().filter(|endpoint| endpoint.pod.is_none()) {
        for address in &endpoint.addresses {
            let value = DesiredAddress { identity: IDENTITY_UNMANAGED, endpoint: endpoint.id, node: false };
            addresses.insert(*address, value);
        }
    }
    for (address, entry) in &directory.addresses {
        let identity = entry.internal_identity;
        addresses
            .insert(*address, DesiredAddress { identity, endpoint: entry.flow_endpoint.id, node: false });
    }
    for address in &directory.node_addresses {
        addresses.insert(*address, DesiredAddress { identity: IDENTITY_HOST, endpoint: 0, node: true });
    }
    addresses
}
