//! The control path's end: what the world wants becomes what the kernel holds, in an order in which no packet is
//! ever judged by half a policy.
//!
//! One pass of [`Enforcer::apply`]:
//!
//! ```text
//! 1  rules for new identities and classes, added to every set in use    nobody carries them yet
//! 2  rules of new sets, under new numbers                                no endpoint uses them yet
//! 3  addresses, prefixes, node ports: each carries its new numbers       old and new sets both know them
//! 4  endpoints: one word {flags, set, revision} each                     from here the new policy holds
//! 5  later, when nothing can refer to them any more: old sets, rules of old identities and classes
//! ```
//!
//! A set's number never changes its meaning, nor does an identity's or a class's, so a step that fails half way
//! leaves a state in which every endpoint is judged by a whole policy; the next pass goes on from there.

mod attribution;
mod desired;
mod found;
mod linger;
mod meanings;
mod moved;
mod saved;
mod services;
mod set_rules;
mod sets;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use ipnet::IpNet;
use palomar_bpf::abi::{self, Address, CidrKey, Endpoint, NodePort, PolicyWord};
use palomar_model::verdict::Direction;
use palomar_policy::{Classes, PolicySet, cidr};

pub use attribution::{AttributionTable, Isolating, SharedAttributions};
pub use desired::{Desired, DesiredAddress, DesiredEndpoint};
pub use saved::{Saved, SavedSet, Snapshot};
pub use tables::{Contents, PolicyTables, TableError};

use attribution::Publisher;
use found::Found;
use meanings::{Left, Meanings};
use moved::Moved;
use sets::Sets;

/// How long what is no longer wanted stays in the kernel: packets that began to be judged by it have long gone by then.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long an ipBlock that no policy names any more still takes part in the CIDR classes, so that sets in use and
/// sets to come know the same classes throughout a change.
pub const BLOCK_LINGER: Duration = Duration::from_secs(30);

/// How long a veth that was there before the agent may carry UDP of connections whose beginning was not seen.
const UNJUDGED_UDP: Duration = Duration::from_mins(1);

/// Why a pass failed. What was done before stays, and stays whole for every endpoint; the next pass goes on.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// The kernel refused a write.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No number is left for a CIDR class.
    #[error(transparent)]
    Classes(#[from] cidr::ClassesExhausted),
    /// No number is left for a set of rules.
    #[error(transparent)]
    RuleSets(#[from] palomar_policy::rule_sets::RuleSetsExhausted),
    /// An identity has a number that the kernel reserves.
    #[error(transparent)]
    Identity(#[from] palomar_policy::universe::ReservedIdentity),
    /// No number is left for a policy set.
    #[error("all {} numbers for policy sets are in use", PolicyWord::MAX_SET)]
    SetsExhausted,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// The newest policy revision in force at some endpoint.
    pub revision: u32,
    /// Endpoints whose policy word changed.
    pub endpoints_changed: usize,
    /// Rules written.
    pub rules_written: usize,
    /// Addresses written or removed.
    pub addresses_changed: usize,
}

/// The one writer of the kernel's policy tables. It goes on from what it wrote before; the cost of a pass is that of what
/// is different.
#[derive(Debug)]
pub struct Enforcer<T> {
    tables: T,
    meanings: Meanings,
    sets: Sets,
    addresses: HashMap<[u8; 16], Address>,
    cidrs: BTreeMap<CidrKey, u32>,
    node_ports: BTreeMap<NodePort, u32>,
    endpoints: BTreeMap<u32, Endpoint>,
    revision: u32,
    /// Whether a pass has been made: veths that come later are new, and nothing can be in mid-connection on them.
    has_passed: bool,
    /// The addresses that have another meaning since the endpoints that they concern last got a new revision.
    moved: Moved,
    attributions: Publisher,
    /// The numbers that were given when attributions were last published.
    published: Option<Numbers>,
    /// The same, and the revision, when `save` was last called.
    kept: Option<(Numbers, u32)>,
}

/// The next policy set, rule set and CIDR class. A number never changes its meaning, so as long as these are the same,
/// so is what the numbers mean.
type Numbers = [u32; 3];

impl<T: PolicyTables> Enforcer<T> {
    /// Takes over the tables as they are: what an earlier agent left is known, and stays in force until
    /// [`Self::apply`] replaces it. `saved` is what that agent kept on disk; without it old numbers are never given
    /// again, and what they meant is not known.
    pub fn adopt(tables: T, saved: Option<Saved>) -> Result<Self, TableError> {
        let contents = tables.contents()?;
        let found = Found::of(&contents);
        let saved = saved.unwrap_or_default();
        let sets = Sets::adopt(&saved, &contents, &found);
        let left = Left {
            addresses: contents.addresses.iter().map(|(address, _)| *address).collect(),
            node_ports: contents.node_ports.iter().map(|(port, _)| *port).collect(),
            prefixes: true,
            ..Left::default()
        };
        let mut enforcer = Self {
            meanings: Meanings::new(saved.class_table(found.greatest_class), left),
            sets,
            addresses: contents.addresses.into_iter().collect(),
            cidrs: contents.cidrs.into_iter().collect(),
            node_ports: contents.node_ports.into_iter().collect(),
            endpoints: contents.endpoints.into_iter().collect(),
            revision: found.revision.max(saved.revision),
            has_passed: false,
            moved: Moved::default(),
            attributions: Publisher::default(),
            published: None,
            kept: None,
            tables,
        };
        enforcer.publish();
        Ok(enforcer)
    }

    /// Who allowed or isolated, by the numbers that events carry; shared with the event path.
    pub fn attributions(&self) -> SharedAttributions {
        self.attributions.shared()
    }

    /// The newest policy revision given; 0 before the first.
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// The CIDR classes in force.
    pub fn classes(&self) -> &Classes {
        self.meanings.classes()
    }

    /// The interfaces that the kernel observes.
    pub fn observed(&self) -> impl Iterator<Item = u32> {
        self.endpoints.keys().copied()
    }

    /// The policy word in force at an interface; `None` where it is not observed.
    pub fn policy(&self, ifindex: u32) -> Option<PolicyWord> {
        self.endpoints.get(&ifindex).map(|endpoint| endpoint.policy)
    }

    /// Makes the kernel hold what is desired. `save` is called with what must outlive this agent, if that is other than
    /// before, and before any endpoint refers to it. `monotonic_ns` is the kernel's clock of now.
    pub fn apply(
        &mut self,
        desired: &Desired,
        now: Instant,
        monotonic_ns: u64,
        save: impl FnOnce(Snapshot),
    ) -> Result<Applied, EnforceError> {
        self.meanings.follow(desired, now)?;
        let wanted: HashSet<&PolicySet> = desired
            .endpoints
            .values()
            .map(|endpoint| &endpoint.policies)
            .filter(|set| !set.is_empty())
            .collect();
        let mut applied = Applied::default();
        let mut failure = Failure::default();

        applied.rules_written += failure.note(self.extend_in_use());
        let universe = self.meanings.universe();
        applied.rules_written += failure.note(self.sets.add_missing(&mut self.tables, &wanted, universe));
        if self.published != Some(self.numbers()) {
            self.publish();
        }
        let kept = Some((self.numbers(), self.revision));
        if self.kept != kept {
            save(self.snapshot());
            self.kept = kept;
        }

        if self.sets.has_adopted() {
            // The sets of an earlier agent do not know new identities, so here the endpoints go first.
            let known = self.endpoints.keys().copied().collect();
            applied.endpoints_changed +=
                failure.note(self.write_endpoints(desired, Some(&known), monotonic_ns));
        }
        applied.addresses_changed = self.write_addresses(&mut failure);
        failure.note(self.write_cidrs());
        self.write_node_ports(&mut failure);
        applied.endpoints_changed += failure.note(self.write_endpoints(desired, None, monotonic_ns));
        failure.note(self.remove_endpoints_except(desired));
        applied.revision = self.revision;
        self.has_passed = true;

        let in_use: BTreeSet<u32> = self.endpoints.values().map(|endpoint| endpoint.policy.set()).collect();
        self.sets.retire_unused(&in_use, now);
        self.sets.retire_peers(&std::mem::take(&mut self.meanings.left.departed), now);
        failure.first.map_or(Ok(applied), Err)
    }

    /// Removes what has been unused for [`GRACE`]. To be called now and then; cheap when there is nothing.
    pub fn collect_garbage(&mut self, now: Instant) -> Result<(), EnforceError> {
        if self.sets.remove_retired(&mut self.tables, now)? {
            let sets = &self.sets;
            self.meanings.retain(|peer| sets.knows(peer));
            self.publish();
            self.kept = None;
        }
        Ok(())
    }

    fn numbers(&self) -> Numbers {
        [self.sets.next(), self.sets.rule_sets().next(), self.meanings.class_table.next()]
    }

    fn publish(&mut self) {
        let (rule_sets, classes) = (self.sets.rule_sets().all(), self.meanings.class_table.all());
        self.attributions.publish(rule_sets, self.sets.isolating(), classes);
        self.published = Some(self.numbers());
    }

    fn snapshot(&self) -> Snapshot {
        let [next_set, next_rule_set, next_class] = self.numbers();
        Snapshot {
            revision: self.revision,
            next_set,
            isolating: self.sets.isolating().clone(),
            next_rule_set,
            rule_sets: self.sets.rule_sets().all().clone(),
            next_class,
            classes: self.meanings.class_table.all().clone(),
        }
    }

    /// Gives the sets in use the rules of those who have arrived; says how many were written.
    fn extend_in_use(&mut self) -> Result<usize, EnforceError> {
        let (universe, arrived) = (self.meanings.universe(), &self.meanings.left.arrived);
        let written = self.sets.extend_in_use(&mut self.tables, universe, arrived)?;
        self.meanings.left.arrived.clear();
        Ok(written)
    }

    /// Writes the addresses that may have changed; says how many had. Those that are gone go first, to make room.
    fn write_addresses(&mut self, failure: &mut Failure) -> usize {
        let keys = std::mem::take(&mut self.meanings.left.addresses);
        let wanted = keys.into_iter().map(|key| (key, self.meanings.address(key)));
        let (there, gone): (Vec<_>, Vec<_>) = wanted.partition(|(_, wanted)| wanted.is_some());
        let mut changed = 0;
        for (key, wanted) in gone.into_iter().chain(there) {
            let before = self.addresses.get(&key).copied();
            if before == wanted {
                continue;
            }
            let written = match wanted {
                Some(value) => self.tables.set_address(key, value),
                None => self.tables.remove_address(key),
            };
            if let Err(error) = written {
                self.meanings.left.addresses.insert(key);
                failure.add(error.into());
                continue;
            }
            match wanted {
                Some(value) => drop(self.addresses.insert(key, value)),
                None => drop(self.addresses.remove(&key)),
            }
            if let Some(old) = before {
                self.moved.note(old, wanted.unwrap_or_else(|| self.meanings.world(key)));
            }
            changed += 1;
        }
        changed
    }

    /// Writes the prefixes that may have changed. Narrow ones go in first and out last, and the first that fails ends it:
    /// what a block leaves out is in no moment taken for a part of it.
    fn write_cidrs(&mut self) -> Result<(), EnforceError> {
        if !self.meanings.left.prefixes {
            return Ok(());
        }
        let prefixes = self.meanings.classes().prefixes();
        let wanted: BTreeMap<CidrKey, u32> =
            prefixes.iter().map(|(prefix, class)| (cidr_key(*prefix), *class)).collect();
        for (key, class) in wanted.iter().rev() {
            if self.cidrs.get(key) != Some(class) {
                self.tables.set_cidr(*key, *class)?;
                self.cidrs.insert(*key, *class);
            }
        }
        let gone: Vec<CidrKey> = self.cidrs.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in gone {
            self.tables.remove_cidr(key)?;
            self.cidrs.remove(&key);
        }
        self.meanings.left.prefixes = false;
        Ok(())
    }

    /// Writes the node ports that may have changed; those that are gone go first, to make room.
    fn write_node_ports(&mut self, failure: &mut Failure) {
        let ports = std::mem::take(&mut self.meanings.left.node_ports);
        let wanted = ports.into_iter().map(|port| (port, self.meanings.node_port(port)));
        let (there, gone): (Vec<_>, Vec<_>) = wanted.partition(|(_, wanted)| wanted.is_some());
        for (port, wanted) in gone.into_iter().chain(there) {
            let before = self.node_ports.get(&port).copied();
            if before == wanted {
                continue;
            }
            let written = match wanted {
                Some(number) => self.tables.set_node_port(port, number),
                None => self.tables.remove_node_port(port),
            };
            if let Err(error) = written {
                self.meanings.left.node_ports.insert(port);
                failure.add(error.into());
                continue;
            }
            match wanted {
                Some(number) => drop(self.node_ports.insert(port, number)),
                None => drop(self.node_ports.remove(&port)),
            }
            self.moved.note_node_port(before, wanted);
        }
    }

    /// Writes the endpoints, or only those of `only`. Those that judge get a new revision where an address has changed its
    /// meaning that concerns them.
    ///
    /// An endpoint whose set is not there, because the table was full, keeps the policy it has; a new one is isolated
    /// with no rules: closed rather than open.
    fn write_endpoints(
        &mut self,
        desired: &Desired,
        only: Option<&BTreeSet<u32>>,
        monotonic_ns: u64,
    ) -> Result<usize, EnforceError> {
        let mut concerned: HashMap<u32, bool> = HashMap::default();
        let mut is_concerned = |endpoint: u32, set: u32| {
            let by_rules = || self.sets.speaks_of(set, self.moved.peers());
            only.is_none()
                && (self.moved.concerns_endpoint(endpoint) || *concerned.entry(set).or_insert_with(by_rules))
        };
        // egress to a service may have been judged where its backends are
        let serving = if self.changes_egress(desired) { desired.serving() } else { BTreeSet::new() };
        let next = self.revision.wrapping_add(1).max(1);
        let mut changed = 0;
        for (ifindex, wanted) in &desired.endpoints {
            if only.is_some_and(|only| !only.contains(ifindex)) {
                continue;
            }
            let before = self.endpoints.get(ifindex).copied();
            let number = self.sets.number(&wanted.policies);
            let flags = flags_of(wanted);
            let policy = match (before, number) {
                (Some(old), None) => old.policy,
                (old, number) => {
                    let set = number.unwrap_or(0);
                    let judges = flags & !abi::POLICY_ENFORCED != 0;
                    let mut same = |old: &Endpoint| {
                        old.policy.set() == set
                            && old.policy.flags() == flags
                            && !(judges && is_concerned(wanted.id, set))
                            && !serving.contains(&wanted.id)
                    };
                    let revision = old.filter(&mut same).map_or(next, |old| old.policy.revision());
                    PolicyWord::new(set, revision, flags).ok_or(EnforceError::SetsExhausted)?
                }
            };
            let revision = policy.revision();
            let unjudged_udp_until = match before {
                Some(old) => old.unjudged_udp_until,
                None if self.has_passed => 0,
                None => monotonic_ns.saturating_add(nanoseconds(UNJUDGED_UDP)),
            };
            let after = Endpoint { policy, unjudged_udp_until, id: wanted.id, identity: wanted.identity };
            if before == Some(after) {
                continue;
            }
            let word_alone = before.is_some_and(|old| Endpoint { policy, ..old } == after);
            if word_alone {
                self.tables.set_policy(*ifindex, policy)?;
            } else {
                self.tables.set_endpoint(*ifindex, after)?;
            }
            self.endpoints.insert(*ifindex, after);
            self.revision = self.revision.max(revision);
            changed += 1;
        }
        if only.is_none() {
            self.moved = Moved::default();
        }
        Ok(changed)
    }

    /// Whether what some endpoint may connect to is about to change.
    fn changes_egress(&self, desired: &Desired) -> bool {
        desired.endpoints.iter().any(|(ifindex, wanted)| {
            let Some(before) = self.endpoints.get(ifindex).map(|endpoint| endpoint.policy) else {
                return false;
            };
            let isolates = flags_of(wanted) | before.flags();
            let set = self.sets.number(&wanted.policies);
            isolates & abi::POLICY_ISOLATED_EGRESS != 0
                && (before.flags() != flags_of(wanted) || set.is_some_and(|set| set != before.set()))
        })
    }

    fn remove_endpoints_except(&mut self, desired: &Desired) -> Result<(), EnforceError> {
        let gone: Vec<u32> = self
            .endpoints
            .keys()
            .filter(|ifindex| !desired.endpoints.contains_key(ifindex))
            .copied()
            .collect();
        for ifindex in gone {
            self.tables.remove_endpoint(ifindex)?;
            self.endpoints.remove(&ifindex);
        }
        Ok(())
    }
}

/// The first error of a pass that goes on in spite of it: each step leaves every endpoint with a whole policy.
#[derive(Debug, Default)]
struct Failure {
    first: Option<EnforceError>,
}

impl Failure {
    fn add(&mut self, error: EnforceError) {
        self.first.get_or_insert(error);
    }

    fn note<T: Default>(&mut self, result: Result<T, EnforceError>) -> T {
        result.unwrap_or_else(|error| {
            self.add(error);
            T::default()
        })
    }
}

fn flags_of(wanted: &DesiredEndpoint) -> u8 {
    let mut flags = 0;
    if wanted.policies.isolates(Direction::Ingress) {
        flags |= abi::POLICY_ISOLATED_INGRESS;
    }
    if wanted.policies.isolates(Direction::Egress) {
        flags |= abi::POLICY_ISOLATED_EGRESS;
    }
    if wanted.enforced {
        flags |= abi::POLICY_ENFORCED;
    }
    if wanted.check_source {
        flags |= abi::POLICY_CHECK_SOURCE;
    }
    flags
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The key of a prefix in the kernel's trie, IPv4 mapped into IPv6.
fn cidr_key(prefix: IpNet) -> CidrKey {
    let mapped = if matches!(prefix, IpNet::V4(_)) { 96 } else { 0 };
    CidrKey {
        prefix_len: u32::from(prefix.prefix_len()) + mapped,
        address: abi::address_bytes(prefix.network()),
    }
}
