//! The policy sets in the kernel: their numbers, their rules, and their end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use palomar_bpf::abi::{PolicyWord, RULES_LATER, Rule, RuleKey};
use palomar_model::shared_map::SharedMap;
use palomar_model::verdict::Direction;
use palomar_policy::{Compiler, Entry, PeerKey, PolicySet, RuleSets, Universe};

use super::attribution::Isolating;
use super::found::Found;
use super::moved::Of;
use super::saved::Saved;
use super::set_rules::SetRules;
use super::tables::{Contents, PolicyTables, TableError};
use super::{EnforceError, GRACE};

/// How many of the newest rule sets are remembered although no rule names them.
const REMEMBERED_RULE_SETS: u32 = 10_000;

/// The sets in the kernel. Set 0 is the empty set: no policy, no rules.
#[derive(Debug)]
pub(super) struct Sets {
    numbers: RuleSets,
    installed: BTreeMap<u32, Installed>,
    by_policies: HashMap<PolicySet, u32>,
    /// The policies that isolate ingress and egress, of each that is installed.
    isolating: SharedMap<u32, Isolating>,
    /// Every identity, class and service that a set may have rules for.
    known: HashSet<PeerKey>,
    /// Of `known`: those that the world has forgotten, and since when.
    leaving: HashMap<PeerKey, Instant>,
    /// Whether those who have arrived may have their rules in some of the sets alone.
    is_partial: bool,
    next: u32,
}

#[derive(Debug)]
struct Installed {
    /// `None`: an earlier agent's, whose rules are known but not the policies they came from.
    policies: Option<PolicySet>,
    rules: SetRules,
    /// Since when no endpoint uses it.
    retired: Option<Instant>,
}

impl Sets {
    /// Takes over the sets that an earlier agent left in the kernel.
    pub(super) fn adopt(saved: &Saved, contents: &Contents, found: &Found) -> Self {
        let mut rules: HashMap<u32, Vec<(RuleKey, Rule)>> = HashMap::new();
        for (key, rule) in &contents.rules {
            rules.entry(key.set).or_default().push((*key, *rule));
        }
        for (_, endpoint) in &contents.endpoints {
            if endpoint.policy.set() != 0 {
                rules.entry(endpoint.policy.set()).or_default();
            }
        }
        let isolating = saved.sets.iter().filter(|set| rules.contains_key(&set.id));
        let isolating =
            isolating.map(|set| (set.id, Direction::BOTH.map(|direction| set.isolating(direction).into())));
        Self {
            numbers: saved.rule_sets(found.greatest_rule_set),
            by_policies: HashMap::new(),
            isolating: isolating.collect(),
            known: HashSet::new(),
            leaving: HashMap::new(),
            is_partial: false,
            next: saved.next_set.max(found.greatest_set + 1).max(1),
            installed: rules
                .into_iter()
                .map(|(id, rules)| {
                    (id, Installed { policies: None, rules: SetRules::new(rules), retired: None })
                })
                .collect(),
        }
    }

    /// Whether a set of an earlier agent is still in use.
    pub(super) fn has_adopted(&self) -> bool {
        self.installed.values().any(|set| set.policies.is_none() && set.retired.is_none())
    }

    /// The number of a set; 0 for the empty one, `None` for one that is not installed.
    pub(super) fn number(&self, policies: &PolicySet) -> Option<u32> {
        if policies.is_empty() { Some(0) } else { self.by_policies.get(policies).copied() }
    }

    pub(super) fn next(&self) -> u32 {
        self.next
    }

    pub(super) fn rule_sets(&self) -> &RuleSets {
        &self.numbers
    }

    /// Gives the sets that are there the rules of those who have arrived. Says how many were written; where it fails,
    /// all of them are still to be given.
    pub(super) fn extend_in_use(
        &mut self,
        tables: &mut impl PolicyTables,
        universe: &Universe,
        arrived: &BTreeSet<PeerKey>,
    ) -> Result<usize, EnforceError> {
        // One that comes back is new to the sets that were made while it was away.
        let is_new = |peer: &&PeerKey| {
            self.is_partial || !self.known.contains(peer) || self.leaving.contains_key(peer)
        };
        let new: HashSet<PeerKey> = arrived.iter().filter(is_new).copied().collect();
        if new.is_empty() {
            return Ok(0);
        }
        // Known first, so that what a write leaves half done is removed when they depart.
        self.leaving.retain(|peer, _| !new.contains(peer));
        self.known.extend(&new);
        self.is_partial = true;
        let in_use = self.installed.iter().filter_map(|(id, set)| Some((*id, set.policies.clone()?)));
        let in_use: Vec<(u32, PolicySet)> = in_use.collect();
        let part = if in_use.is_empty() { Universe::default() } else { universe.only(new.iter().copied()) };
        let mut compiler = Compiler::new(&part);
        let mut written = 0;
        let mut failure = None;
        for (id, policies) in &in_use {
            let entries = compiler.compile_peers(policies);
            // a service was compiled with its backends, which may have been there before
            let of_new = entries.iter().filter(|entry| new.contains(&entry.peer));
            let rules = kernel_rules(*id, of_new, &mut self.numbers)?;
            // Recorded first, so that what a write leaves half done is removed with the set.
            if let Some(set) = self.installed.get_mut(id) {
                set.rules.insert(&rules);
            }
            match tables.insert_rules(&rules) {
                Ok(()) => written += rules.len(),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        if let Some(error) = failure {
            return Err(error.into());
        }
        self.is_partial = false;
        Ok(written)
    }

    /// Installs the wanted sets that are not there. Says how many rules were written.
    pub(super) fn add_missing(
        &mut self,
        tables: &mut impl PolicyTables,
        wanted: &HashSet<&PolicySet>,
        universe: &Universe,
    ) -> Result<usize, EnforceError> {
        let mut missing = Vec::new();
        for policies in wanted {
            match self.by_policies.get(*policies).and_then(|id| self.installed.get_mut(id)) {
                Some(set) => set.retired = None,
                None => missing.push(*policies),
            }
        }
        if missing.is_empty() {
            return Ok(0);
        }
        let mut compiler = Compiler::new(universe);
        let mut written = 0;
        let mut failure = None;
        for policies in missing {
            let id = self.next;
            if id > PolicyWord::MAX_SET {
                return Err(EnforceError::SetsExhausted);
            }
            let entries = compiler.compile(policies).entries;
            let rules = kernel_rules(id, entries.iter(), &mut self.numbers)?;
            self.next = id + 1;
            // Recorded first, so that a write that fails half way is cleaned up like a set that nobody uses.
            let isolating = Direction::BOTH.map(|direction| policies.isolating_policies(direction).into());
            self.isolating.insert(id, isolating);
            let retired = Some(Instant::now());
            self.installed
                .insert(id, Installed { policies: None, rules: SetRules::new(rules.clone()), retired });
            if let Err(error) = tables.insert_rules(&rules) {
                failure.get_or_insert(error);
                continue;
            }
            written += rules.len();
            if let Some(set) = self.installed.get_mut(&id) {
                set.policies = Some(policies.clone());
                set.retired = None;
            }
            self.by_policies.insert(policies.clone(), id);
        }
        failure.map_or(Ok(written), |error| Err(error.into()))
    }

    /// Whether a set has rules for one of these; never one that is not installed, such as the empty one.
    pub(super) fn speaks_of(&self, set: u32, peers: &HashSet<Of>) -> bool {
        self.installed.get(&set).is_some_and(|set| peers.iter().any(|peer| set.rules.speaks_of(*peer)))
    }

    /// Whether a set may have rules for this peer.
    pub(super) fn knows(&self, peer: PeerKey) -> bool {
        self.known.contains(&peer)
    }

    /// Marks the sets that no endpoint uses.
    pub(super) fn retire_unused(&mut self, in_use: &BTreeSet<u32>, now: Instant) {
        for (id, set) in &mut self.installed {
            if in_use.contains(id) {
                set.retired = None;
            } else {
                set.retired.get_or_insert(now);
            }
        }
    }

    /// Marks those who have departed.
    pub(super) fn retire_peers(&mut self, departed: &BTreeSet<PeerKey>, now: Instant) {
        for peer in departed.iter().filter(|peer| self.known.contains(peer)) {
            self.leaving.entry(*peer).or_insert(now);
        }
    }

    /// Removes what has been marked for longer than the grace period. Says whether there was anything.
    pub(super) fn remove_retired(
        &mut self,
        tables: &mut impl PolicyTables,
        now: Instant,
    ) -> Result<bool, TableError> {
        let due = |since: &Instant| now.duration_since(*since) >= GRACE;
        let sets: Vec<u32> = self
            .installed
            .iter()
            .filter(|(_, set)| set.retired.as_ref().is_some_and(due))
            .map(|(id, _)| *id)
            .collect();
        for id in &sets {
            let Some(set) = self.installed.get_mut(id) else { continue };
            // First of all, so that nobody takes what a failure leaves of it for the whole.
            set.policies = None;
            self.by_policies.retain(|_, number| number != id);
            tables.remove_rules(&set.rules.keys())?;
            self.installed.remove(id);
            self.isolating.remove(id);
        }
        let gone: HashSet<PeerKey> =
            self.leaving.iter().filter(|(_, since)| due(since)).map(|(peer, _)| *peer).collect();
        for set in self.installed.values_mut() {
            for peer in &gone {
                let of_gone = (matches!(peer, PeerKey::Service(_)), peer.number());
                let keys = set.rules.keys_of(of_gone);
                if !keys.is_empty() {
                    tables.remove_rules(&keys)?;
                    set.rules.remove(of_gone);
                }
            }
        }
        self.leaving.retain(|peer, _| !gone.contains(peer));
        self.known.retain(|peer| !gone.contains(peer));
        if !sets.is_empty() {
            self.forget_rule_sets();
        }
        Ok(!sets.is_empty() || !gone.is_empty())
    }

    /// Forgets rule sets that no rule names, but for the newest: connections and events may still speak of those.
    fn forget_rule_sets(&mut self) {
        let oldest = self.numbers.iter().next().map_or(0, |(id, _)| id);
        let newest = self.numbers.next();
        if oldest + REMEMBERED_RULE_SETS >= newest {
            return;
        }
        let named: HashSet<u32> = self.installed.values().flat_map(|set| set.rules.rule_sets()).collect();
        self.numbers.retain(|id| named.contains(&id) || id + REMEMBERED_RULE_SETS >= newest);
    }

    /// The policies that isolate ingress and egress, by the number of their set.
    pub(super) const fn isolating(&self) -> &SharedMap<u32, Isolating> {
        &self.isolating
    }
}

/// Compiled entries as the kernel's table holds them.
fn kernel_rules<'e>(
    set: u32,
    entries: impl Iterator<Item = &'e Entry>,
    rule_sets: &mut RuleSets,
) -> Result<Vec<(RuleKey, Rule)>, EnforceError> {
    entries
        .map(|entry| {
            let prefix_len = u32::from(entry.scope.prefix_bits());
            let key = RuleKey {
                prefix_len,
                set,
                peer: entry.peer.number(),
                direction: entry.peer.direction(entry.direction),
                protocol: entry.scope.protocol_number(),
                port: entry.scope.port().to_be(),
            };
            let rule_set = if entry.later { RULES_LATER } else { rule_sets.intern(&entry.rules)? };
            Ok((key, Rule { rule_set, prefix_len }))
        })
        .collect()
}
