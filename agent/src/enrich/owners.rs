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
/// Earlier owners that are kept in all, about a kilobyte each; beyond that the earliest is forgotten.
const MAX_OWNERS: usize = 16_384;

/// The earlier owners of addresses.
#[derive(Debug, Default)]
pub struct Owners {
    former: HashMap<IpAddr, VecDeque<Former>>,
    /// All of them and some that were forgotten already, the earliest first, by number and address.
    order: VecDeque<(u64, IpAddr)>,
    next: u64,
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
    number: u64,
    pod: Arc<PodEntry>,
    /// When it was found to have it no longer.
    until_ns: u64,
}

// === impl Owners ===

impl Owners {
    /// Keeps those who lose their address by the change from one directory to the next. `now_ns` is of the kernel's
    /// clock.
    pub fn change(&mut self, old: &Directory, new: &Directory, now_ns: u64) {
        for change in old.addresses.changes(&new.addresses) {
            let Some(pod) = change.before else { continue };
            if change.after.is_none_or(|now| !is_same_pod(now, pod)) {
                self.add(*change.key, pod, now_ns);
            }
        }
        self.forget(now_ns);
    }

    fn add(&mut self, address: IpAddr, pod: &Arc<PodEntry>, until_ns: u64) {
        let owners = self.former.entry(address).or_default();
        owners.push_back(Former { number: self.next, pod: Arc::clone(pod), until_ns });
        if owners.len() > MAX_PER_ADDRESS {
            owners.pop_front();
        }
        self.order.push_back((self.next, address));
        self.next += 1;
    }

    /// Forgets the earliest, for as long as they are too old or too many.
    fn forget(&mut self, now_ns: u64) {
        while let Some((number, address)) = self.order.front() {
            let Some(owners) = self.former.get_mut(address) else {
                self.order.pop_front();
                continue;
            };
            let is_old = |owner: &Former| now_ns.saturating_sub(owner.until_ns) >= KEEP_NS;
            let is_earliest = owners.front().is_some_and(|owner| owner.number == *number);
            if is_earliest && self.order.len() <= MAX_OWNERS && !owners.front().is_some_and(is_old) {
                return;
            }
            if is_earliest {
                owners.pop_front();
            }
            if owners.is_empty() {
                self.former.remove(address);
            }
            self.order.pop_front();
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

#[cfg(test)]
mod tests {
    use palomar_model::flow::FlowEndpoint;
    use palomar_model::identity::Identity;
    use palomar_model::labels::LabelSet;
    use palomar_model::object::ObjectName;
    use palomar_model::world::Pod;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn pod(name: u32) -> Arc<PodEntry> {
        let name = ObjectName::new("demo", format!("pod-{name}"));
        Arc::new(PodEntry {
            internal_identity: 256,
            flow_endpoint: Arc::new(FlowEndpoint {
                id: 0,
                identity: Identity(256),
                labels: LabelSet::new(Vec::new()),
                pod: Some(name.clone()),
                workload: None,
                cluster: Arc::from("default"),
            }),
            pod: Arc::new(Pod::new(name)),
        })
    }

    fn address(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    fn having(owners: impl Iterator<Item = (u32, u32)>) -> Directory {
        let mut directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
        directory.addresses.extend(owners.map(|(at, name)| (address(at), pod(name))));
        directory
    }

    fn name_at(owners: &Owners, now: &Directory, at: u32, monotonic_ns: u64) -> Option<String> {
        let owner = owners.at(now, address(at), 256, monotonic_ns);
        owner.pod.map(|entry| entry.pod.name.name.clone())
    }

    #[test]
    fn the_last_four_owners_of_ten_minutes_are_known() {
        let mut owners = Owners::default();
        let one = |name| having([(1, name)].into_iter());
        for name in 1..=6 {
            owners.change(&one(name), &one(name + 1), u64::from(name) * SECOND);
        }
        let now = one(7);
        // (second, who had the address): of those before pod-3 nothing is known any more
        for (second, expected) in [(1, "pod-3"), (3, "pod-3"), (4, "pod-4"), (6, "pod-6"), (7, "pod-7")] {
            assert_eq!(name_at(&owners, &now, 1, second * SECOND).as_deref(), Some(expected), "{second} s");
        }
        owners.change(&now, &now, 605 * SECOND);
        assert_eq!(name_at(&owners, &now, 1, SECOND).as_deref(), Some("pod-6"), "the others are too old");
        owners.change(&now, &now, 607 * SECOND);
        assert_eq!(name_at(&owners, &now, 1, SECOND).as_deref(), Some("pod-7"));
        assert!(owners.former.is_empty() && owners.order.is_empty());
    }

    #[test]
    fn of_too_many_the_earliest_are_forgotten() {
        let mut owners = Owners::default();
        let nobody = having(std::iter::empty());
        let crowd = |first: u32| having((first..first + 10_000).map(|n| (n, n)));
        owners.change(&crowd(0), &nobody, SECOND);
        owners.change(&crowd(10_000), &nobody, 2 * SECOND);
        let kept = |first: u32| {
            (first..first + 10_000).filter(|n| name_at(&owners, &nobody, *n, SECOND).is_some()).count()
        };
        assert_eq!((kept(0), kept(10_000)), (MAX_OWNERS - 10_000, 10_000));
        assert_eq!(owners.former.len(), MAX_OWNERS);
    }
}
