//! Many questions to one world. What depends on an end alone is found once and remembered: who it is, which rules
//! judge it, which peers of rules reach it. A question then costs two look-ups and one pass over the rules of two pods.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use palomar_model::netpol::{NetworkPolicy, Peer, PortRule, Ports, Rule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::verdict::Direction;
use palomar_model::world::Pod;

use super::answer::{self, Answer, Deciding, DirectionAnswer, Verdict};
use super::index::Index;
use super::missing::Missing;
use super::party::{self, Found, Party, Standing};
use super::path::Path;
use super::peer::{Exempt, Relation, seen_address};
use super::question::{End, Question};
use super::target::{self, Target};
use crate::decide::selects;
use crate::set::policies_of_namespace;

/// Answers as [`super::explain`] does, without the reasons.
#[derive(Debug)]
pub struct Prober<'i, 'w> {
    index: &'i Index<'w>,
    peers: Peers<'w>,
    names: Names<'w>,
    numbers: HashMap<End, EndId>,
    ends: Vec<Rc<KnownEnd<'w>>>,
    services: HashMap<(EndId, Protocol, Option<u16>), Rc<Targets<'w>>>,
    pods: HashMap<&'w ObjectName, Rc<PodFacts<'w>>>,
    rules: HashMap<RulesKey<'w>, Rc<Rules<'w>>>,
}

/// Pods that the same policies isolate in a direction share their rules, if they mean the same by the names of ports.
type RulesKey<'w> = (Direction, Vec<&'w ObjectName>, NamedPorts);

type Sources<'w> = Result<Vec<Place<'w>>, Missing>;
type Targets<'w> = Result<Vec<(Places<'w>, Target<'w>)>, Missing>;
type Positions = Rc<[usize]>;
/// Ports whose rules are remembered, of the rules of one direction of a pod.
const MOST_PORTS: usize = 1024;

/// One bit for each peer of [`Peers`].
type Bits = Box<[u64]>;

/// An end that a [`Prober`] has looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndId(usize);

/// An end, and where connections from it begin.
#[derive(Debug)]
struct KnownEnd<'w> {
    end: End,
    found: Result<Found<'w>, Missing>,
    sources: Sources<'w>,
    /// Where connections to it end, unless it is a service.
    places: Option<Vec<Place<'w>>>,
}

/// An end at one address, with all that rules may ask of it.
#[derive(Debug, Clone)]
struct Place<'w> {
    party: Party<'w>,
    /// `None`: no policy judges it, and no selector reaches it.
    pod: Option<Rc<PodFacts<'w>>>,
    /// The ipBlocks that hold the address, or why it is not known.
    covered_by: Result<Rc<Bits>, Missing>,
}

/// Who answers, and the other node that leads there, if egress is judged for that.
type Places<'w> = (Place<'w>, Option<Place<'w>>);

/// A pod by its rules, its labels and its ports.
#[derive(Debug)]
struct PodFacts<'w> {
    pod: &'w Pod,
    /// What judges it: ingress, egress; `None` where nothing isolates it.
    rules: [Option<Rc<Rules<'w>>>; 2],
    selected_by: Bits,
    /// The peers that may select it besides, which hangs on labels of its namespace that nobody told of; `None`: none may.
    maybe_selected_by: Option<Bits>,
    /// Its named ports that some rule asks for, by the number of the name.
    named_ports: Vec<(Protocol, usize, u16)>,
}

/// The peers of all rules, each once. Their numbers are their positions.
#[derive(Debug, Default)]
struct Peers<'w> {
    /// With the policy's namespace where the peer names none itself.
    numbers: HashMap<(Option<&'w str>, &'w Peer), usize>,
    list: Vec<(Option<&'w str>, &'w Peer)>,
}

/// The names of ports that rules ask for, with their numbers.
type Names<'w> = HashMap<&'w str, usize>;

/// What judges one direction of a pod.
#[derive(Debug)]
struct Rules<'w> {
    isolating: Vec<Deciding<'w>>,
    list: Vec<NumberedRule<'w>>,
    /// The positions of those that may be for a port: one with a name is where the peer's name is.
    of_ports: RefCell<HashMap<(Protocol, Option<u16>), Positions>>,
}

/// A rule whose peers and names are numbers.
#[derive(Debug)]
struct NumberedRule<'w> {
    deciding: Deciding<'w>,
    is_for_all: bool,
    selectors: Vec<usize>,
    blocks: Vec<usize>,
    /// `None`: every port of every protocol.
    ports: Option<NumberedPorts>,
}

#[derive(Debug, Default)]
struct NumberedPorts {
    /// Every port of the protocol; packets without a port among them.
    every: Vec<Protocol>,
    ranges: Vec<(Protocol, u16, u16)>,
    /// Names that are the peer's to explain.
    names: Vec<(Protocol, usize)>,
}

impl<'i, 'w> Prober<'i, 'w> {
    /// A prober of a world; work in proportion to its rules.
    pub fn new(index: &'i Index<'w>) -> Self {
        let (mut peers, mut names) = (Peers::default(), Names::new());
        for policy in index.world().policies.values() {
            let rules = Direction::BOTH.into_iter().filter_map(|direction| policy.rules(direction));
            for rule in rules.flatten() {
                for peer in &rule.peers {
                    peers.add(&policy.name.namespace, peer);
                }
                for port in &rule.ports {
                    if let Ports::Named(name) = &port.ports {
                        let next = names.len();
                        names.entry(name).or_insert(next);
                    }
                }
            }
        }
        Self {
            index,
            peers,
            names,
            numbers: HashMap::new(),
            ends: Vec::new(),
            services: HashMap::new(),
            pods: HashMap::new(),
            rules: HashMap::new(),
        }
    }

    /// Answers one question.
    pub fn answer(&mut self, question: &Question) -> Answer<'w> {
        let Question { from, to, protocol, port } = question;
        let (from, to) = (self.end(from), self.end(to));
        self.answer_between(from, to, *protocol, *port)
    }

    /// Looks an end up, to be asked about often.
    pub fn end(&mut self, end: &End) -> EndId {
        if let Some(known) = self.numbers.get(end) {
            return *known;
        }
        let found = party::find(self.index, end);
        let sources = match &found {
            Ok(found) => party::sources(found)
                .map(|parties| parties.into_iter().map(|party| self.place(party)).collect()),
            Err(missing) => Err(missing.clone()),
        };
        let places = match &found {
            // a port of a node may be a service's
            Ok(Found::Party(Standing::Node { .. }, _)) if self.index.has_node_ports() => None,
            Ok(Found::Party(..)) => sources.clone().ok(),
            Ok(Found::Services(..)) | Err(_) => None,
        };
        let id = EndId(self.ends.len());
        self.ends.push(Rc::new(KnownEnd { end: end.clone(), found, sources, places }));
        self.numbers.insert(end.clone(), id);
        id
    }

    /// How many ends are known.
    pub fn known_ends(&self) -> usize {
        self.ends.len()
    }

    /// Forgets all ends, to free their memory; their ids must not be used again.
    pub fn forget_ends(&mut self) {
        self.ends.clear();
        self.numbers.clear();
        self.services.clear();
    }

    /// Answers the question between two ends.
    ///
    /// # Panics
    ///
    /// If an id is of an end that was forgotten.
    pub fn answer_between(
        &mut self,
        from: EndId,
        to: EndId,
        protocol: Protocol,
        port: Option<u16>,
    ) -> Answer<'w> {
        let (from, to) = (Rc::clone(&self.ends[from.0]), (to, Rc::clone(&self.ends[to.0])));
        let (to_id, to) = to;
        if let (Ok(sources), Some(places)) = (&from.sources, &to.places) {
            let targets = places.iter().map(|place| (place, None, Target::itself(place.party, port)));
            return answer_all(self.index, &from, sources, &to, &targets, protocol);
        }
        let targets = self.targets(to_id, &to, protocol, port);
        match (&from.sources, &*targets) {
            (Ok(sources), Ok(targets)) => {
                let targets = targets
                    .iter()
                    .map(|((place, other_node), target)| (place, other_node.as_ref(), target.clone()));
                answer_all(self.index, &from, sources, &to, &targets, protocol)
            }
            (sources, targets) => {
                let missing = [sources.as_ref().err(), targets.as_ref().err()];
                Answer::unknown(missing.into_iter().flatten().cloned().collect())
            }
        }
    }

    fn targets(
        &mut self,
        id: EndId,
        to: &KnownEnd<'w>,
        protocol: Protocol,
        port: Option<u16>,
    ) -> Rc<Targets<'w>> {
        let found = match &to.found {
            Ok(found) => found,
            Err(missing) => return Rc::new(Err(missing.clone())),
        };
        if let Some(known) = self.services.get(&(id, protocol, port)) {
            return Rc::clone(known);
        }
        let targets = target::targets(self.index, found, protocol, port)
            .map(|targets| targets.into_iter().map(|target| (self.places(&target), target)).collect());
        let targets = Rc::new(targets);
        self.services.insert((id, protocol, port), Rc::clone(&targets));
        targets
    }

    fn places(&mut self, target: &Target<'w>) -> Places<'w> {
        (self.place(target.party), target.other_node.map(|(node, _)| self.place(node)))
    }

    fn place(&mut self, party: Party<'w>) -> Place<'w> {
        let pod = party.judged_pod().map(|pod| self.pod(pod));
        let covered_by = match party.standing {
            Standing::Service(_) => Ok(Rc::new(self.peers.bits(|_, _| false))),
            _ => seen_address(&party).map(|address| Rc::new(self.peers.covering(address))),
        };
        Place { party, pod, covered_by }
    }

    fn pod(&mut self, pod: &'w Pod) -> Rc<PodFacts<'w>> {
        if let Some(known) = self.pods.get(&pod.name) {
            return Rc::clone(known);
        }
        let rules = Direction::BOTH.map(|direction| self.rules_of(pod, direction));
        let named_ports = pod
            .named_ports
            .iter()
            .filter_map(|port| Some((port.protocol, *self.names.get(port.name.as_str())?, port.number)));
        let facts = Rc::new(PodFacts {
            pod,
            rules,
            selected_by: self.peers.selecting(self.index, pod, Some(true)),
            maybe_selected_by: Some(self.peers.selecting(self.index, pod, None))
                .filter(|bits| bits.iter().any(|word| *word != 0)),
            named_ports: named_ports.collect(),
        });
        self.pods.insert(&pod.name, Rc::clone(&facts));
        facts
    }

    fn rules_of(&mut self, pod: &'w Pod, direction: Direction) -> Option<Rc<Rules<'w>>> {
        let subject = self.index.subject(pod)?;
        let isolating = policies_of_namespace(self.index.world(), subject.namespace)
            .filter(|policy| policy.rules(direction).is_some() && selects(policy, subject));
        let isolating: Vec<&'w NetworkPolicy> = isolating.map(|policy| &**policy).collect();
        if isolating.is_empty() {
            return None;
        }
        let names = isolating.iter().map(|policy| &policy.name).collect();
        let key = (direction, names, pod.named_ports.clone());
        if let Some(known) = self.rules.get(&key) {
            return Some(Rc::clone(known));
        }
        let rules = Rc::new(self.numbered(&isolating, &pod.named_ports, direction));
        self.rules.insert(key, Rc::clone(&rules));
        Some(rules)
    }

    fn numbered(
        &self,
        isolating: &[&'w NetworkPolicy],
        named_ports: &NamedPorts,
        direction: Direction,
    ) -> Rules<'w> {
        let mut found =
            Rules { isolating: Vec::new(), list: Vec::new(), of_ports: RefCell::new(HashMap::new()) };
        for policy in isolating {
            found.isolating.push(Deciding { policy: &policy.name, rule: None });
            for (number, rule) in (0..).zip(policy.rules(direction).into_iter().flatten()) {
                let deciding = Deciding { policy: &policy.name, rule: Some(number) };
                let (selectors, blocks) = self.peers.numbers_of(&policy.name.namespace, rule);
                let ports = match direction {
                    Direction::Ingress => NumberedPorts::of(&rule.ports, named_ports),
                    Direction::Egress => NumberedPorts::with_names(&rule.ports, &self.names),
                };
                let ports = (!rule.ports.is_empty()).then_some(ports);
                let is_for_all = rule.peers.is_empty();
                found.list.push(NumberedRule { deciding, is_for_all, selectors, blocks, ports });
            }
        }
        found
    }
}

fn answer_all<'p, 'w: 'p>(
    index: &Index<'w>,
    from: &KnownEnd<'w>,
    sources: &'p [Place<'w>],
    to: &KnownEnd<'w>,
    targets: &(impl Iterator<Item = (&'p Place<'w>, Option<&'p Place<'w>>, Target<'w>)> + Clone),
    protocol: Protocol,
) -> Answer<'w> {
    let pairs = sources.iter().flat_map(|from| targets.clone().map(move |target| (from, target)));
    let answers = pairs.filter_map(|(from, (to, other_node, target))| {
        let path = target.path_from(index, from.party, protocol)?;
        Some((path, answer_path(&path, from, to, other_node.unwrap_or(to), protocol)))
    });
    let mut answers = answers.peekable();
    match answers.peek() {
        // what the others are hangs on one another
        Some((path, _)) if path.service.is_some() => {
            let mut answers: Vec<_> = answers.collect();
            answer::close(&mut answers);
            answer::combine(answers)
        }
        Some(_) => answer::combine(answers),
        None => Answer::unknown(vec![target::no_family(&from.end, &to.end, protocol)]),
    }
}

/// `seen` is whom egress is judged for.
fn answer_path<'w>(
    path: &Path<'w>,
    from: &Place<'w>,
    to: &Place<'w>,
    seen: &Place<'w>,
    protocol: Protocol,
) -> Answer<'w> {
    let mut missing = Vec::new();
    let egress = judge(path, Direction::Egress, from, seen, protocol, &mut missing);
    let ingress = match path.unknown(protocol) {
        None => judge(path, Direction::Ingress, to, from, protocol, &mut missing),
        Some(unknown) => {
            missing.push(unknown);
            DirectionAnswer::UNKNOWN
        }
    };
    let verdict = egress.verdict.both(ingress.verdict);
    if verdict != Verdict::Undecidable {
        missing.clear();
    }
    Answer { verdict, egress, ingress, missing }
}

fn judge<'w>(
    path: &Path<'w>,
    direction: Direction,
    own: &Place<'w>,
    peer: &Place<'w>,
    protocol: Protocol,
    missing: &mut Vec<Missing>,
) -> DirectionAnswer<'w> {
    let Some(PodFacts { pod, rules, .. }) = own.pod.as_deref() else { return DirectionAnswer::NOT_JUDGED };
    let Some(rules) = &rules[usize::from(direction == Direction::Egress)] else {
        return DirectionAnswer::NOT_JUDGED;
    };
    let Relation { exempt, masked, is_selectable } = Relation::of(path, direction, pod);
    if matches!(exempt, Exempt::Yes(_)) {
        return DirectionAnswer { isolated: true, ..DirectionAnswer::NOT_JUDGED };
    }
    let selectable = peer.pod.as_deref().filter(|_| is_selectable);
    let covered_by = masked.as_ref().map_or(peer.covered_by.as_ref(), Err);
    let named = selectable.map_or(&[][..], |facts| &facts.named_ports);
    let (mut by, mut depends) = (Vec::new(), Vec::new());
    let (_, port) = path.peer(direction);
    for position in &*rules.of_port(protocol, port) {
        let NumberedRule { deciding, is_for_all, selectors, blocks, ports } = &rules.list[*position];
        if ports.as_ref().is_some_and(|ports| !ports.have(protocol, port, named)) {
            continue;
        }
        let is_reached = *is_for_all
            || selectable.is_some_and(|facts| any(&facts.selected_by, selectors))
            || covered_by.is_ok_and(|bits| any(bits, blocks));
        if is_reached {
            by.push(*deciding);
            continue;
        }
        if let (Err(missing), false) = (&covered_by, blocks.is_empty()) {
            depends.push((*missing).clone());
        }
        let maybe = selectable.and_then(|facts| Some((facts.maybe_selected_by.as_ref()?, facts.pod)));
        if let Some((_, pod)) = maybe.filter(|(bits, _)| any(bits, selectors)) {
            depends.push(Missing::NamespaceLabels { name: pod.name.namespace.clone() });
        }
    }
    if !by.is_empty() {
        return DirectionAnswer { verdict: Verdict::Allowed, isolated: true, by };
    }
    if let Exempt::Maybe(missing) = exempt {
        depends.push(missing);
    }
    if depends.is_empty() {
        return DirectionAnswer { verdict: Verdict::Denied, isolated: true, by: rules.isolating.clone() };
    }
    missing.append(&mut depends);
    DirectionAnswer { verdict: Verdict::Undecidable, isolated: true, by: Vec::new() }
}

// === impl Rules ===

impl Rules<'_> {
    /// The positions of the rules that may be for a port.
    fn of_port(&self, protocol: Protocol, port: Option<u16>) -> Positions {
        let mut known = self.of_ports.borrow_mut();
        if let Some(known) = known.get(&(protocol, port)) {
            return Rc::clone(known);
        }
        let has_name = |ports: &NumberedPorts| ports.names.iter().any(|(of, _)| *of == protocol);
        let may_be = |rule: &NumberedRule<'_>| {
            rule.ports.as_ref().is_none_or(|ports| ports.have(protocol, port, &[]) || has_name(ports))
        };
        let positions = (0..).zip(&self.list).filter(|(_, rule)| may_be(rule)).map(|(position, _)| position);
        let positions: Positions = positions.collect();
        if known.len() >= MOST_PORTS {
            known.clear();
        }
        known.insert((protocol, port), Rc::clone(&positions));
        positions
    }
}

// === impl Peers ===

impl<'w> Peers<'w> {
    fn add(&mut self, own: &'w str, peer: &'w Peer) {
        let key = Self::key(own, peer);
        let next = self.list.len();
        self.numbers.entry(key).or_insert_with(|| {
            self.list.push(key);
            next
        });
    }

    fn key(own: &'w str, peer: &'w Peer) -> (Option<&'w str>, &'w Peer) {
        (matches!(peer, Peer::Pods { namespaces: None, .. }).then_some(own), peer)
    }

    /// The numbers of a rule's peers: those with selectors, those with ipBlocks.
    fn numbers_of(&self, own: &'w str, rule: &'w Rule) -> (Vec<usize>, Vec<usize>) {
        let (blocks, selectors): (Vec<&Peer>, Vec<_>) =
            rule.peers.iter().partition(|peer| matches!(peer, Peer::Block(_)));
        let numbers = |peers: Vec<&'w Peer>| {
            peers.into_iter().filter_map(|peer| self.numbers.get(&Self::key(own, peer)).copied()).collect()
        };
        (numbers(selectors), numbers(blocks))
    }

    /// The peers of which it is known, or not known, that they select a pod.
    fn selecting(&self, index: &Index<'w>, pod: &'w Pod, known: Option<bool>) -> Bits {
        let facts = index.subject(pod).zip(index.namespace(pod));
        self.bits(|own, peer| {
            facts.is_some_and(|(subject, namespace)| {
                namespace.is_selected(subject, peer, own.unwrap_or_default()) == known
            })
        })
    }

    fn covering(&self, address: IpAddr) -> Bits {
        self.bits(|_, peer| match peer {
            Peer::Block(block) => block.contains(address),
            Peer::Pods { .. } => false,
        })
    }

    fn bits(&self, reaches: impl Fn(Option<&str>, &Peer) -> bool) -> Bits {
        let mut bits = vec![0; self.list.len().div_ceil(64)];
        for (number, (own, peer)) in self.list.iter().enumerate() {
            if reaches(*own, peer) {
                bits[number / 64] |= 1 << (number % 64);
            }
        }
        bits.into()
    }
}

// === impl NumberedPorts ===

impl NumberedPorts {
    /// For a pod whose names are known already.
    fn of(rules: &[PortRule], named: &NamedPorts) -> Self {
        let mut ports = Self::with_names(rules, &Names::new());
        for PortRule { protocol, ports: of } in rules {
            if let Ports::Named(name) = of {
                let numbers = named.numbers(name, *protocol);
                ports.ranges.extend(numbers.map(|number| (*protocol, number, number)));
            }
        }
        ports
    }

    fn with_names(rules: &[PortRule], names: &Names<'_>) -> Self {
        let mut numbered = Self::default();
        for PortRule { protocol, ports } in rules {
            match ports {
                Ports::Every => numbered.every.push(*protocol),
                Ports::Range(first, last) => numbered.ranges.push((*protocol, *first, *last)),
                Ports::Named(name) => {
                    numbered.names.extend(names.get(name.as_str()).map(|number| (*protocol, *number)));
                }
            }
        }
        numbered
    }

    /// Whether the port is one of them; `named` are those of the peer.
    fn have(&self, protocol: Protocol, port: Option<u16>, named: &[(Protocol, usize, u16)]) -> bool {
        let Self { every, ranges, names } = self;
        every.contains(&protocol)
            || port.is_some_and(|port| {
                ranges.iter().any(|(of, first, last)| *of == protocol && (*first..=*last).contains(&port))
                    || names
                        .iter()
                        .any(|(of, name)| *of == protocol && named.contains(&(protocol, *name, port)))
            })
    }
}

fn any(bits: &[u64], numbers: &[usize]) -> bool {
    numbers.iter().any(|number| bits[number / 64] >> (number % 64) & 1 == 1)
}
