//! Whose an address was at a moment: the directory of now, and for a while those who had it before.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use crate::directory::{Directory, PodEntry};

/// Earlier owners of one address that are kept.
const MAX_PER_ADDRESS: usize = 4;
/// How long an earlier owner is kept after it lost its address, in nanoseconds. Events are seconds old at most,
/// but those that the kernel's ring kept while no agent ran are older.
const KEEP_NS: u64 = 600_000_000_000;
/// Addresses with earlier owners that are kept.
const MAX_ADDRESSES: usize = 65_536;

/// The earlier owners of addresses.
#[derive(Debug, Default)]
pub struct Owners {
    former: HashMap<IpAddr, VecDeque<Former>>,
}

/// Whose an address was at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// `None` if nobody who had the address is known to have had this identity.
    pub pod: Option<&'a Arc<PodEntry>>,
    /// The first moment from which on the answer stays the same; `u64::MAX` if it is good for the moment only.
    pub since_ns: u64,
}

/// A pod that had an address.
#[derive(Debug)]
struct Former {
    pod: Arc<PodEntry>,
    /// When it was found to have it no longer.
    until_ns: u64,
}

// === impl Owners ===

impl Owners {
    /// Keeps those who lose their address by the change from one directory to the next. `now_ns` is of the kernel's
    /// clock.
    pub fn change(&mut self, old: &Directory, new: &Directory, now_ns: u64) {
        self.former.retain(|_, owners| {
            owners.retain(|owner| now_ns.saturating_sub(owner.until_ns) < KEEP_NS);
            !owners.is_empty()
        });
        for (address, pod) in &old.addresses {
            if new.addresses.get(address).is_some_and(|now| is_same_pod(now, pod)) {
                continue;
            }
            if self.former.len() >= MAX_ADDRESSES && !self.former.contains_key(address) {
                continue;
            }
            let owners = self.former.entry(*address).or_default();
            owners.push_back(Former { pod: Arc::clone(pod), until_ns: now_ns });
            if owners.len() > MAX_PER_ADDRESS {
                owners.pop_front();
            }
        }
    }

    /// The pod that had the address and this identity at a moment of the kernel's clock.
    pub fn at<'a>(
        &'a self,
        directory: &'a Directory,
        address: IpAddr,
        internal_identity: u32,
        monotonic_ns: u64,
    ) -> Owner<'a> {
        let now = directory.addresses.get(&address).filter(|pod| pod.internal_identity == internal_identity);
        let former = self.former.get(&address).into_iter().flatten();
        let former = former.filter(|owner| owner.pod.internal_identity == internal_identity);
        let (mut last, mut until_ns) = (None, None);
        for owner in former {
            // two pods of one identity may have had the address, one after the other: then the moment decides
            if monotonic_ns <= owner.until_ns {
                return Owner { pod: Some(&owner.pod), since_ns: u64::MAX };
            }
            last = Some(&owner.pod);
            until_ns = until_ns.max(Some(owner.until_ns));
        }
        Owner { pod: now.or(last), since_ns: until_ns.map_or(0, |until_ns: u64| until_ns.saturating_add(1)) }
    }
}

fn is_same_pod(one: &PodEntry, other: &PodEntry) -> bool {
    one.internal_identity == other.internal_identity
        && one.pod.name == other.pod.name
        && one.pod.uid == other.pod.uid
}
