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
mod moved;
mod saved;
mod services;
mod sets;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use ipnet::IpNet;
use palomar_bpf::abi::{self, Address, CidrKey, Endpoint, NodePort, PolicyWord};
use palomar_model::labels::{Label, LabelSet};
use palomar_model::netpol::IpBlock;
use palomar_model::verdict::Direction;
use palomar_policy::cidr::PortName;
use palomar_policy::{ClassTable, Classes, PeerKey, PolicySet, Universe, cidr};

pub use attribution::{AttributionTable, SharedAttributions};
pub use desired::{Desired, DesiredAddress, DesiredEndpoint};
pub use saved::{Saved, SavedSet};
pub use tables::{Contents, PolicyTables, TableError};

use found::Found;
use moved::Moved;
use services::Services;
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

/// The one writer of the kernel's policy tables.
#[derive(Debug)]
pub struct Enforcer<T> {
    tables: T,
    class_table: ClassTable,
    classes: Classes,
    sets: Sets,
    services: Services,
    blocks: BTreeMap<IpBlock, Instant>,
    /// Named ports that are asked for inside ipBlocks; they linger as blocks do.
    port_names: BTreeMap<PortName, Instant>,
    addresses: HashMap<[u8; 16], Address>,
    cidrs: BTreeMap<CidrKey, u32>,
    node_ports: BTreeMap<NodePort, u32>,
    endpoints: BTreeMap<u32, Endpoint>,
    revision: u32,
    /// Whether a pass has been made: veths that come later are new, and nothing can be in mid-connection on them.
    has_passed: bool,
    /// The addresses that have another meaning since the endpoints that they concern last got a new revision.
    moved: Moved,
    attributions: SharedAttributions,
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
        let mut enforcer = Self {
            class_table: saved.class_table(found.greatest_class),
            classes: Classes::default(),
            sets: Sets::adopt(&saved, &contents, &found),
            services: Services::default(),
            blocks: BTreeMap::new(),
            port_names: BTreeMap::new(),
            addresses: contents.addresses.into_iter().collect(),
            cidrs: contents.cidrs.into_iter().collect(),
            node_ports: contents.node_ports.into_iter().collect(),
            endpoints: contents.endpoints.into_iter().collect(),
            revision: found.revision.max(saved.revision),
            has_passed: false,
            moved: Moved::default(),
            attributions: SharedAttributions::default(),
            published: None,
            kept: None,
            tables,
        };
        enforcer.publish();
        Ok(enforcer)
    }

    /// Who allowed or isolated, by the numbers that events carry; shared with the event path.
    pub fn attributions(&self) -> SharedAttributions {
        self.attributions.clone()
    }

    /// The newest policy revision given; 0 before the first.
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// The CIDR classes in force.
    pub fn classes(&self) -> &Classes {
        &self.classes
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
        save: impl FnOnce(Saved),
    ) -> Result<Applied, EnforceError> {
        let universe = self.universe(desired, now)?;
        let wanted: HashSet<&PolicySet> = desired
            .endpoints
            .values()
            .map(|endpoint| &endpoint.policies)
            .filter(|set| !set.is_empty())
            .collect();
        let mut applied = Applied::default();
        let mut failure = Failure::default();

        applied.rules_written += failure.note(self.sets.extend_in_use(&mut self.tables, &universe));
        applied.rules_written += failure.note(self.sets.add_missing(&mut self.tables, &wanted, &universe));
        if self.published != Some(self.numbers()) {
            self.publish();
        }
        let kept = Some((self.numbers(), self.revision));
        if self.kept != kept {
            save(self.saved());
            self.kept = kept;
        }

        if self.sets.has_adopted() {
            // The sets of an earlier agent do not know new identities, so here the endpoints go first.
            let known = self.endpoints.keys().copied().collect();
            applied.endpoints_changed +=
                failure.note(self.write_endpoints(desired, Some(&known), monotonic_ns));
        }
        applied.addresses_changed = self.write_addresses(desired, &mut failure);
        failure.note(self.write_cidrs());
        self.write_node_ports(&mut failure);
        applied.endpoints_changed += failure.note(self.write_endpoints(desired, None, monotonic_ns));
        failure.note(self.remove_endpoints_except(desired));
        applied.revision = self.revision;
        self.has_passed = true;

        let in_use: BTreeSet<u32> = self.endpoints.values().map(|endpoint| endpoint.policy.set()).collect();
        self.sets.retire_unused(&in_use, now);
        self.sets.retire_peers(&universe, now);
        failure.first.map_or(Ok(applied), Err)
    }

    /// Removes what has been unused for [`GRACE`]. To be called now and then; cheap when there is nothing.
    pub fn collect_garbage(&mut self, now: Instant) -> Result<(), EnforceError> {
        if self.sets.remove_retired(&mut self.tables, now)? {
            let (classes, sets) = (&self.classes, &self.sets);
            self.class_table.retain(|class| classes.blocks(class).is_some() || sets.knows_class(class));
            self.services.retain(|number| sets.knows(PeerKey::Service(number)));
            self.publish();
            self.kept = None;
        }
        Ok(())
    }

    fn numbers(&self) -> Numbers {
        [self.sets.next(), self.sets.rule_sets().next(), self.class_table.next()]
    }

    fn publish(&mut self) {
        let mut table = self.sets.attribution_table();
        table.class_labels =
            self.class_table.iter().map(|(number, class)| (number, class_labels(&class.blocks))).collect();
        self.attributions.store(table);
        self.published = Some(self.numbers());
    }

    fn saved(&self) -> Saved {
        Saved::new(&self.sets, &self.class_table, self.revision)
    }

    /// Every identity and class that a set in use, or one to come, may meet.
    fn universe(&mut self, desired: &Desired, now: Instant) -> Result<Universe, EnforceError> {
        for block in &desired.blocks {
            self.blocks.insert(block.clone(), now);
        }
        self.blocks.retain(|_, seen| now.duration_since(*seen) < BLOCK_LINGER);
        for name in &desired.port_names {
            self.port_names.insert(name.clone(), now);
        }
        self.port_names.retain(|_, seen| now.duration_since(*seen) < BLOCK_LINGER);
        self.classes = self.classify(desired)?;
        let mut universe = Universe::default();
        for (number, labels) in &desired.identities {
            universe.add_identity(*number, labels.clone())?;
        }
        universe.add_classes(&self.classes);
        self.services.update(desired, &self.classes);
        for (number, backends) in self.services.in_use() {
            universe.add_service(number, Arc::clone(backends));
        }
        Ok(universe)
    }

    fn classify(&mut self, desired: &Desired) -> Result<Classes, cidr::ClassesExhausted> {
        let mut classes = self.class_table.classify(self.blocks.keys())?;
        let names = self.port_names.keys().cloned().collect();
        let pods = desired.addresses.iter().filter_map(|(address, wanted)| {
            Some((*address, &desired.identities.get(&wanted.identity)?.named_ports))
        });
        self.class_table.classify_pods(&mut classes, &names, pods)?;
        Ok(classes)
    }

    /// Writes the addresses; says how many changed. Those that are gone go first, to make room.
    fn write_addresses(&mut self, desired: &Desired, failure: &mut Failure) -> usize {
        let mut wanted: HashMap<[u8; 16], Address> = desired
            .addresses
            .iter()
            .map(|(address, wanted)| {
                let value = Address {
                    identity: wanted.identity,
                    class: self.classes.class_of(*address),
                    endpoint: wanted.endpoint,
                    flags: if wanted.node { abi::ADDRESS_NODE } else { 0 },
                };
                (abi::address_bytes(*address), value)
            })
            .collect();
        for (address, number) in self.services.addresses() {
            let flags = abi::ADDRESS_SERVICE;
            let value = Address { identity: abi::IDENTITY_WORLD, class: number, endpoint: 0, flags };
            // who has an address is surer than who is behind it
            wanted.entry(abi::address_bytes(address)).or_insert(value);
        }
        let mut changed = 0;
        let gone: Vec<[u8; 16]> =
            self.addresses.keys().filter(|key| !wanted.contains_key(*key)).copied().collect();
        for key in gone {
            if let Err(error) = self.tables.remove_address(key) {
                failure.add(error.into());
                continue;
            }
            if let Some(old) = self.addresses.remove(&key) {
                let class = self.classes.class_of(abi::address_from_bytes(key));
                let world = Address { identity: abi::IDENTITY_WORLD, class, endpoint: 0, flags: 0 };
                self.moved.note(old, world);
            }
            changed += 1;
        }
        for (key, value) in wanted {
            let before = self.addresses.get(&key).copied();
            if before == Some(value) {
                continue;
            }
            if let Err(error) = self.tables.set_address(key, value) {
                failure.add(error.into());
                continue;
            }
            if let Some(old) = before {
                self.moved.note(old, value);
            }
            self.addresses.insert(key, value);
            changed += 1;
        }
        changed
    }

    fn write_cidrs(&mut self) -> Result<(), EnforceError> {
        let wanted: BTreeMap<CidrKey, u32> =
            self.classes.prefixes().iter().map(|(prefix, class)| (cidr_key(*prefix), *class)).collect();
        for (key, class) in &wanted {
            if self.cidrs.get(key) != Some(class) {
                self.tables.set_cidr(*key, *class)?;
            }
        }
        for key in self.cidrs.keys().filter(|key| !wanted.contains_key(key)) {
            self.tables.remove_cidr(*key)?;
        }
        self.cidrs = wanted;
        Ok(())
    }

    /// Writes the node ports; those that are gone go first, to make room.
    fn write_node_ports(&mut self, failure: &mut Failure) {
        let wanted = self.services.node_ports();
        let gone: Vec<NodePort> =
            self.node_ports.keys().filter(|port| !wanted.contains_key(port)).copied().collect();
        for port in gone {
            match self.tables.remove_node_port(port) {
                Ok(()) => {
                    let old = self.node_ports.remove(&port);
                    self.moved.note_node_port(old, None);
                }
                Err(error) => failure.add(error.into()),
            }
        }
        for (port, number) in wanted {
            let old = self.node_ports.get(port).copied();
            if old == Some(*number) {
                continue;
            }
            match self.tables.set_node_port(*port, *number) {
                Ok(()) => {
                    self.node_ports.insert(*port, *number);
                    self.moved.note_node_port(old, Some(*number));
                }
                Err(error) => failure.add(error.into()),
            }
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

/// What flows show of an address of a class.
fn class_labels(blocks: &[IpBlock]) -> LabelSet {
    let cidr = cidr::longest_cidr(blocks).map(Label::cidr);
    LabelSet::new(cidr.into_iter().chain([Label::reserved("world")]).collect())
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
