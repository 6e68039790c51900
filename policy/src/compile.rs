//! Policies → the entries of the kernel's `rules` map.
//!
//! The kernel takes the longest prefix of a peer's key, so each entry holds the rules of every less specific entry
//! of that peer as well. It asks the key of any peer only if the identity's key finds nothing, so an identity's
//! entries also hold the rules for any peer; and where a rule for any peer is more specific than one of the
//! identity's, the identity gets an entry of that scope too. Classes are asked in any case and stay by themselves.
//!
//! A named port is what the pod that is connected to calls so. For ingress that is the endpoint, whose ports the set
//! knows; for egress it is the peer, and a rule for any peer that names a port becomes entries of each identity that has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use palomar_model::attribution::RuleRef;
use palomar_model::netpol::{IpBlock, Peer, Ports, Rule};
use palomar_model::ports::{NamedPort, NamedPorts};
use palomar_model::verdict::Direction;

use crate::compiled::{CompiledSet, Entry, PeerKey};
use crate::decide::selects;
use crate::rule_sets::RuleSet;
use crate::scope::Scope;
use crate::service::ByPeer;
use crate::set::PolicySet;
use crate::universe::Universe;

/// Compiles sets for one universe. What it learns about a peer of a rule serves every set, so compile all sets of a
/// version with one compiler.
#[derive(Debug)]
pub struct Compiler<'u> {
    universe: &'u Universe,
    by_namespace: HashMap<&'u str, Vec<u32>>,
    classes_of_block: HashMap<&'u IpBlock, Vec<u32>>,
    /// Peers of rules that were met, with the policy's namespace where the peer names none itself.
    identities_of_peer: HashMap<(Option<String>, Peer), Rc<[u32]>>,
}

/// Compiles one set; see [`Compiler`] for many.
pub fn compile(set: &PolicySet, universe: &Universe) -> CompiledSet {
    Compiler::new(universe).compile(set)
}

/// The entries of these peers alone, as [`compile`] gives them for the whole universe: to be added with a new
/// identity or class, or removed with an old one. For many sets, make one [`Compiler`] of [`Universe::only`].
pub fn compile_for(set: &PolicySet, universe: &Universe, peers: &[PeerKey]) -> Vec<Entry> {
    let part = universe.only(peers.iter().copied());
    let mut entries = Compiler::new(&part).compile(set).entries;
    entries.retain(|entry| peers.contains(&entry.peer));
    entries
}

/// Rules by their index in [`Rules::list`], ascending.
type Indexes = Vec<u32>;
/// Which rules speak of which scope.
type Scopes = BTreeMap<Scope, BTreeSet<u32>>;

/// The rules of one direction of a set.
struct Rules<'s> {
    direction: Direction,
    /// With the policy's namespace; ascending by [`RuleRef`].
    list: Vec<(RuleRef, &'s str, &'s Rule)>,
    /// Of each rule, without the names that are the peer's to explain.
    scopes: Vec<Vec<Scope>>,
    /// The rules whose named ports are the peer's to explain; empty for ingress.
    naming: BTreeSet<u32>,
    /// Sets of rules that have been made.
    made: HashMap<Indexes, RuleSet>,
}

// === impl Compiler ===

impl<'u> Compiler<'u> {
    /// A compiler for this universe; work that is in proportion to the universe is done here.
    pub fn new(universe: &'u Universe) -> Self {
        let mut by_namespace: HashMap<&str, Vec<u32>> = HashMap::new();
        for (number, labels) in universe.identities() {
            by_namespace.entry(&labels.namespace).or_default().push(*number);
        }
        let mut classes_of_block: HashMap<&IpBlock, Vec<u32>> = HashMap::new();
        for (number, blocks) in universe.classes() {
            for block in blocks.blocks.iter() {
                classes_of_block.entry(block).or_default().push(*number);
            }
        }
        Self { universe, by_namespace, classes_of_block, identities_of_peer: HashMap::new() }
    }

    /// The table of a set.
    pub fn compile(&mut self, set: &PolicySet) -> CompiledSet {
        let mut entries = Vec::new();
        for direction in Direction::BOTH {
            self.compile_direction(&mut Rules::of(set, direction), &mut entries);
        }
        if set.isolates(Direction::Egress) {
            entries.extend(self.services(set, &entries));
        }
        entries.sort_by_key(|entry| (entry.peer, entry.direction, entry.scope));
        CompiledSet {
            isolated_ingress: set.isolates(Direction::Ingress),
            isolated_egress: set.isolates(Direction::Egress),
            entries,
        }
    }

    /// The entries of services, made from those of their backends.
    fn services(&self, set: &PolicySet, entries: &[Entry]) -> Vec<Entry> {
        let services = self.universe.services();
        if services.is_empty() {
            return Vec::new();
        }
        let by_peer = ByPeer::of_egress(entries);
        // pods that policies beyond these select have another set; not to know which is on the safe side
        let may_be_own = |identity: u32| {
            let pods = self.universe.identities().get(&identity);
            pods.is_some_and(|pods| set.iter().all(|policy| selects(policy, pods.subject())))
        };
        let entries =
            services.iter().flat_map(|(number, backends)| backends.entries(*number, &by_peer, may_be_own));
        entries.collect()
    }

    fn compile_direction(&mut self, rules: &mut Rules<'_>, entries: &mut Vec<Entry>) {
        let (for_any, mut by_peer) = self.rules_by_peer(rules);
        for identity in self.named_by_rules_for_any(rules, &for_any) {
            by_peer.entry(PeerKey::Identity(identity)).or_default();
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
    fn rules_by_peer(&mut self, rules: &Rules<'_>) -> (Indexes, BTreeMap<PeerKey, Indexes>) {
        let mut any = Indexes::new();
        let mut by_peer: BTreeMap<PeerKey, Indexes> = BTreeMap::new();
        for (index, (_, namespace, rule)) in (0..).zip(&rules.list) {
            if rule.peers.is_empty() {
                any.push(index);
            }
            for peer in &rule.peers {
                for key in self.keys_of(peer, namespace) {
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
    fn keys_of(&mut self, peer: &Peer, own_namespace: &str) -> Vec<PeerKey> {
        match peer {
            Peer::Block(block) => {
                let classes = self.classes_of_block.get(block).map_or(&[][..], Vec::as_slice);
                classes.iter().copied().map(PeerKey::Class).collect()
            }
            Peer::Pods { namespaces, pods: _ } => {
                let within = if namespaces.is_some() { None } else { Some(own_namespace) };
                self.identities_of(peer, within).iter().copied().map(PeerKey::Identity).collect()
            }
        }
    }

    /// The identities that a peer with selectors selects; `within` the policy's namespace if it names none itself.
    fn identities_of(&mut self, peer: &Peer, within: Option<&str>) -> Rc<[u32]> {
        let key = (within.map(str::to_owned), peer.clone());
        if let Some(known) = self.identities_of_peer.get(&key) {
            return Rc::clone(known);
        }
        let identities = self.universe.identities();
        let own = within.unwrap_or_default();
        let selected = |number: &u32| identities[number].subject().is_selected_by(peer, own);
        let found: Rc<[u32]> = match within {
            None => identities.keys().copied().filter(selected).collect(),
            Some(own) => self.by_namespace.get(own).into_iter().flatten().copied().filter(selected).collect(),
        };
        self.identities_of_peer.insert(key, Rc::clone(&found));
        found
    }
}

// === impl Rules ===

impl<'s> Rules<'s> {
    fn of(set: &'s PolicySet, direction: Direction) -> Self {
        let list: Vec<_> = set
            .iter()
            .flat_map(|policy| {
                let rules = (0..).zip(policy.rules(direction).unwrap_or_default());
                rules.map(move |(index, rule)| {
                    let name = policy.name.clone();
                    (RuleRef { policy: name, direction, index }, policy.name.namespace.as_str(), rule)
                })
            })
            .collect();
        let none = NamedPorts::default();
        let (named, naming) = match direction {
            Direction::Ingress => (set.named_ports(), BTreeSet::new()),
            Direction::Egress => {
                let rules = (0..).zip(&list).filter(|(_, (_, _, rule))| names_ports(rule));
                (&none, rules.map(|(index, _)| index).collect())
            }
        };
        let scopes = list.iter().map(|(_, _, rule)| Scope::of_rule(&rule.ports, named)).collect();
        Self { direction, list, scopes, naming, made: HashMap::new() }
    }

    /// The scopes of these rules for peers that mean these ports.
    fn scopes_of(&self, indexes: &[u32], named: &NamedPorts) -> Scopes {
        let mut scopes = Scopes::new();
        for index in indexes {
            let explained = (!named.is_empty() && self.naming.contains(index))
                .then(|| Scope::of_rule(&self.list[at(*index)].2.ports, named));
            for scope in explained.as_deref().unwrap_or(&self.scopes[at(*index)]) {
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
        let rules = indexes.iter().map(|index| self.list[at(*index)].0.clone()).collect();
        let made = RuleSet::new(rules);
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
