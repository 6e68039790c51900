//! What the tables of the fake kernel mean, whichever numbers an enforcer gave.

use palomar_policy::{Backends, CidrClass, PeerKey, RuleSet};

use super::*;

/// A backend of a service: identity, class, port, and whether it is local.
type Backend = (u32, Option<CidrClass>, u16, bool);
/// What stands behind a service's ports.
type Behind = Vec<((Protocol, u16), BTreeSet<Backend>)>;

/// Of whom a rule speaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Identity(u32),
    Class(CidrClass),
    Service(Behind),
    Unknown(u32),
}

/// Key, identity, class or service, endpoint and flags of an address.
type AddressMeant = ([u8; 16], u32, Option<Whom>, u32, u32);
/// Interface, key, whom it speaks of, whether it is judged later, and the rules that allow.
type RuleMeant = (u32, RuleKey, Whom, bool, Option<RuleSet>);

/// The tables without the numbers of sets, rule sets, classes and services.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meant {
    addresses: Vec<AddressMeant>,
    cidrs: Vec<(CidrKey, Option<Whom>)>,
    node_ports: Vec<(NodePort, Whom)>,
    endpoints: Vec<(u32, u8, u32, u32)>,
    /// Of each endpoint, in an order of their own.
    rules: Vec<RuleMeant>,
    sets: usize,
}

/// Reads the tables that an enforcer wrote.
pub(super) struct Reader<'e>(pub(super) &'e Enforcer<Fake>);

impl Reader<'_> {
    pub(super) fn read(&self, kernel: &Kernel) -> Meant {
        let addresses = kernel.addresses.iter().map(|(key, address)| {
            let is_service = address.flags & abi::ADDRESS_SERVICE != 0;
            let number = address.class;
            let class = if is_service { Some(self.service(number)) } else { self.class(number) };
            (*key, address.identity, class, address.endpoint, address.flags)
        });
        let endpoints = kernel.endpoints.iter();
        Meant {
            addresses: addresses.collect(),
            cidrs: kernel.cidrs.iter().map(|(key, class)| (*key, self.class(*class))).collect(),
            node_ports: kernel.node_ports.iter().map(|(port, to)| (*port, self.service(*to))).collect(),
            endpoints: endpoints
                .map(|(ifindex, own)| (*ifindex, own.policy.flags(), own.id, own.identity))
                .collect(),
            rules: kernel.endpoints.keys().flat_map(|ifindex| self.rules(kernel, *ifindex)).collect(),
            sets: kernel.rules.keys().map(|key| key.set).collect::<BTreeSet<_>>().len(),
        }
    }

    fn rules(&self, kernel: &Kernel, ifindex: u32) -> Vec<RuleMeant> {
        let set = kernel.endpoints[&ifindex].policy.set();
        let rule_set = |rule: &Rule| self.0.sets.rule_sets().get(rule.rule_set).cloned();
        let rules = kernel.rules.iter().filter(|(key, _)| key.set == set);
        let mut rules: Vec<_> = rules
            .map(|(key, rule)| {
                let is_later = rule.rule_set == abi::RULES_LATER;
                let key_meant = RuleKey { set: 0, peer: 0, ..*key };
                (ifindex, key_meant, self.whom(key), is_later, rule_set(rule))
            })
            .collect();
        rules.sort_by_key(|rule| format!("{rule:?}"));
        rules
    }

    fn class(&self, number: u32) -> Option<Whom> {
        let class =
            || self.0.classes().get(number).map_or(Whom::Unknown(number), |class| Whom::Class(class.clone()));
        (number != 0).then(class)
    }

    fn service(&self, number: u32) -> Whom {
        let backends = self.0.meanings.universe().services().get(&number);
        backends.map_or(Whom::Unknown(number), |backends| Whom::Service(self.behind(backends)))
    }

    fn behind(&self, backends: &Backends) -> Behind {
        let backend = |backend: &palomar_policy::Backend| {
            let class = self.0.classes().get(backend.class).cloned();
            (backend.identity, class, backend.port, backend.is_local)
        };
        let ports = backends.ports.iter();
        ports.map(|(port, backends)| (*port, backends.iter().map(backend).collect())).collect()
    }

    fn whom(&self, key: &RuleKey) -> Whom {
        match key.peer {
            number if key.direction == PeerKey::SERVICE_DIRECTION => self.service(number),
            number if number & abi::PEER_CLASS != 0 => self.class(number & !abi::PEER_CLASS).unwrap(),
            number => Whom::Identity(number),
        }
    }
}
