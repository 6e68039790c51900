//! What the compiled table says of a service's port is what the oracle says of the pods behind it, and what explanations
//! say of the address.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_model::world::World;
use palomar_policy::explain::{
    End, Index as Explained, Masquerade, PathExplanation, Question, Standing, Verdict, explain,
};
use palomar_policy::service::{Leads, targets};
use palomar_policy::{
    Backend, Backends, CompiledSet, Decision, Entry, PeerKey, PortPrefix, Scope, Traffic, compile,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::explain::world;
use super::forms::forms;
use super::generate::cluster;
use super::{Peer, Prepared, WORLD, compile_for};

/// A number that a pod's identity may have as well.
const NUMBER: u32 = 300;
const PORT: u16 = 8_000;

/// One backend: which peer, its port, whether it is local.
fn backend() -> impl Strategy<Value = (Index, u16, bool)> {
    (any::<Index>(), select(vec![1, 79, 80, 81, 1024, 65_535]), any::<bool>())
}

/// What the kernel says of a connection to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Allowed,
    Denied,
    /// It is judged where it is delivered.
    Later,
}

/// The kernel's look-up for a service: its own entry; without one, a rule for anybody on every port.
fn judged(table: &CompiledSet, port: (Protocol, u16)) -> Judged {
    if !table.isolated_egress {
        return Judged::Allowed;
    }
    let scope = Scope::Ports(port.0, PortPrefix::new(port.1, 16));
    let finds = |peer: PeerKey, entry: &&Entry| {
        entry.peer == peer && entry.direction == Direction::Egress && entry.scope.covers(scope)
    };
    let anybody = |entry: &&Entry| finds(PeerKey::Any, entry) && !matches!(entry.scope, Scope::Ports(..));
    match table.entries.iter().find(|entry| finds(PeerKey::Service(NUMBER), entry)) {
        Some(entry) if entry.later => Judged::Later,
        Some(_) => Judged::Allowed,
        None if table.entries.iter().any(|entry| anybody(&entry)) => Judged::Allowed,
        None => Judged::Denied,
    }
}

/// The node of the pod that has an address.
fn node_of(world: &World, address: IpAddr) -> Option<&str> {
    let pod = world.pods.values().find(|pod| pod.addresses.contains(&address))?;
    Some(&pod.node)
}

/// The backends of a port as a node knows them.
fn behind(
    prepared: &Prepared,
    world: &World,
    node: &str,
    leads: &Leads,
    masquerade: Masquerade,
) -> BTreeSet<Backend> {
    let backends = leads.backends.iter().map(|(address, port)| {
        let pod = prepared.cluster.pods.iter().find(|pod| pod.addresses.contains(address));
        let shows = leads.keeps_source && masquerade == Masquerade::FromOutside;
        Backend {
            identity: pod.map_or(WORLD, |pod| pod.identity),
            class: prepared.classes.class_of(*address),
            port: *port,
            is_local: shows && node_of(world, *address) == Some(node),
        }
    });
    backends.collect()
}

proptest! {
    #[test]
    fn explanations_say_of_a_services_address_what_the_compiled_table_does(
        cluster in cluster(), forms in forms(), masquerade in select(vec![Masquerade::FromOutside, Masquerade::All]),
    ) {
        let mut world = world(&cluster, &[]);
        forms.apply(&mut world);
        let index = Explained::new(&world).masquerading(masquerade);
        let nodes = cluster.pods.iter().filter_map(|pod| Some((pod, node_of(&world, pod.addresses[0])?)));
        for (pod, node) in nodes {
            let leads = targets(&world, node).into_iter().flat_map(|(address, ports)| {
                ports.into_iter().map(move |(port, leads)| (address, port, leads))
            });
            for (address, port, leads) in leads {
                let mut prepared = Prepared::new(cluster.clone());
                let backends = behind(&prepared, &world, node, &leads, masquerade);
                let shows = backends.iter().all(|backend| backend.is_local);
                let ports = [(port, backends)].into_iter().collect();
                prepared.universe.add_service(NUMBER, Arc::new(Backends { ports }));
                let table = compile(&prepared.select(pod.labels.subject()), &prepared.universe);
                let own = pod.addresses[usize::from(address.is_ipv6())];
                let question = Question {
                    from: End::Address(own), to: End::Address(address), protocol: port.0, port: Some(port.1),
                };
                let explanation = explain(&index, &question);
                // of several services that claim the address one has nobody, or it is not known whom
                let nobody = |path: &PathExplanation<'_>| matches!(path.path.to.standing, Standing::Service(_));
                if explanation.paths.is_empty() || explanation.paths.len() > 1 && explanation.paths.iter().any(nobody) {
                    continue;
                }
                let egress: Vec<Verdict> =
                    explanation.paths.iter().map(|path| path.egress.answer.verdict).collect();
                let kernel = judged(&table, port);
                match explanation.answer.egress.verdict {
                    Verdict::Allowed => prop_assert!(
                        kernel == Judged::Allowed || kernel == Judged::Later && !egress.contains(&Verdict::Denied),
                        "{:?} {:?}", kernel, question
                    ),
                    Verdict::Denied => prop_assert!(
                        kernel == Judged::Denied || kernel == Judged::Later && !egress.contains(&Verdict::Allowed),
                        "{:?} {:?}", kernel, question
                    ),
                    // which of them it is shows at its own interface, or it is closed for the want of that
                    Verdict::Undecidable => {
                        prop_assert!(leads.keeps_source && masquerade == Masquerade::FromOutside, "{:?}", question);
                        prop_assert!(kernel == Judged::Later || !shows && kernel == Judged::Denied, "{:?}", question);
                    }
                }
            }
        }
    }

    #[test]
    fn a_service_is_allowed_where_the_oracle_allows_all_of_its_backends(
        cluster in cluster(), endpoint: Index, chosen in vec(backend(), 0..4), protocol in select(vec![Protocol::Tcp, Protocol::Udp]),
    ) {
        let mut prepared = Prepared::new(cluster);
        let pods: Vec<(u32, IpAddr)> =
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
