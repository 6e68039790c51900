//! What the compiled table says of a service's port is what the oracle says of the pods behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_policy::{
    Backend, Backends, Decision, Entry, PeerKey, PortPrefix, Scope, Traffic, compile, compile_for,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::generate::cluster;
use super::{Peer, Prepared};

/// A number that a pod's identity may have as well.
const NUMBER: u32 = 300;
const PORT: u16 = 8_000;

/// One backend: which peer, its port, whether it is local.
fn backend() -> impl Strategy<Value = (Index, u16, bool)> {
    (any::<Index>(), select(vec![1, 79, 80, 81, 1024, 65_535]), any::<bool>())
}

proptest! {
    #[test]
    fn a_service_is_allowed_where_the_oracle_allows_all_of_its_backends(
        cluster in cluster(), endpoint: Index, chosen in vec(backend(), 0..4), protocol in select(vec![Protocol::Tcp, Protocol::Udp]),
    ) {
        let mut prepared = Prepared::new(cluster);
        let pods: Vec<(u32, std::net::IpAddr)> =
            prepared.cluster.pods.iter().flat_map(|pod| pod.addresses.map(|own| (pod.identity, own))).collect();
        let chosen: Vec<_> = chosen.iter().map(|(at, port, local)| (*at.get(&pods), *port, *local)).collect();
        let backends: BTreeSet<Backend> = chosen
            .iter()
            .map(|((identity, address), port, is_local)| Backend {
                identity: *identity, class: prepared.classes.class_of(*address), port: *port, is_local: *is_local,
            })
            .collect();
        let ports = [((protocol, PORT), backends)].into_iter().collect();
        prepared.universe.add_service(NUMBER, Arc::new(Backends { ports }));
        let endpoint = *endpoint.get(&prepared.endpoints().collect::<Vec<_>>());
        let set = prepared.select(endpoint);

        let decisions = chosen.iter().map(|((identity, address), port, is_local)| {
            let pod = prepared.cluster.pods.iter().find(|pod| pod.identity == *identity);
            let traffic = Traffic { direction: Direction::Egress, protocol, port: Some(*port) };
            (prepared.naive(endpoint, Peer { pod, address: *address }, traffic), *is_local)
        });
        let decisions: Vec<_> = decisions.collect();
        // a pod that every policy of the set selects may be the one that connects, and may do so
        let may_be_own = |identity: u32| {
            let pod = prepared.cluster.pods.iter().find(|pod| pod.identity == identity).expect("a pod of the cluster");
            let of_pod = prepared.select(pod.labels.subject());
            set.iter().all(|policy| of_pod.iter().any(|own| own.name == policy.name))
        };
        let is_denied = |decision: &Decision, local: bool| !decision.passes() && local;
        let to_itself = chosen.iter().zip(&decisions).any(|(((identity, _), ..), (decision, local))| {
            is_denied(decision, *local) && may_be_own(*identity)
        });
        let rules: BTreeSet<_> =
            decisions.iter().flat_map(|(decision, _)| decision.rules().to_vec()).collect();
        let denied_elsewhere = decisions.iter().any(|(decision, local)| !decision.passes() && !local);
        let expected = (set.isolates(Direction::Egress) && (to_itself || !rules.is_empty()) && !denied_elsewhere).then(|| Entry {
            peer: PeerKey::Service(NUMBER),
            direction: Direction::Egress,
            scope: Scope::Ports(protocol, PortPrefix::new(PORT, 16)),
            rules: palomar_policy::RuleSet::new(rules.into_iter().collect()),
            later: decisions.iter().any(|(decision, _)| !decision.passes()),
        });
        prop_assert!(set.isolates(Direction::Egress) || decisions.iter().all(|(d, _)| *d == Decision::NotIsolated));
        let whole = compile(&set, &prepared.universe).entries;
        let found: Vec<_> = whole.iter().filter(|entry| matches!(entry.peer, PeerKey::Service(_))).cloned().collect();
        let is_itself = |identity: u32| {
            let pod = prepared.cluster.pods.iter().find(|pod| pod.identity == identity).expect("a pod of the cluster");
            pod.labels.subject() == endpoint
        };
        let mut each = chosen.iter().zip(&decisions);
        let may_connect = each.all(|(((identity, _), ..), (decision, local))| {
            decision.passes() || *local && is_itself(*identity)
        });
        if set.isolates(Direction::Egress) && may_connect && !chosen.is_empty() {
            prop_assert_eq!(found.len(), 1, "whether it is another or the pod itself that answers");
        }
        prop_assert_eq!(&found, &expected.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(compile_for(&set, &prepared.universe, &[PeerKey::Service(NUMBER)]), found);
    }
}
