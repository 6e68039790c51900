//! The control path's thread: what the sources say becomes what the kernel holds.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use palomar_bpf::abi::{Direction, Mode};
use palomar_bpf::{AttachError, Datapath, Maps};
use palomar_model::verdict;
use palomar_model::world::Pod;

use super::facts::{AttachState, EndpointFacts, Facts, SharedFacts};
use super::reporter::Reporter;
use super::steps::{Steps, Stopwatch};
use super::view::{Inputs, View, Viewer};
use super::wanted::{EnforceScope, Wishes};
use crate::clock::{monotonic_now_ns, wall_now_ns};
use crate::directory::Directory;
use crate::durable::Keeper;
use crate::enforce::{EnforceError, Enforcer, GRACE, Saved};
use crate::enrich::Watched;
use crate::identity::Registry;
use crate::kernel::KernelTables;
use crate::links::{Follower, Links};
use crate::source::BaselineKeeper;
use crate::world::VersionedWorld;

/// How often the kernel is told that the agent lives, and what is no longer used is removed.
const BEAT: Duration = Duration::from_secs(1);
/// How often the order of programs at the hooks is looked at, and failed interfaces are tried again.
const ORDER_EVERY: Duration = Duration::from_secs(15);

/// What the thread is told.
#[derive(Debug)]
pub enum Signal {
    /// There is a new world.
    World(Arc<VersionedWorld>),
    /// There are other interfaces or addresses.
    Links(Arc<Links>),
    /// The agent ends; the datapath stays as it is.
    Stop,
}

/// The control path: one thread, so that the order of writes is the order of the code.
pub struct Control {
    /// Gives identities to pods.
    pub registry: Registry,
    /// Writes the kernel's tables.
    pub enforcer: Enforcer<KernelTables>,
    /// Keeps the enforcer's numbers on disk.
    pub tables_keeper: Keeper,
    /// The loaded programs and maps.
    pub datapath: Datapath,
    /// The mode that this agent put in force.
    pub mode: Mode,
    /// Where denied packets are dropped.
    pub scope: EnforceScope,
    /// Where the newest directory goes.
    pub directory: Arc<ArcSwap<Directory>>,
    /// Where the facts for the API go.
    pub facts: SharedFacts,
    /// The newest world.
    pub world: Arc<VersionedWorld>,
    /// The newest interfaces.
    pub links: Arc<Links>,
    /// Looks at the interfaces again when asked.
    pub follower: Arc<Follower>,
    /// How each interface is attached.
    pub attached: BTreeMap<u32, AttachState>,
    /// Says who is who, and what the kernel is to hold.
    pub follows: Follows,
    /// When the kernel was last made to hold a world.
    pub applied_at: Instant,
    /// Whether what an earlier load left has been replaced.
    pub is_committed: bool,
    /// Where it is told which interfaces are watched.
    pub watched: Arc<Watched>,
    /// Tells what changes as events.
    pub reporter: Reporter,
    /// Keeps the kernel's loss counters on disk.
    pub losses_keeper: BaselineKeeper<Arc<Maps>>,
}

/// What goes on from one pass to the next.
#[derive(Debug, Default)]
pub struct Follows {
    viewer: Viewer,
    wishes: Wishes,
    /// What the last pass cost.
    pub steps: Steps,
}

impl Control {
    /// The first pass: the kernel holds the first complete world, every interface is attached, and what an earlier
    /// agent left is replaced. Only then does the agent serve.
    ///
    /// Where the kernel cannot hold that world, what an earlier agent left stays as it is.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let mut pending = self.apply();
        if let Some(failure) = &self.facts.load().failure {
            anyhow::bail!("the kernel cannot hold the first world: {failure}");
        }
        // Before any program of this load sees a packet.
        self.datapath.maps.settings.beat(monotonic_now_ns());
        self.datapath.maps.settings.set_mode(self.mode);
        while let Some(ifindex) = pending.pop_front() {
            self.attach(ifindex);
        }
        self.commit();
        self.publish();
        Ok(())
    }

    /// Ends the change from an earlier load, once every interface has the programs of this one: until then the old ones
    /// are known as ours by their pins. Lets go of interfaces that are gone or no pods'.
    fn commit(&mut self) {
        match self.datapath.attacher.retain(&self.links.veths.keys().copied().collect()) {
            Ok(gone) if !gone.is_empty() => tracing::info!(interfaces = ?gone, "let go of interfaces"),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = %chain(&error), "an interface that is no pod's keeps our programs");
            }
        }
        if self.is_committed || self.failed().next().is_some() {
            return;
        }
        match self.datapath.commit() {
            Ok(()) => self.is_committed = true,
            Err(error) => tracing::error!(error = %chain(&error), "the pins of an earlier load stay"),
        }
    }

    /// Runs until told to stop, or until nobody can tell any more.
    pub fn run(mut self, signals: &Receiver<Signal>) {
        let mut pending = VecDeque::new();
        let mut beat = Instant::now();
        let mut order = Instant::now();
        loop {
            let wait = if pending.is_empty() { BEAT.saturating_sub(beat.elapsed()) } else { Duration::ZERO };
            match self.listen(signals, wait) {
                Heard::Stop => return,
                Heard::Change => pending = self.apply(),
                Heard::Nothing => {}
            }
            if let Some(ifindex) = pending.pop_front() {
                self.attach(ifindex);
                self.publish();
            }
            if beat.elapsed() >= BEAT {
                beat = Instant::now();
                self.beat();
                if self.facts.load().failure.is_some() && self.applied_at.elapsed() > GRACE + BEAT {
                    pending = self.apply();
                }
            }
            if order.elapsed() >= ORDER_EVERY {
                order = Instant::now();
                pending.extend(self.failed().collect::<Vec<_>>());
                self.look_at_order();
                self.commit();
                self.publish();
            }
        }
    }

    /// Takes in everything that is waiting, so that a burst of changes is one pass.
    fn listen(&mut self, signals: &Receiver<Signal>, wait: Duration) -> Heard {
        let mut heard = Heard::Nothing;
        let mut next = signals.recv_timeout(wait);
        loop {
            match next {
                Ok(Signal::World(world)) => self.take_in(world),
                Ok(Signal::Links(links)) => self.links = links,
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return Heard::Stop,
                Err(RecvTimeoutError::Timeout) => return heard,
            }
            heard = Heard::Change;
            next = signals.try_recv().map_err(|error| match error {
                std::sync::mpsc::TryRecvError::Empty => RecvTimeoutError::Timeout,
                std::sync::mpsc::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            });
        }
    }

    /// Takes in a new world, which [`Self::apply`] makes the kernel hold.
    pub fn take_in(&mut self, world: Arc<VersionedWorld>) {
        self.world = world;
        self.look_for_new_pods();
    }

    /// An address that appears in a pod's namespace tells the node nothing: when the world names one of this node that no
    /// interface has, the interfaces are asked again.
    fn look_for_new_pods(&self) {
        let before = self.directory.load();
        let pods = &self.world.world.pods;
        let changed = before.world.pods.changes(pods).into_iter().map(|change| change.key);
        let mut suspects = changed.chain(self.follows.viewer.unbound()).filter_map(|name| pods.get(name));
        let here = |node: &str| node.is_empty() || *node == *before.node_name;
        let seen = |address: &IpAddr| self.links.veths.values().any(|link| link.addresses.contains(address));
        let is_unseen = |pod: &Arc<Pod>| {
            !pod.host_network && here(&pod.node) && pod.addresses.iter().any(|address| !seen(address))
        };
        if suspects.any(is_unseen) {
            self.follower.refresh();
        }
    }

    /// Makes the kernel hold the newest world; gives the interfaces that are to be attached.
    pub fn apply(&mut self) -> VecDeque<u32> {
        let began = Instant::now();
        let mut watch = Stopwatch::start();
        self.applied_at = began;
        let before = self.directory.load_full();
        let assigned = self.registry.update(&self.world.world, SystemTime::now());
        if let Some(exhausted) = &assigned.exhausted {
            tracing::error!("{exhausted}");
        }
        self.follows.steps.identities = watch.lap();
        let View { mut directory, contested } = self.follows.viewer.view(&Inputs {
            before: &before,
            world: &self.world.world,
            links: &self.links,
            assigned: &assigned.pods,
            identities: self.registry.internals(),
        });
        for (pod, address, owner) in &contested {
            tracing::warn!(%pod, %address, %owner, "two pods claim one address: the first by name has it");
        }
        // once, not with each change of anything else
        if before.misplaced().next().is_none()
            && let Some((endpoint, entry)) = directory.misplaced().next()
        {
            let (pod, of, ours) = (&entry.pod.name, &entry.pod.node, &directory.node_name);
            tracing::warn!(
                interface = %endpoint.interface, %pod, node = %of, %ours,
                "an interface has the address of a pod that is said to run on another node, and is not taken for it: \
                 is --node-name right?"
            );
        }
        directory.succeed(&before, monotonic_now_ns());
        let directory = Arc::new(directory);
        self.follows.steps.directory = watch.lap();
        self.follows.wishes.follow(&directory, self.registry.live(), &self.scope);
        // The event path must know the new identities before the kernel speaks of them.
        self.directory.store(Arc::clone(&directory));
        self.follows.steps.wanted = watch.lap();
        let failure = self.enforce(began).err().map(|error| {
            tracing::error!(error = %chain(&error), "the kernel does not hold the newest world");
            chain(&error)
        });
        self.follows.steps.enforce = watch.lap();
        self.attached.retain(|ifindex, _| self.links.veths.contains_key(ifindex));
        for ifindex in self.links.veths.keys() {
            self.attached.entry(*ifindex).or_insert(AttachState::Pending);
        }
        let old = self.facts.load();
        let history = if failure.is_none() && self.world.objects != old.history.of {
            Arc::new(old.history.then(&self.world.objects, wall_now_ns()))
        } else {
            Arc::clone(&old.history)
        };
        self.follows.steps.history = watch.lap();
        self.facts.store(Arc::new(Facts {
            directory,
            // those of before, until the new ones are known: at no moment are there none
            endpoints: Arc::clone(&old.endpoints),
            contested,
            world: Arc::clone(&self.world),
            failure,
            history,
        }));
        self.publish();
        self.follows.steps.tell = watch.lap();
        let pending = self.attached.iter().filter(|(_, state)| **state == AttachState::Pending);
        pending.map(|(ifindex, _)| *ifindex).collect()
    }

    fn enforce(&mut self, began: Instant) -> Result<(), EnforceError> {
        let keeper = &self.tables_keeper;
        let applied = self.enforcer.apply(
            self.follows.wishes.desired(),
            Instant::now(),
            monotonic_now_ns(),
            |snapshot| {
                keeper.put_made_by(move || {
                    serde_json::to_vec(&Saved::from(snapshot))
                        .expect("invariant: numbers and strings always make JSON")
                });
            },
        )?;
        if applied.endpoints_changed + applied.rules_written + applied.addresses_changed > 0 {
            tracing::info!(
                world = self.world.version,
                revision = applied.revision,
                endpoints = applied.endpoints_changed,
                rules = applied.rules_written,
                addresses = applied.addresses_changed,
                took_us = began.elapsed().as_micros(),
                "the kernel holds the newest world"
            );
        }
        Ok(())
    }

    fn attach(&mut self, ifindex: u32) {
        let Some(link) = self.links.veths.get(&ifindex) else { return };
        let state = match self.datapath.attacher.attach(ifindex) {
            Ok(attached) => {
                tracing::info!(interface = %link.name, ifindex, adopted = attached.adopted, "attached");
                self.state(ifindex)
            }
            Err(AttachError::Gone { .. }) => {
                tracing::info!(interface = %link.name, ifindex, "vanished before it was attached");
                self.attached.remove(&ifindex);
                return;
            }
            Err(error) => {
                tracing::error!(interface = %link.name, ifindex, error = %chain(&error), "cannot attach");
                AttachState::Failed(chain(&error))
            }
        };
        self.attached.insert(ifindex, state);
    }

    /// How an attached interface is attached, with the order of programs at its hooks.
    fn state(&self, ifindex: u32) -> AttachState {
        let hook = self.datapath.attacher.hook();
        let program = |direction| self.datapath.attacher.program_id(direction);
        match self.datapath.attacher.order(ifindex) {
            Ok(orders) if orders.iter().any(|order| !order.programs.contains(&program(order.direction))) => {
                AttachState::Failed("our program is no longer there: somebody removed it".to_owned())
            }
            Ok(orders) => {
                let first =
                    |direction| orders.iter().any(|order| order.direction == direction && order.first);
                AttachState::Attached {
                    hook,
                    ingress_first: first(Direction::Ingress),
                    egress_first: first(Direction::Egress),
                }
            }
            Err(error) => AttachState::Failed(chain(&error)),
        }
    }

    fn failed(&self) -> impl Iterator<Item = u32> {
        let failed = |(ifindex, state): (&u32, &AttachState)| {
            matches!(state, AttachState::Failed(_)).then_some(*ifindex)
        };
        self.attached.iter().filter_map(failed)
    }

    fn look_at_order(&mut self) {
        let attached: Vec<u32> = self
            .attached
            .iter()
            .filter(|(_, state)| matches!(state, AttachState::Attached { .. }))
            .map(|(ifindex, _)| *ifindex)
            .collect();
        for ifindex in attached {
            let state = self.state(ifindex);
            let before = self.attached.insert(ifindex, state.clone());
            if before.as_ref() != Some(&state) {
                tracing::warn!(ifindex, ?state, "the order of programs at the interface changed");
            }
        }
    }

    fn beat(&mut self) {
        self.datapath.maps.settings.beat(monotonic_now_ns());
        self.losses_keeper.keep();
        let mode = self.datapath.maps.settings.mode();
        if mode != Ok(self.mode) {
            tracing::warn!(?mode, ours = ?self.mode, "the mode was changed by somebody else; it stays so until this agent is restarted");
            self.mode = mode.unwrap_or(self.mode);
        }
        if let Err(error) = self.enforcer.collect_garbage(Instant::now()) {
            tracing::error!(error = %chain(&error), "cannot remove what is no longer used");
        }
    }

    /// Tells the API what is in force, and what changed.
    fn publish(&mut self) {
        let first = |(ifindex, state): (&u32, &AttachState)| {
            matches!(state, AttachState::Attached { ingress_first: true, .. }).then_some(*ifindex)
        };
        self.watched.set(self.attached.iter().filter_map(first), monotonic_now_ns());
        let facts = self.facts.load();
        let table = self.enforcer.attributions().load();
        let endpoints = facts.directory.endpoints.values().map(|endpoint| {
            let word = self.enforcer.policy(endpoint.id).unwrap_or_default();
            let isolating = |direction| table.isolating(word.set(), direction).cloned().unwrap_or_default();
            let namespace = endpoint.pod.as_ref().map(|entry| entry.pod.name.namespace.as_str());
            let endpoint_facts = EndpointFacts {
                attach: self.attached.get(&endpoint.id).cloned().unwrap_or(AttachState::Pending),
                enforced: namespace.is_some_and(|namespace| self.scope.covers(namespace)),
                ingress_policies: isolating(verdict::Direction::Ingress),
                egress_policies: isolating(verdict::Direction::Egress),
                revision: word.revision(),
                policy_set: word.set(),
            };
            (endpoint.id, endpoint_facts)
        });
        let Facts { directory, endpoints: _, contested, world, failure, history } = &**facts;
        let facts = Arc::new(Facts {
            directory: Arc::clone(directory),
            endpoints: Arc::new(endpoints.collect()),
            contested: contested.clone(),
            world: Arc::clone(world),
            failure: failure.clone(),
            history: Arc::clone(history),
        });
        self.reporter.tell(&facts, self.enforcer.revision(), wall_now_ns());
        self.facts.store(facts);
    }
}

enum Heard {
    Change,
    Nothing,
    Stop,
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
