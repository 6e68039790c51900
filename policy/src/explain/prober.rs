//! Many questions to one world. What depends on an end alone is found once and remembered: who it is, which rules
//! judge it, which peers of rules reach it. A question then costs two look-ups and one pass over the rules of two pods.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use palomar_model::netpol::{Peer, Rule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_model::world::Pod;

use super::answer::{self, Answer, Deciding, DirectionAnswer, Verdict};
use super::clause::named_ports;
use super::index::Index;
use super::missing::Missing;
use super::path::{self, Found, Party, Path, Target};
use super::peer::{Exempt, Side};
use super::question::{End, Question};
use super::rules::has_port;
use crate::decide::selects;
use crate::set::policies_of_namespace;

/// How many ends, targets and addresses are remembered, each; beyond that all are forgotten and found anew.
const REMEMBERED: usize = 200_000;

/// Answers as [`super::explain`] does, without the reasons.
#[derive(Debug)]
pub struct Prober<'i, 'w> {
    index: &'i Index<'w>,
    peers: Peers<'w>,
    ends: HashMap<End, Rc<KnownEnd<'w>>>,
    targets: HashMap<(End, Protocol, Option<u16>), Rc<Targets<'w>>>,
    judged: HashMap<&'w ObjectName, Rc<[Option<Rules<'w>>; 2]>>,
    by_selector: HashMap<&'w ObjectName, Bits>,
    by_block: HashMap<IpAddr, Bits>,
}

type Targets<'w> = Result<Vec<Target<'w>>, Missing>;
/// One bit for each peer of [`Peers`].
type Bits = Rc<[u64]>;

/// An end, and where connections from it begin.
#[derive(Debug)]
struct KnownEnd<'w> {
    found: Result<(Found<'w>, Result<Vec<Party<'w>>, Missing>), Missing>,
}

/// The peers of all rules, each once. Their numbers are their positions.
#[derive(Debug, Default)]
struct Peers<'w> {
    /// With the policy's namespace where the peer names none itself.
    numbers: HashMap<(Option<&'w str>, &'w Peer), usize>,
    list: Vec<(Option<&'w str>, &'w Peer)>,
}

/// What judges one direction of a pod.
#[derive(Debug)]
struct Rules<'w> {
    isolating: Vec<Deciding<'w>>,
    rules: Vec<NumberedRule<'w>>,
}

#[derive(Debug)]
struct NumberedRule<'w> {
    deciding: Deciding<'w>,
    rule: &'w Rule,
    selectors: Vec<usize>,
    blocks: Vec<usize>,
}

impl<'i, 'w> Prober<'i, 'w> {
    /// A prober of a world; work in proportion to its rules.
    pub fn new(index: &'i Index<'w>) -> Self {
        let mut peers = Peers::default();
        for policy in index.world().policies.values() {
            let rules = Direction::BOTH.into_iter().filter_map(|direction| policy.rules(direction)).flatten();
            for peer in rules.flat_map(|rule| &rule.peers) {
                peers.number(&policy.name.namespace, peer);
            }
        }
        Self {
            index,
            peers,
            ends: HashMap::new(),
            targets: HashMap::new(),
            judged: HashMap::new(),
            by_selector: HashMap::new(),
            by_block: HashMap::new(),
        }
    }

    /// Answers one question.
    pub fn answer(&mut self, question: &Question) -> Answer<'w> {
        match self.paths(question) {
            Ok(paths) => {
                let answers: Vec<_> = paths
                    .into_iter()
                    .map(|path| (path, self.answer_path(&path, question.protocol)))
                    .collect();
                answer::combine(answers)
            }
            Err(missing) => Answer::unknown(missing),
        }
    }

    fn paths(&mut self, question: &Question) -> Result<Vec<Path<'w>>, Vec<Missing>> {
        let from = self.end(&question.from);
        let sources = from.found.as_ref().and_then(|(_, sources)| sources.as_ref());
        let targets = self.targets(question);
        path::between(sources.map(Vec::as_slice), targets.as_ref().as_ref().map(Vec::as_slice), question)
    }

    fn end(&mut self, end: &End) -> Rc<KnownEnd<'w>> {
        if let Some(known) = self.ends.get(end) {
            return Rc::clone(known);
        }
        let found = path::find(self.index, end).map(|found| {
            let sources = path::sources(&found);
            (found, sources)
        });
        let known = Rc::new(KnownEnd { found });
        make_room(&mut self.ends);
        self.ends.insert(end.clone(), Rc::clone(&known));
        known
    }

    fn targets(&mut self, question: &Question) -> Rc<Targets<'w>> {
        let to = self.end(&question.to);
        let found = match &to.found {
            Ok((found, _)) => found,
            Err(missing) => return Rc::new(Err(missing.clone())),
        };
        if matches!(found, Found::Party(..)) {
            return Rc::new(path::targets(self.index, found, question));
        }
        let key = (question.to.clone(), question.protocol, question.port);
        if let Some(known) = self.targets.get(&key) {
            return Rc::clone(known);
        }
        let targets = Rc::new(path::targets(self.index, found, question));
        make_room(&mut self.targets);
        self.targets.insert(key, Rc::clone(&targets));
        targets
    }

    fn answer_path(&mut self, path: &Path<'w>, protocol: Protocol) -> Answer<'w> {
        let mut missing = Vec::new();
        let egress = self.judge(path, Direction::Egress, protocol, &mut missing);
        let ingress = self.judge(path, Direction::Ingress, protocol, &mut missing);
        let verdict = egress.verdict.both(ingress.verdict);
        if verdict != Verdict::Undecidable {
            missing.clear();
        }
        Answer { verdict, egress, ingress, missing }
    }

    fn judge(
        &mut self,
        path: &Path<'w>,
        direction: Direction,
        protocol: Protocol,
        missing: &mut Vec<Missing>,
    ) -> DirectionAnswer<'w> {
        let index = self.index;
        let Some(side) = Side::of(index, path, direction) else { return DirectionAnswer::NOT_JUDGED };
        let judged = self.rules(side.pod);
        let Some(rules) = &judged[usize::from(direction == Direction::Egress)] else {
            return DirectionAnswer::NOT_JUDGED;
        };
        if matches!(side.peer.exempt, Exempt::Yes(_)) {
            return DirectionAnswer { isolated: true, ..DirectionAnswer::NOT_JUDGED };
        }
        let by_selector = side.peer.subject.and_then(|_| Some(self.selecting(side.peer.party.judged_pod()?)));
        let by_block = side.peer.address.as_ref().map(|address| self.covering(*address));
        let named = named_ports(&side);
        let (mut by, mut depends) = (Vec::new(), Vec::new());
        for NumberedRule { deciding, rule, selectors, blocks } in &rules.rules {
            if !has_port(rule, named, protocol, path.port) {
                continue;
            }
            let is_selected = by_selector.as_ref().is_some_and(|bits| any(bits, selectors));
            let is_covered = by_block.as_ref().is_ok_and(|bits| any(bits, blocks));
            if rule.peers.is_empty() || is_selected || is_covered {
                by.push(*deciding);
            } else if let (Err(missing), false) = (&by_block, blocks.is_empty()) {
                depends.push((*missing).clone());
            }
        }
        if !by.is_empty() {
            return DirectionAnswer { verdict: Verdict::Allowed, isolated: true, by };
        }
        if let Exempt::Maybe(missing) = &side.peer.exempt {
            depends.push(missing.clone());
        }
        if depends.is_empty() {
            return DirectionAnswer { verdict: Verdict::Denied, isolated: true, by: rules.isolating.clone() };
        }
        missing.append(&mut depends);
        DirectionAnswer { verdict: Verdict::Undecidable, isolated: true, by: Vec::new() }
    }

    /// The rules that judge a pod: ingress, egress; `None` where nothing isolates it.
    fn rules(&mut self, pod: &'w Pod) -> Rc<[Option<Rules<'w>>; 2]> {
        if let Some(known) = self.judged.get(&pod.name) {
            return Rc::clone(known);
        }
        let of = |direction| self.peers.rules_of(self.index, pod, direction);
        let rules = Rc::new(Direction::BOTH.map(of));
        self.judged.insert(&pod.name, Rc::clone(&rules));
        rules
    }

    /// The peers of rules that select a pod.
    fn selecting(&mut self, pod: &'w Pod) -> Bits {
        if let Some(known) = self.by_selector.get(&pod.name) {
            return Rc::clone(known);
        }
        let subject = self.index.subject(pod);
        let bits = self.peers.bits(|own, peer| {
            subject.is_some_and(|subject| subject.is_selected_by(peer, own.unwrap_or_default()))
        });
        self.by_selector.insert(&pod.name, Rc::clone(&bits));
        bits
    }

    /// The ipBlocks of rules that hold an address.
    fn covering(&mut self, address: IpAddr) -> Bits {
        if let Some(known) = self.by_block.get(&address) {
            return Rc::clone(known);
        }
        let bits = self.peers.bits(|_, peer| match peer {
            Peer::Block(block) => block.contains(address),
            Peer::Pods { .. } => false,
        });
        make_room(&mut self.by_block);
        self.by_block.insert(address, Rc::clone(&bits));
        bits
    }
}

// === impl Peers ===

impl<'w> Peers<'w> {
    fn number(&mut self, own: &'w str, peer: &'w Peer) -> usize {
        let own = matches!(peer, Peer::Pods { namespaces: None, .. }).then_some(own);
        *self.numbers.entry((own, peer)).or_insert_with(|| {
            self.list.push((own, peer));
            self.list.len() - 1
        })
    }

    fn get(&self, own: &'w str, peer: &'w Peer) -> Option<usize> {
        let own = matches!(peer, Peer::Pods { namespaces: None, .. }).then_some(own);
        self.numbers.get(&(own, peer)).copied()
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

    fn rules_of(&self, index: &Index<'w>, pod: &'w Pod, direction: Direction) -> Option<Rules<'w>> {
        let subject = index.subject(pod)?;
        let mut found = Rules { isolating: Vec::new(), rules: Vec::new() };
        for policy in policies_of_namespace(index.world(), subject.namespace) {
            let Some(rules) = policy.rules(direction).filter(|_| selects(policy, subject)) else { continue };
            found.isolating.push(Deciding { policy: &policy.name, rule: None });
            for (number, rule) in (0..).zip(rules) {
                let of_kind = |wants_blocks: bool| {
                    let peers =
                        rule.peers.iter().filter(|peer| matches!(peer, Peer::Block(_)) == wants_blocks);
                    peers.filter_map(|peer| self.get(&policy.name.namespace, peer)).collect()
                };
                found.rules.push(NumberedRule {
                    deciding: Deciding { policy: &policy.name, rule: Some(number) },
                    rule,
                    selectors: of_kind(false),
                    blocks: of_kind(true),
                });
            }
        }
        (!found.isolating.is_empty()).then_some(found)
    }
}

fn any(bits: &[u64], numbers: &[usize]) -> bool {
    numbers.iter().any(|number| bits[number / 64] >> (number % 64) & 1 == 1)
}

fn make_room<K, V>(remembered: &mut HashMap<K, V>) {
    if remembered.len() >= REMEMBERED {
        remembered.clear();
    }
}
