//! The ring's only writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use palomar_flow::rest::Rest;
use palomar_model::attribution::PolicyRef;
use palomar_model::flow::FlowEndpoint;
use palomar_model::object::ObjectName;

use super::Ring;
use super::epochs::Epochs;
use super::id::{EndpointId, InterfaceId, PoliciesId, RestId, ServiceId};
use super::interner::Interner;
use super::names::{Interface, Names};
use super::record::Record;
use super::stretch::Times;

/// Writes flows. There is one for each ring.
///
/// Numbers that it gives out for names are good until [`Writer::epoch`] changes, which only writing does: they
/// may be remembered for so long, and have to be asked for again then.
#[derive(Debug)]
pub struct Writer {
    ring: Arc<Ring>,
    endpoints: Interner<FlowEndpoint>,
    services: Interner<ObjectName>,
    interfaces: Interner<Interface>,
    policies: Interner<[PolicyRef]>,
    rests: Interner<Rest>,
    epochs: Epochs,
    erasures: u64,
    unannounced: bool,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        Self {
            epochs: Epochs::new(ring.capacity.slots()),
            ring,
            endpoints: Interner::default(),
            services: Interner::default(),
            interfaces: Interner::default(),
            policies: Interner::default(),
            rests: Interner::default(),
            erasures: 0,
            unannounced: false,
        }
    }

    /// The ring that is written.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Raised now and then, by the end of an append: numbers from before may be taken back from then on.
    pub const fn epoch(&self) -> u64 {
        self.epochs.current()
    }

    /// Raised whenever numbers were taken back: what was remembered by number may be wrong then.
    pub const fn erasures(&self) -> u64 {
        self.erasures
    }

    /// The number of an end.
    pub fn endpoint(&mut self, endpoint: &Arc<FlowEndpoint>) -> EndpointId {
        EndpointId(self.endpoints.intern(endpoint, self.epochs.current()))
    }

    /// The number of a service.
    pub fn service(&mut self, service: &Arc<ObjectName>) -> ServiceId {
        ServiceId(self.services.intern(service, self.epochs.current()))
    }

    /// The number of an interface.
    pub fn interface(&mut self, interface: &Arc<Interface>) -> InterfaceId {
        InterfaceId(self.interfaces.intern(interface, self.epochs.current()))
    }

    /// The number of a list of policies; `None` for an empty list.
    pub fn policies(&mut self, policies: &Arc<[PolicyRef]>) -> Option<PoliciesId> {
        (!policies.is_empty()).then(|| PoliciesId(self.policies.intern(policies, self.epochs.current())))
    }

    /// The number of what a flow's message says beyond its record.
    pub fn rest(&mut self, rest: &Arc<Rest>) -> RestId {
        RestId(self.rests.intern(rest, self.epochs.current()))
    }

    /// Writes flows and wakes those who wait for them. They can be read at once.
    pub fn append(&mut self, records: &[Record]) {
        self.write(records);
        self.wake();
    }

    /// Writes flows. They can be read at once, and those who wait for them are woken by the next [`Writer::wake`].
    pub fn write(&mut self, records: &[Record]) {
        if records.is_empty() {
            return;
        }
        self.unannounced = true;
        self.publish_names();
        let mut rest = records;
        while !rest.is_empty() {
            rest = self.append_to_block(rest);
        }
        self.sweep();
    }

    /// Wakes those who wait for flows that were written since the last call.
    pub fn wake(&mut self) {
        if std::mem::take(&mut self.unannounced) {
            self.ring.arrivals.notify_waiters();
        }
    }

    /// Fills the block of the next flow and returns the records that are left.
    fn append_to_block<'a>(&self, records: &'a [Record]) -> &'a [Record] {
        let Ring { block_len, written, .. } = &*self.ring;
        let sequence = written.load(Ordering::Relaxed);
        let place = self.ring.place(sequence);
        let len = usize::try_from(*block_len).expect("invariant: a block is small");
        let (now, rest) = records.split_at(records.len().min(len - place));
        let mut block = self
            .ring
            .slot(sequence)
            .write()
            .expect("invariant: nothing panics while it holds a block's lock");
        let times = Times::of(now.iter().map(|record| record.time_ns));
        block.store(sequence, place, now, times, len);
        self.index(sequence, times);
        written.store(sequence + now.len() as u64, Ordering::Release);
        rest
    }

    /// Tells the group of a flow's block of times that are written now, before the flows can be read.
    fn index(&self, sequence: u64, times: Times) {
        let group = self.ring.group(sequence);
        let mut group = group.write().expect("invariant: nothing panics while it holds a group's lock");
        if sequence.is_multiple_of(self.ring.group_len) {
            group.begin(sequence);
        }
        group.add(times);
    }

    /// Ends the epoch if it is due, and takes back numbers that no record in any slot uses. A reader that holds a
    /// block's lock keeps the writer from overwriting that block, so the records it copies are in their slots, and
    /// their names in the table.
    fn sweep(&mut self) {
        let Some(oldest) = self.epochs.end(self.ring.written()) else { return };
        let swept = [
            self.endpoints.sweep(oldest),
            self.services.sweep(oldest),
            self.interfaces.sweep(oldest),
            self.policies.sweep(oldest),
            self.rests.sweep(oldest),
        ];
        if swept.contains(&true) {
            self.erasures += 1;
            self.publish_names();
        }
    }

    fn publish_names(&mut self) {
        let changes = (
            self.endpoints.take_change(),
            self.services.take_change(),
            self.interfaces.take_change(),
            self.policies.take_change(),
            self.rests.take_change(),
        );
        if matches!(changes, (None, None, None, None, None)) {
            return;
        }
        let mut names = Names::clone(&self.ring.names.load());
        names.erasures = self.erasures;
        let (endpoints, services, interfaces, policies, rests) = changes;
        if let Some(table) = endpoints {
            names.endpoints = table;
        }
        if let Some(table) = services {
            names.services = table;
        }
        if let Some(table) = interfaces {
            names.interfaces = table;
        }
        if let Some(table) = policies {
            names.policies = table;
        }
        if let Some(table) = rests {
            names.rests = table;
        }
        self.ring.names.store(Arc::new(names));
    }

    /// How many names of every kind are held.
    #[cfg(test)]
    pub(super) fn held_names(&self) -> usize {
        self.endpoints.len()
            + self.services.len()
            + self.interfaces.len()
            + self.policies.len()
            + self.rests.len()
    }
}
