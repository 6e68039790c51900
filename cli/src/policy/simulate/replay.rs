//! Judges flows before and after: each distinct question once, and the rest is look-ups.

mod told;

use std::collections::BTreeMap;
use std::hash::Hash;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt as _, HashSet};
use palomar_flow::view::{Address, FlowView, Part, Side};
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_policy::explain::{Answer, Deciding, DirectionAnswer, EndId, Index, Prober, Verdict};

use super::super::flow::ends::{Directory, FlowEnd, Party};
use super::super::flow::opening::{Opening, recorded};

pub use told::Telling;

/// Ends, and questions, that are remembered; beyond that all are forgotten, and looked up again.
const REMEMBERED: usize = 1 << 18;

/// Flows by what the change of policies does to them.
#[derive(Debug, Default)]
pub struct Outcome<'w> {
    /// Those whose verdict changes: denied first, then by ends.
    pub groups: Vec<(Group<'w>, Count)>,
    /// Those that stay allowed.
    pub allowed: u64,
    /// Those that stay denied.
    pub denied: u64,
    /// Those that cannot be judged, by the fact that is missing; the most frequent first.
    pub unknown: Vec<(String, u64)>,
    /// Packets that go with a connection that another packet has begun.
    pub answers: u64,
    /// Flows of no connection.
    pub of_none: u64,
    /// Flows that were recorded with another verdict of policy than the policies of now give.
    pub recorded_otherwise: u64,
    /// Flows that the source of the flows said were lost.
    pub lost: u64,
    /// Lines that are no flows and nothing else that is known.
    pub unreadable: u64,
}

/// What flows of one group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group<'w> {
    /// Denied before allowed.
    pub becomes: Becomes,
    pub from: Party,
    pub to: Party,
    pub protocol: Protocol,
    /// As the client uses it; `None` for protocols without ports.
    pub port: Option<u16>,
    /// The directions that decide; at least one.
    pub sides: Vec<Decided<'w>>,
}

/// What becomes of a flow whose verdict changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Becomes {
    Denied,
    Allowed,
}

/// One direction, before and after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decided<'w> {
    pub direction: Direction,
    pub before: Decision<'w>,
    pub after: Decision<'w>,
}

/// Who decides one direction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decision<'w> {
    pub verdict: Verdict,
    pub isolated: bool,
    /// As in [`DirectionAnswer`].
    pub by: Vec<Deciding<'w>>,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub flows: u64,
    /// Distinct pairs of addresses and client ports.
    pub connections: u64,
}

/// The judge.
pub struct Replay<'i, 'w> {
    before: Prober<'i, 'w>,
    after: Prober<'i, 'w>,
    directory: Directory<'w>,
    ends: Vec<Known>,
    /// Told of an end just now.
    telling: Telling,
    /// By what a source of flows calls it; valid for one source only.
    by_number: HashMap<(u64, bool, IpAddr), usize>,
    /// By what flows tell of it, and its address.
    by_telling: HashMap<Box<[u8]>, usize>,
    by_value: HashMap<FlowEnd, usize>,
    judged: HashMap<(usize, usize, Protocol, Option<u16>), Judged>,
    groups: HashMap<Group<'w>, usize>,
    counts: Vec<Count>,
    /// Of flows that change: the group, both addresses, the client's port.
    connections: HashSet<(usize, IpAddr, IpAddr, u16)>,
    missing: HashMap<String, usize>,
    missing_counts: Vec<u64>,
    outcome: Outcome<'w>,
}

struct Known {
    /// Before and after, or which fact is missing.
    ids: Result<(EndId, EndId), usize>,
    party: Party,
}

#[derive(Debug, Clone, Copy)]
struct Judged {
    fate: Fate,
    /// Before: egress, ingress.
    sides: [Verdict; 2],
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Stays(Verdict),
    /// The group.
    Changes(usize),
    /// The missing fact.
    Unknown(usize),
}

// === impl Replay ===

impl<'i, 'w> Replay<'i, 'w> {
    /// Between two worlds that differ in their policies alone.
    pub fn new(before: &'i Index<'w>, after: &'i Index<'w>) -> Self {
        Self {
            before: Prober::new(before),
            after: Prober::new(after),
            directory: Directory::new(before.world()),
            ends: Vec::new(),
            telling: Telling::default(),
            by_number: HashMap::new(),
            by_telling: HashMap::new(),
            by_value: HashMap::new(),
            judged: HashMap::new(),
            groups: HashMap::new(),
            counts: Vec::new(),
            connections: HashSet::default(),
            missing: HashMap::new(),
            missing_counts: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    /// Judges a flow; `is_related` as in [`Opening::of`]. `tell` tells what the flow says of an end.
    pub fn flow<V: FlowView>(&mut self, flow: &V, is_related: bool, tell: impl Fn(Side, &mut Telling)) {
        let (protocol, ports) = match Opening::of(flow, is_related) {
            Opening::Sender { protocol, ports } => (protocol, ports),
            Opening::Answer => return self.outcome.answers += 1,
            Opening::None => return self.outcome.of_none += 1,
            Opening::Unknown(fact) => {
                let fact = self.missing(fact);
                self.missing_counts[fact] += 1;
                return;
            }
        };
        let (Some(source), Some(destination)) =
            (address(flow, Side::Source), address(flow, Side::Destination))
        else {
            return self.outcome.of_none += 1;
        };
        if self.ends.len() >= REMEMBERED {
            self.forget();
        }
        let from = self.end(flow, Side::Source, source, &tell);
        let to = self.end(flow, Side::Destination, destination, &tell);
        let port = ports.map(|(_, destination)| destination);
        let key = (from, to, protocol, port);
        let known = self.judged.get(&key).copied();
        let judged = known.unwrap_or_else(|| self.judge(from, to, protocol, port));
        if known.is_none() {
            keep(&mut self.judged, key, judged);
        }
        match judged.fate {
            Fate::Stays(Verdict::Denied) => self.outcome.denied += 1,
            Fate::Stays(_) => self.outcome.allowed += 1,
            Fate::Unknown(fact) => {
                self.missing_counts[fact] += 1;
                return;
            }
            Fate::Changes(group) => {
                let client = ports.map_or(0, |(source, _)| source);
                let is_new = self.connections.insert((group, source, destination, client));
                let count = &mut self.counts[group];
                count.flows += 1;
                count.connections += u64::from(is_new);
            }
        }
        if let Some((side, is_allowed)) = recorded(flow) {
            let expected = judged.sides[side as usize];
            let agrees = expected == Verdict::Undecidable || (expected == Verdict::Allowed) == is_allowed;
            self.outcome.recorded_otherwise += u64::from(!agrees);
        }
    }

    /// Flows that the source says were lost.
    pub fn lost(&mut self, flows: u64) {
        self.outcome.lost += flows;
    }

    /// A line that could not be read.
    pub fn unreadable(&mut self) {
        self.outcome.unreadable += 1;
    }

    /// What came out.
    pub fn finish(self) -> Outcome<'w> {
        let Self { groups, counts, missing, missing_counts, mut outcome, .. } = self;
        let sorted: BTreeMap<Group<'_>, usize> = groups.into_iter().collect();
        outcome.groups = sorted.into_iter().map(|(group, at)| (group, counts[at])).collect();
        outcome.unknown = missing.into_iter().map(|(fact, at)| (fact, missing_counts[at])).collect();
        // a fact may have been found missing of an end before the other end was found missing as well
        outcome.unknown.retain(|(_, count)| *count > 0);
        outcome.unknown.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
        outcome
    }

    fn forget(&mut self) {
        self.ends.clear();
        self.by_number.clear();
        self.by_telling.clear();
        self.by_value.clear();
        self.judged.clear();
        self.before.forget_ends();
        self.after.forget_ends();
    }

    fn end<V: FlowView>(
        &mut self,
        flow: &V,
        side: Side,
        address: IpAddr,
        tell: impl Fn(Side, &mut Telling),
    ) -> usize {
        // number 0 is for no end at all, which says as much as any other value
        let number = flow.key(Part::End(side)).map(|number| (number, side == Side::Source, address));
        if let Some(known) = number.and_then(|number| self.by_number.get(&number)) {
            return *known;
        }
        self.telling.begin(side, address);
        tell(side, &mut self.telling);
        let known = match self.by_telling.get(self.telling.bytes()) {
            Some(known) => *known,
            None => self.find(flow, side, address),
        };
        if let Some(number) = number {
            keep(&mut self.by_number, number, known);
        }
        known
    }

    /// The end of a flow that tells of it what none has told before.
    fn find<V: FlowView>(&mut self, flow: &V, side: Side, address: IpAddr) -> usize {
        let found = self.directory.find(flow.endpoint(side), side, address);
        let known = match self.by_value.get(&found) {
            Some(known) => *known,
            None => self.add(found),
        };
        keep(&mut self.by_telling, self.telling.bytes().into(), known);
        known
    }

    fn add(&mut self, found: FlowEnd) -> usize {
        let ids = match &found.end {
            Ok(end) => Ok((self.before.end(end), self.after.end(end))),
            Err(fact) => Err(self.missing(fact)),
        };
        let number = self.ends.len();
        self.ends.push(Known { ids, party: found.party.clone() });
        self.by_value.insert(found, number);
        number
    }

    fn missing(&mut self, fact: &str) -> usize {
        if let Some(known) = self.missing.get(fact) {
            return *known;
        }
        let number = self.missing_counts.len();
        self.missing_counts.push(0);
        self.missing.insert(fact.to_owned(), number);
        number
    }

    fn judge(&mut self, from: usize, to: usize, protocol: Protocol, port: Option<u16>) -> Judged {
        let unknown = |fact| Judged { fate: Fate::Unknown(fact), sides: [Verdict::Undecidable; 2] };
        let (source, destination) = match (self.ends[from].ids, self.ends[to].ids) {
            (Ok(source), Ok(destination)) => (source, destination),
            (Err(fact), _) | (_, Err(fact)) => return unknown(fact),
        };
        let before = self.before.answer_between(source.0, destination.0, protocol, port);
        let after = self.after.answer_between(source.1, destination.1, protocol, port);
        let sides = [before.egress.verdict, before.ingress.verdict];
        let fate = match (before.verdict, after.verdict) {
            (Verdict::Undecidable, _) | (_, Verdict::Undecidable) => {
                let mut facts = before.missing;
                facts.extend(after.missing);
                facts.sort();
                facts.dedup();
                let facts: Vec<String> = facts.iter().map(ToString::to_string).collect();
                return unknown(self.missing(&facts.join(" and ")));
            }
            (old, new) if old == new => Fate::Stays(new),
            (_, new) => {
                let becomes = if new == Verdict::Denied { Becomes::Denied } else { Becomes::Allowed };
                let (from, to) = (self.ends[from].party.clone(), self.ends[to].party.clone());
                let sides = decided(&before, &after);
                Fate::Changes(self.group(Group { becomes, from, to, protocol, port, sides }))
            }
        };
        Judged { fate, sides }
    }

    fn group(&mut self, group: Group<'w>) -> usize {
        let next = self.counts.len();
        let number = *self.groups.entry(group).or_insert(next);
        if number == next {
            self.counts.push(Count::default());
        }
        number
    }
}

/// Remembers a value; if there are too many, only that.
fn keep<K: Eq + Hash, V>(known: &mut HashMap<K, V>, key: K, value: V) {
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(key, value);
}

/// The directions that are denied in one of the two answers and not in the other.
fn decided<'w>(before: &Answer<'w>, after: &Answer<'w>) -> Vec<Decided<'w>> {
    let pairs = [
        (Direction::Egress, &before.egress, &after.egress),
        (Direction::Ingress, &before.ingress, &after.ingress),
    ];
    let is_denied = |side: &DirectionAnswer<'_>| side.verdict == Verdict::Denied;
    let changed = pairs.into_iter().filter(|(_, before, after)| is_denied(before) != is_denied(after));
    changed
        .map(|(direction, before, after)| Decided {
            direction,
            before: Decision::of(before),
            after: Decision::of(after),
        })
        .collect()
}

fn address<V: FlowView>(flow: &V, side: Side) -> Option<IpAddr> {
    match flow.address(side) {
        Address::Ip(address) => Some(address),
        Address::Text(text) => text.parse().ok(),
    }
}

// === impl Decision ===

impl<'w> Decision<'w> {
    fn of(answer: &DirectionAnswer<'w>) -> Self {
        let DirectionAnswer { verdict, isolated, by } = answer;
        Self { verdict: *verdict, isolated: *isolated, by: by.clone() }
    }
}

// === impl Outcome ===

impl Outcome<'_> {
    /// Flows that are allowed and would be denied.
    pub fn newly_denied(&self) -> u64 {
        self.changing(Becomes::Denied)
    }

    /// Flows whose verdict becomes this one.
    pub fn changing(&self, becomes: Becomes) -> u64 {
        let groups = self.groups.iter().filter(|(group, _)| group.becomes == becomes);
        groups.map(|(_, count)| count.flows).sum()
    }

    /// Flows that were judged, whatever came of it.
    pub fn judged(&self) -> u64 {
        self.allowed + self.denied + self.changing(Becomes::Allowed) + self.changing(Becomes::Denied)
    }

    /// Flows that cannot be judged.
    pub fn unjudged(&self) -> u64 {
        self.unknown.iter().map(|(_, count)| count).sum()
    }
}
