//! Policies → the entries of the kernel's `rules` map.
//!
//! The kernel takes the longest prefix of a peer's key, so each entry holds the rules of every less specific entry
//! of that peer as well. It asks the key of any peer only if the identity's key finds nothing, so an identity's
//! entries also hold the rules for any peer; and where a rule for any peer is more specific than one of the
//! identity's, the identity gets an entry of that scope too. Classes are asked in any case and stay by themselves.
//!
//! A named port is what the pod that is connected to calls so. For ingress that is the endpoint, whose ports the set
//! knows; for egress it is the peer, and a rule for any peer that names a port becomes entries of each identity that has it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use foldhash::{HashMap, HashMapExt as _};
use palomar_model::attribution::RuleRef;
use palomar_model::netpol::{NetworkPolicy, Peer, Ports, Rule};
use palomar_model::ports::{NamedPort, NamedPorts};
use palomar_model::verdict::Direction;

use crate::compiled::{CompiledSet, Entry, PeerKey};
use crate::decide::selects;
use crate::rule_sets::RuleSet;
use crate::scope::Scope;
use crate::service::ByPeer;
use crate::set::PolicySet;
use crate::universe::Universe;

/// Of so few identities it is quicker to ask each than to remember the answer.
const FEW: usize = 4;

/// Compiles sets for one universe. What it learns about a peer of a rule serves every set, so compile all sets of a
/// version with one compiler.
#[derive(Debug)]
pub struct Compiler<'u> {
    universe: &'u Universe,
    /// Peers of rules that were met, with the policy's namespace where the peer names none itself.
    identities_of_peer: HashMap<(Option<&'u str>, &'u Peer), Rc<[u32]>>,
}

/// Compiles one set; see [`Compiler`] for many.
pub fn compile(set: &PolicySet, universe: &Universe) -> CompiledSet {
    Compiler::new(universe).compile(set)
}

/// What is to be compiled of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Everything,
    /// What there is for the peers of the universe, and no more of what there is for any peer than that needs.
    Peers,
}

/// Rules by their index in [`Rules::list`], ascending.
type Indexes = Vec<u32>;
/// Which rules speak of which scope.
type Scopes = BTreeMap<Scope, BTreeSet<u32>>;

/// The rules of one direction of a set.
struct Rules<'s> {
    direction: Direction,
    /// With the policy, and the rule's index in it; ascending as [`RuleRef`]s are.
    list: Vec<(&'s NetworkPolicy, u32, &'s Rule)>,
    /// Of each rule, without the names that are the peer's to explain; made when they are asked for.
    scopes: Vec<OnceCell<Vec<Scope>>>,
    /// What the set's own pods mean by the names of ports, which is for ingress alone.
    named: &'s NamedPorts,
    /// The rules whose named ports are the peer's to explain; empty for ingress.
    naming: BTreeSet<u32>,
    /// Sets of rules that have been made.
    made: HashMap<Indexes, RuleSet>,
}

// === impl Compiler ===

impl<'u> Compiler<'u> {
    /// A compiler for this universe.
    pub fn new(universe: &'u Universe) -> Self {
        Self { universe, identities_of_peer: HashMap::new() }
    }

    /// The table of a set.
    pub fn compile(&mut self, set: &'u PolicySet) -> CompiledSet {
        CompiledSet {
            isolated_ingress: set.isolates(Direction::Ingress),
            isolated_egress: set.isolates(Direction::Egress),
            entries: self.entries(set, Part::Everything),
        }
    }

    /// The entries that [`Self::compile`] gives to the peers of the universe; perhaps more, but not all there are for any
    /// peer. Cheap where few rules reach one of them.
    pub fn compile_peers(&mut self, set: &'u PolicySet) -> Vec<Entry> {
        self.entries(set, Part::Peers)
    }

    fn entries(&mut self, set: &'u PolicySet, part: Part) -> Vec<Entry> {
        let mut entries = Vec::new();
        for direction in Direction::BOTH {
            // what a service comes to is made from the entries for any peer as well
            let asks_any = direction == Direction::Egress && !self.universe.services().is_empty();
            let part = if asks_any { Part::Everything } else { part };
            self.compile_direction(&mut Rules::of(set, direction), part, &mut entries);
        }
        if set.isolates(Direction::Egress) {
            entries.extend(self.services(set, &entries));
        }
        entries.sort_by_key(|entry| (entry.peer, entry.direction, entry.scope));
        entries
    }

    /// The entries of services, made from those of their backends.
    fn services(&self, set: &PolicySet, entries: &[Entry]) -> Vec<Entry> {
        let universe = self.universe;
        if universe.services().is_empty() {
            return Vec::new();
        }
        let by_peer = ByPeer::of_egress(entries);
        // pods that policies beyond these select have another set; not to know which is on the safe side
        let may_be_own = |identity: u32| {
            let pods = universe.identities().get(&identity);
            pods.is_some_and(|pods| set.iter().all(|policy| selects(policy, pods.subject())))
        };
        // the others have nobody behind them who is allowed
        let mut numbers: BTreeSet<u32> =
            by_peer.peers().flat_map(|peer| universe.services_before(peer)).collect();
        numbers.extend(universe.services_to(|protocol, port| by_peer.allows_any(protocol, port)));
        numbers.extend(universe.services_to_local(may_be_own));
        let services = numbers.iter().filter_map(|number| Some((number, universe.services().get(number)?)));
        let entries = services.flat_map(|(number, backends)| backends.entries(*number, &by_peer, may_be_own));
        entries.collect()
    }

    fn compile_direction(&mut self, rules: &mut Rules<'u>, part: Part, entries: &mut Vec<Entry>) {
        let (for_any, mut by_peer) = self.rules_by_peer(rules);
        for identity in self.named_by_rules_for_any(rules, &for_any) {
            by_peer.entry(PeerKey::Identity(identity)).or_default();
        }
        if part == Part::Peers && by_peer.is_empty() {
            return;
        }
        let any = rules.scopes_of(&for_any, &NamedPorts::default());
        let none = Scopes::new();

        // Peers that the same rules reach, and that mean the same ports, have the same entries.
        let mut reached_by: BTreeMap<(bool, NamedPorts, Indexes), Vec<PeerKey>> = BTreeMap::new();
        for (peer, indexes) in by_peer {
            let is_class = matches!(peer, PeerKey::Class(_));
            let named = rules.asked_of(self.named_ports(peer));
            reached_by.entry((is_class, named, indexes)).or_default().push(peer);
        }
        rules.entries(&any, &none, &[PeerKey::Any], entries);
        for ((is_class, named, indexes), peers) in reached_by {
            let mut own = rules.scopes_of(&indexes, &named);
            if is_class {
                rules.entries(&own, &none, &peers, entries);
            } else {
                rules.add_names_of(&for_any, &named, &mut own);
                rules.entries(&own, &any, &peers, entries);
            }
        }
    }

    /// What the pods behind a peer call their ports.
    fn named_ports(&self, peer: PeerKey) -> Option<&'u NamedPorts> {
        match peer {
            PeerKey::Any | PeerKey::Service(_) => None,
            PeerKey::Identity(number) => Some(&self.universe.identities().get(&number)?.named_ports),
            PeerKey::Class(number) => Some(&self.universe.classes().get(&number)?.named_ports),
        }
    }

    /// The identities that have a port which a rule for any peer names.
    fn named_by_rules_for_any(&self, rules: &Rules<'_>, for_any: &[u32]) -> Vec<u32> {
        let naming: Vec<&Rule> = for_any
            .iter()
            .filter(|index| rules.naming.contains(index))
            .map(|index| rules.list[at(*index)].2)
            .collect();
        if naming.is_empty() {
            return Vec::new();
        }
        let is_asked = |port: &NamedPort| naming.iter().any(|rule| asks_for(rule, port));
        let identities = self.universe.identities().iter();
        let having = identities.filter(|(_, labels)| labels.named_ports.iter().any(is_asked));
        having.map(|(number, _)| *number).collect()
    }

    /// The rules for every peer, and those that reach each identity and class in particular.
    fn rules_by_peer(&mut self, rules: &Rules<'u>) -> (Indexes, BTreeMap<PeerKey, Indexes>) {
        let mut any = Indexes::new();
        let mut by_peer: BTreeMap<PeerKey, Indexes> = BTreeMap::new();
        for (index, (policy, _, rule)) in (0..).zip(&rules.list) {
            if rule.peers.is_empty() {
                any.push(index);
            }
            for peer in &rule.peers {
                for key in self.keys_of(peer, &policy.name.namespace) {
                    let indexes = by_peer.entry(key).or_default();
                    if indexes.last() != Some(&index) {
                        indexes.push(index);
                    }
                }
            }
        }
        (any, by_peer)
    }

    /// The keys of everyone that a peer of a rule reaches.
    fn keys_of(&mut self, peer: &'u Peer, own_namespace: &'u str) -> Vec<PeerKey> {
        match peer {
            Peer::Block(block) => self.universe.classes_in(block).map(PeerKey::Class).collect(),
            Peer::Pods { namespaces, pods: _ } => {
                let within = if namespaces.is_some() { None } else { Some(own_namespace) };
                if self.universe.identities().len() <= FEW {
                    return self.select(peer, within).into_iter().map(PeerKey::Identity).collect();
                }
                self.identities_of(peer, within).iter().copied().map(PeerKey::Identity).collect()
            }
        }
    }

    /// The identities that a peer with selectors selects; `within` the policy's namespace if it names none itself.
    fn identities_of(&mut self, peer: &'u Peer, within: Option<&'u str>) -> Rc<[u32]> {
        if let Some(known) = self.identities_of_peer.get(&(within, peer)) {
            return Rc::clone(known);
        }
        let found: Rc<[u32]> = self.select(peer, within).into();
        self.identities_of_peer.insert((within, peer), Rc::clone(&found));
        found
    }

    /// As [`Self::identities_of`], found by asking each.
    fn select(&self, peer: &Peer, within: Option<&str>) -> Vec<u32> {
        let Peer::Pods { namespaces, pods } = peer else { return Vec::new() };
        let universe = self.universe;
        let selected = |number: &u32| {
            let labels = universe.identities().get(number).map(|labels| &labels.pod_labels);
            labels.is_some_and(|labels| pods.as_ref().is_none_or(|selector| selector.matches(labels)))
        };
        match (namespaces, within) {
            (Some(namespaces), _) => universe.identities_of(namespaces).filter(selected).collect(),
            (None, Some(own)) => universe.identities_in(own).filter(selected).collect(),
            (None, None) => Vec::new(),
        }
    }
}

// === impl Rules ===

impl<'s> Rules<'s> {
    fn of(set: &'s PolicySet, direction: Direction) -> Self {
        let rules_of = |policy: &'s NetworkPolicy| {
            let rules = (0..).zip(policy.rules(direction).unwrap_or_default());
            rules.map(move |(index, rule)| (policy, index, rule))
        };
        let list: Vec<_> = set.iter().flat_map(|policy| rules_of(policy)).collect();
        let naming = match direction {
            Direction::Ingress => BTreeSet::new(),
            Direction::Egress => {
                let rules = (0..).zip(&list).filter(|(_, (_, _, rule))| names_ports(rule));
                rules.map(|(index, _)| index).collect()
            }
        };
        let scopes = vec![OnceCell::new(); list.len()];
        Self { direction, list, scopes, named: set.named_ports(), naming, made: HashMap::new() }
    }

    /// The scopes of a rule, without the names that are the peer's to explain.
    fn own_scopes(&self, index: u32) -> &[Scope] {
        self.scopes[at(index)].get_or_init(|| {
            let nobody = NamedPorts::default();
            let named = match self.direction {
                Direction::Ingress => self.named,
                Direction::Egress => &nobody,
            };
            Scope::of_rule(&self.list[at(index)].2.ports, named)
        })
    }

    /// The scopes of these rules for peers that mean these ports.
    fn scopes_of(&self, indexes: &[u32], named: &NamedPorts) -> Scopes {
        let mut scopes = Scopes::new();
        for index in indexes {
            let explained = (!named.is_empty() && self.naming.contains(index))
                .then(|| Scope::of_rule(&self.list[at(*index)].2.ports, named));
            for scope in explained.as_deref().unwrap_or_else(|| self.own_scopes(*index)) {
                scopes.entry(*scope).or_default().insert(*index);
            }
        }
        scopes
    }

    /// Adds what the names in these rules mean for peers that mean these ports, beyond what the rules say without.
    fn add_names_of(&self, indexes: &[u32], named: &NamedPorts, scopes: &mut Scopes) {
        if named.is_empty() {
            return;
        }
        for index in indexes.iter().filter(|index| self.naming.contains(index)) {
            for scope in Scope::of_names(&self.list[at(*index)].2.ports, named) {
                scopes.entry(scope).or_default().insert(*index);
            }
        }
    }

    /// Of a peer's named ports, those that these rules ask for.
    fn asked_of(&self, named: Option<&NamedPorts>) -> NamedPorts {
        let Some(named) = named.filter(|_| !self.naming.is_empty()) else { return NamedPorts::default() };
        named.only(|port| self.naming.iter().any(|index| asks_for(self.list[at(*index)].2, port)))
    }

    /// Adds the entries of `peers`: the scopes of the rules in `own`, and of those in `any` where they are finer.
    fn entries(&mut self, own: &Scopes, any: &Scopes, peers: &[PeerKey], entries: &mut Vec<Entry>) {
        let finer = any.keys().filter(|scope| scope.covering().any(|covering| own.contains_key(&covering)));
        let scopes: BTreeSet<Scope> = own.keys().chain(finer).copied().collect();
        for scope in scopes {
            let indexes: BTreeSet<u32> = scope
                .covering()
                .flat_map(|covering| [own.get(&covering), any.get(&covering)])
                .flatten()
                .flatten()
                .copied()
                .collect();
            let rules = self.rule_set(indexes.into_iter().collect());
            for peer in peers {
                entries.push(Entry {
                    peer: *peer,
                    direction: self.direction,
                    scope,
                    rules: rules.clone(),
                    later: false,
                });
            }
        }
    }

    fn rule_set(&mut self, indexes: Indexes) -> RuleSet {
        if let Some(made) = self.made.get(&indexes) {
            return made.clone();
        }
        let refer = |index: &u32| {
            let (policy, index, _) = self.list[at(*index)];
            RuleRef { policy: policy.name.clone(), direction: self.direction, index }
        };
        let made = RuleSet::new(indexes.iter().map(refer).collect());
        self.made.insert(indexes, made.clone());
        made
    }
}

fn names_ports(rule: &Rule) -> bool {
    rule.ports.iter().any(|ports| matches!(ports.ports, Ports::Named(_)))
}

fn asks_for(rule: &Rule, port: &NamedPort) -> bool {
    rule.ports.iter().any(|ports| ports.asks_for(port))
}

fn at(index: u32) -> usize {
    usize::try_from(index).expect("invariant: a usize holds at least 32 bits")
}
