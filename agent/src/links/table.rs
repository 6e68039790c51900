//! What is known of the veths, and when each is to be asked about again; no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Link, Links};

/// How long after a change a veth is asked for its peer's addresses: a pod's address appears a moment after its veth,
/// an IPv6 one a moment after the IPv4 one.
const PAUSES: [Duration; 9] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
    Duration::from_millis(320),
    Duration::from_millis(640),
    Duration::from_millis(1280),
    Duration::from_secs(2),
];

/// A veth as a message tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Veth {
    pub(super) ifindex: u32,
    pub(super) name: String,
    pub(super) peer: u32,
    /// `None`: the peer is in the node's namespace as well.
    pub(super) namespace: Option<i32>,
}

#[derive(Debug)]
struct Entry {
    veth: Veth,
    addresses: Vec<IpAddr>,
    /// When to ask next, and how many pauses are done; `None`: the addresses are settled.
    due: Option<(Instant, usize)>,
}

/// Whom to ask: the interface on the node, and its peer's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) ifindex: u32,
    pub(super) namespace: i32,
    pub(super) peer: u32,
}

/// The veths, and the node's addresses.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<u32, Entry>,
    pub(super) node_addresses: BTreeSet<IpAddr>,
}

// === impl Table ===

impl Table {
    /// Takes a complete list: others are gone.
    pub(super) fn replace(&mut self, veths: Vec<Veth>, now: Instant) {
        let listed: BTreeSet<u32> = veths.iter().map(|veth| veth.ifindex).collect();
        self.entries.retain(|ifindex, _| listed.contains(ifindex));
        for veth in veths {
            self.change(veth, now);
        }
        self.ask_all(now);
    }

    /// A veth is there, is new or has changed. Its addresses are kept while its peer is the same.
    pub(super) fn change(&mut self, veth: Veth, now: Instant) {
        let addresses = match self.entries.remove(&veth.ifindex) {
            Some(old) if (old.veth.peer, old.veth.namespace) == (veth.peer, veth.namespace) => old.addresses,
            _ => Vec::new(),
        };
        self.entries.insert(veth.ifindex, Entry { veth, addresses, due: Some((now, 0)) });
    }

    /// An interface is gone, of whatever kind.
    pub(super) fn remove(&mut self, ifindex: u32) {
        self.entries.remove(&ifindex);
    }

    /// Everybody is asked at once, and again for some time.
    pub(super) fn ask_all(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.due = Some((now, 0));
        }
    }

    /// Whom to ask now. Each is asked again later, until the pauses are through.
    pub(super) fn questions(&mut self, now: Instant) -> Vec<Question> {
        let mut questions = Vec::new();
        for entry in self.entries.values_mut() {
            let Some((due, pauses)) = entry.due else { continue };
            if due > now {
                continue;
            }
            entry.due = PAUSES.get(pauses).map(|pause| (now + *pause, pauses + 1));
            match entry.veth.namespace {
                Some(namespace) => {
                    questions.push(Question {
                        ifindex: entry.veth.ifindex,
                        namespace,
                        peer: entry.veth.peer,
                    });
                }
                None => entry.due = None,
            }
        }
        questions
    }

    /// The answer for an interface.
    pub(super) fn answer(&mut self, ifindex: u32, addresses: Vec<IpAddr>) {
        if let Some(entry) = self.entries.get_mut(&ifindex) {
            entry.addresses = addresses;
        }
    }

    /// When somebody is to be asked next; `None`: not before something changes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| Some(entry.due?.0)).min()
    }

    /// What the users see.
    pub(super) fn links(&self) -> Links {
        let link = |Entry { veth, addresses, due: _ }: &Entry| {
            let Veth { ifindex, name, peer, namespace } = veth.clone();
            let namespace = namespace?;
            Some((ifindex, Link { ifindex, name, peer, namespace, addresses: addresses.clone() }))
        };
        Links {
            veths: self.entries.values().filter_map(link).collect(),
            node_addresses: self.node_addresses.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veth(ifindex: u32, namespace: Option<i32>) -> Veth {
        Veth { ifindex, name: format!("veth{ifindex}"), peer: 2, namespace }
    }

    fn address(text: &str) -> Vec<IpAddr> {
        vec![text.parse().unwrap()]
    }

    #[test]
    fn a_new_veth_is_asked_at_once_and_again_with_growing_pauses_until_it_is_settled() {
        let start = Instant::now();
        let mut table = Table::default();
        table.change(veth(5, Some(0)), start);
        let mut asked = Vec::new();
        while let Some(due) = table.next() {
            assert_eq!(table.questions(due), [Question { ifindex: 5, namespace: 0, peer: 2 }]);
            assert_eq!(table.questions(due), [], "once for each time");
            asked.push(due.duration_since(start).as_millis());
        }
        assert_eq!(asked, [0, 10, 30, 70, 150, 310, 630, 1270, 2550, 4550]);
    }

    #[test]
    fn a_veth_with_both_ends_on_the_node_is_no_pod_and_is_never_asked() {
        let now = Instant::now();
        let mut table = Table::default();
        table.change(veth(5, None), now);
        assert_eq!(table.questions(now), []);
        assert_eq!(table.next(), None);
        assert!(table.links().veths.is_empty());
    }

    #[test]
    fn addresses_stay_while_the_peer_is_the_same_and_go_when_it_is_another() {
        let now = Instant::now();
        let mut table = Table::default();
        table.change(veth(5, Some(0)), now);
        table.answer(5, address("10.0.0.5"));
        table.change(Veth { name: "renamed".to_owned(), ..veth(5, Some(0)) }, now);
        let link = table.links().veths[&5].clone();
        assert_eq!((link.name.as_str(), link.addresses), ("renamed", address("10.0.0.5")));
        table.change(veth(5, Some(1)), now);
        assert_eq!(table.links().veths[&5].addresses, Vec::<IpAddr>::new());
    }

    #[test]
    fn a_list_removes_what_it_does_not_have() {
        let now = Instant::now();
        let mut table = Table::default();
        table.change(veth(5, Some(0)), now);
        table.change(veth(6, Some(1)), now);
        table.answer(6, address("10.0.0.6"));
        table.replace(vec![veth(6, Some(1)), veth(7, Some(2))], now);
        let links = table.links();
        assert_eq!(links.veths.keys().copied().collect::<Vec<_>>(), [6, 7]);
        assert_eq!(links.veths[&6].addresses, address("10.0.0.6"));
        assert_eq!(table.questions(now).len(), 2);
    }

    #[test]
    fn an_answer_for_a_veth_that_is_gone_is_forgotten() {
        let mut table = Table::default();
        table.change(veth(5, Some(0)), Instant::now());
        table.remove(5);
        table.answer(5, address("10.0.0.5"));
        assert_eq!(table.links(), Links::default());
    }
}
