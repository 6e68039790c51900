//! Attaching the programs to interfaces.

mod clsact;
mod remove;
mod run;
mod tcx;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use remove::{CleanError, clean, panic_audit};
pub use run::TestRun;

use crate::abi::Direction;
use crate::pins::{self, PinError, Pins};
use crate::sys;

/// Which hook to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hooks {
    /// tcx where the kernel has it, else clsact.
    #[default]
    Auto,
    /// tcx links; kernel 6.6 or later.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

/// Which hook is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// tcx links.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

impl Hooks {
    /// `None` where tcx is asked for and the kernel has none.
    pub(crate) fn resolve(self) -> Option<Hook> {
        match self {
            Self::Clsact => Some(Hook::Clsact),
            Self::Auto if !tcx::supported() => Some(Hook::Clsact),
            Self::Tcx if !tcx::supported() => None,
            Self::Auto | Self::Tcx => Some(Hook::Tcx),
        }
    }
}

/// Why an interface could not be attached, detached or looked at.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It vanished; nothing is left to do.
    #[error("interface {ifindex} is gone")]
    Gone {
        /// The interface.
        ifindex: u32,
    },
    /// Somebody else's filter has our place.
    #[error(
        "interface {ifindex}: the place of our tc filter ({hook}, priority {}, handle {:#x}) is taken by {owner}; remove that filter or choose tcx",
        clsact::PRIORITY,
        clsact::HANDLE
    )]
    Foreign {
        /// The interface.
        ifindex: u32,
        /// `ingress` or `egress`, of the interface.
        hook: &'static str,
        /// The filter as the kernel names it.
        owner: String,
    },
    /// The kernel refused.
    #[error("interface {ifindex}: cannot {action}")]
    Kernel {
        /// The interface.
        ifindex: u32,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A pin could not be made or removed.
    #[error(transparent)]
    Pin(#[from] PinError),
}

impl AttachError {
    /// Names the failure of a call on an interface; one that says that the interface does not exist becomes `Gone`.
    fn kernel(ifindex: u32, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.raw_os_error() {
            Some(libc::ENODEV | libc::ENOLINK) => Self::Gone { ifindex },
            _ => Self::Kernel { ifindex, action, source },
        }
    }
}

/// What attaching an interface did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// The hook in use.
    pub hook: Hook,
    /// Whether programs of an earlier load were there and were swapped in place, in both directions.
    pub adopted: bool,
}

/// The programs at one hook, in the order in which they see packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// As the pod sees it.
    pub direction: Direction,
    /// Kernel ids: tcx first, then clsact filters by priority (0 for a filter that is no BPF program).
    pub programs: Vec<u32>,
    /// Whether ours sees packets before all others; a program before it can hide packets from it.
    pub first: bool,
}

/// The two loaded programs.
#[derive(Debug)]
pub(crate) struct ProgramPair {
    pub(crate) from_pod: OwnedFd,
    pub(crate) to_pod: OwnedFd,
}

impl ProgramPair {
    fn of(&self, direction: Direction) -> &OwnedFd {
        match direction {
            Direction::Egress => &self.from_pod,
            Direction::Ingress => &self.to_pod,
        }
    }
}

/// Puts the programs on interfaces and takes them off. Blocking; a tcx link takes about 14 ms to make.
#[derive(Debug)]
pub struct Attacher {
    programs: ProgramPair,
    /// Kernel ids of the programs, by direction.
    ids: BTreeMap<Direction, u32>,
    hook: Hook,
    pins: Option<Pins>,
    /// What ends with this process: attachments where there are no pins.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    links: BTreeMap<(u32, Direction), OwnedFd>,
    /// Interfaces with our filters, and whether the qdisc is ours as well.
    filters: BTreeMap<u32, bool>,
}

// === impl Attacher ===

impl Attacher {
    /// Pins the programs first: a filter is ours if its program is one that is pinned.
    pub(crate) fn new(programs: ProgramPair, hook: Hook, pins: Option<Pins>) -> Result<Self, PinError> {
        let mut ids = BTreeMap::new();
        for direction in Direction::ALL {
            let program = programs.of(*direction);
            let folder = pins.as_ref().map(Pins::programs).unwrap_or_default();
            let id = sys::program::id(program).map_err(PinError::io("inspect a program for", &folder))?;
            if pins.is_some() {
                let path = folder.join(format!("{}-{id}", name(*direction)));
                pins::remove_file(&path)?;
                sys::object::pin(program, &path).map_err(PinError::io("pin", &path))?;
            }
            ids.insert(*direction, id);
        }
        Ok(Self { programs, ids, hook, pins, held: Mutex::default() })
    }

    /// The hook in use.
    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// Kernel id of the program for a direction.
    pub fn program_id(&self, direction: Direction) -> u32 {
        self.ids[&direction]
    }

    /// Attaches both directions of an interface, which may be attached already. Programs of an earlier load are swapped
    /// atomically; after a change of the hook, the new attachment is there before the old one goes.
    pub fn attach(&self, ifindex: u32) -> Result<Attached, AttachError> {
        let adopted = match self.hook {
            Hook::Tcx => self.attach_tcx(ifindex)?,
            Hook::Clsact => self.attach_clsact(ifindex)?,
        };
        self.leave_other_hook(ifindex)?;
        Ok(Attached { hook: self.hook, adopted })
    }

    /// Takes everything of ours off an interface; one that is gone, or has nothing of ours, is fine.
    pub fn detach(&self, ifindex: u32) -> Result<(), AttachError> {
        for direction in Direction::ALL {
            self.held().links.remove(&(ifindex, *direction));
        }
        let held_qdisc = self.held().filters.remove(&ifindex);
        if let Some(pins) = &self.pins {
            remove::tcx_links(pins, ifindex)?;
            remove::clsact_filters(pins, ifindex, &self.our_programs())?;
        } else if let Some(qdisc) = held_qdisc {
            clsact::remove(ifindex, &self.our_programs(), qdisc)?;
        }
        Ok(())
    }

    /// Detaches every interface but these, and forgets those that are gone. Gives the interfaces that were let go.
    /// One that fails does not keep the others; the first failure is told.
    pub fn retain(&self, interfaces: &BTreeSet<u32>) -> Result<Vec<u32>, AttachError> {
        let others: Vec<u32> = self.attached().difference(interfaces).copied().collect();
        let mut failure = None;
        for ifindex in &others {
            if let Err(error) = self.detach(*ifindex) {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(others), Err)
    }

    /// Interfaces that have something of ours by the pins; some may be gone.
    pub fn attached(&self) -> BTreeSet<u32> {
        let held = self.held();
        let mut interfaces: BTreeSet<u32> = held.links.keys().map(|(ifindex, _)| *ifindex).collect();
        interfaces.extend(held.filters.keys());
        if let Some(pins) = &self.pins {
            interfaces.extend(pins.pinned_links().into_iter().map(|(ifindex, ..)| ifindex));
            interfaces.extend(pins.clsact_interfaces());
        }
        interfaces
    }

    /// Who sees packets at both hooks of an interface, and whether ours is the first.
    pub fn order(&self, ifindex: u32) -> Result<Vec<Order>, AttachError> {
        let order = |direction: &Direction| {
            let mut programs = tcx::order(ifindex, *direction)?;
            programs.extend(clsact::order(ifindex, *direction)?);
            let first = programs.first() == Some(&self.program_id(*direction));
            Ok(Order { direction: *direction, programs, first })
        };
        Direction::ALL.iter().map(order).collect()
    }

    /// Removes the pins of programs of earlier loads; interfaces that still run them must have been attached again.
    pub(crate) fn forget_old_programs(&self) -> Result<(), PinError> {
        let Some(pins) = &self.pins else { return Ok(()) };
        for (id, path) in pins.pinned_programs() {
            if !self.ids.values().any(|ours| *ours == id) {
                pins::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn our_programs(&self) -> BTreeSet<u32> {
        let mut ids: BTreeSet<u32> = self.ids.values().copied().collect();
        if let Some(pins) = &self.pins {
            ids.extend(pins.pinned_programs().into_iter().map(|(id, _)| id));
        }
        ids
    }

    fn attach_tcx(&self, ifindex: u32) -> Result<bool, AttachError> {
        let mut adopted = true;
        for direction in Direction::ALL {
            let program = self.programs.of(*direction);
            if let Some(pins) = &self.pins {
                adopted &= tcx::attach_pinned(program, ifindex, *direction, &pins.link(ifindex, *direction))?;
                continue;
            }
            let held = match self.held().links.get(&(ifindex, *direction)) {
                Some(link) => tcx::swap(link, program, ifindex)?,
                None => false,
            };
            if !held {
                let link = tcx::attach(program, ifindex, *direction)?;
                self.held().links.insert((ifindex, *direction), link);
            }
            adopted &= held;
        }
        Ok(adopted)
    }

    fn attach_clsact(&self, ifindex: u32) -> Result<bool, AttachError> {
        let ours = self.our_programs();
        let made_qdisc = clsact::ensure_qdisc(ifindex)?;
        // A qdisc without our filters is not ours, whatever was remembered of an earlier interface with this index.
        let forget_qdisc = !made_qdisc && !clsact::has_ours(ifindex, &ours)?;
        if let Some(pins) = &self.pins {
            if made_qdisc {
                pins::create_folder(&pins.qdisc_mark(ifindex))?;
            } else if forget_qdisc {
                pins::remove_folder(&pins.qdisc_mark(ifindex))?;
            }
            pins::create_folder(&pins.clsact_mark(ifindex))?;
        } else {
            let mut held = self.held();
            let our_qdisc = held.filters.entry(ifindex).or_default();
            *our_qdisc = made_qdisc || *our_qdisc && !forget_qdisc;
        }
        let mut adopted = true;
        for direction in Direction::ALL {
            adopted &=
                clsact::attach(self.programs.of(*direction), name(*direction), ifindex, *direction, &ours)?;
        }
        Ok(adopted)
    }

    fn leave_other_hook(&self, ifindex: u32) -> Result<(), AttachError> {
        let Some(pins) = &self.pins else { return Ok(()) };
        match self.hook {
            Hook::Tcx => remove::clsact_filters(pins, ifindex, &self.our_programs()),
            Hook::Clsact => remove::tcx_links(pins, ifindex),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attacher {
    /// Without pins, filters would outlive the process although nobody could find them again.
    fn drop(&mut self) {
        let filters: Vec<u32> = self.held().filters.keys().copied().collect();
        for ifindex in filters {
            if let Err(error) = self.detach(ifindex) {
                tracing::warn!(
                    ifindex,
                    error = &error as &dyn std::error::Error,
                    "cannot remove our tc filters"
                );
            }
        }
    }
}

fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "from_pod",
        Direction::Ingress => "to_pod",
    }
}
