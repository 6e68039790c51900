//! Addresses that have another meaning than before, and whom that concerns: an endpoint whose rules speak of neither the
//! old meaning nor the new one judges them alike, and is left alone.

use foldhash::HashSet;
use palomar_bpf::abi::{ADDRESS_NODE, ADDRESS_SERVICE, Address, PEER_CLASS, RuleKey};
use palomar_policy::PeerKey;

/// Who a rule speaks of: whether it is a service, and the number of the key.
pub(super) type Of = (bool, u32);

/// What has moved since the endpoints that it concerns last got a new revision.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// An address or a port of the node is among them, which is judged by more than rules.
    all: bool,
    peers: HashSet<Of>,
    /// The endpoints that had one of the addresses, or have it.
    endpoints: HashSet<u32>,
}

impl Moved {
    /// An address of the one meaning has the other now.
    pub(super) fn note(&mut self, old: Address, new: Address) {
        self.all |= (old.flags | new.flags) & ADDRESS_NODE != 0;
        self.endpoints.extend([old.endpoint, new.endpoint].into_iter().filter(|endpoint| *endpoint != 0));
        self.peers.extend([old, new].into_iter().flat_map(peers_of));
    }

    /// A node port leads to other backends; `None`: it is the node's own.
    pub(super) fn note_node_port(&mut self, old: Option<u32>, new: Option<u32>) {
        self.all |= old.is_none() || new.is_none();
        self.peers.extend([old, new].into_iter().flatten().map(|number| (true, number)));
    }

    /// Whether an endpoint has to judge its connections again, whatever its rules are.
    pub(super) fn concerns_endpoint(&self, endpoint: u32) -> bool {
        self.all || self.endpoints.contains(&endpoint)
    }

    /// The meanings; endpoints whose rules speak of one of them have to as well.
    pub(super) const fn peers(&self) -> &HashSet<Of> {
        &self.peers
    }
}

/// Of whom a rule speaks.
pub(super) const fn of(key: &RuleKey) -> Of {
    (key.direction == PeerKey::SERVICE_DIRECTION, key.peer)
}

fn peers_of(address: Address) -> impl Iterator<Item = Of> {
    if address.flags & ADDRESS_SERVICE != 0 {
        return [Some((true, address.class)), None].into_iter().flatten();
    }
    let class = (address.class != 0).then_some((false, PEER_CLASS | address.class));
    [Some((false, address.identity)), class].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use palomar_bpf::abi::{DIRECTION_SERVICE, Direction};

    use super::*;

    const CLASS_OF_300: u32 = 0x12c;

    fn pod(identity: u32, class: u32, endpoint: u32) -> Address {
        Address { identity, class, endpoint, flags: 0 }
    }

    #[test]
    fn those_are_concerned_whose_rules_speak_of_the_old_or_of_the_new() {
        let service = |number| Address { identity: 2, class: number, endpoint: 0, flags: ADDRESS_SERVICE };
        let node = Address { flags: ADDRESS_NODE, ..pod(1, 0, 0) };
        let rule = |peer, direction| RuleKey { peer, direction, ..RuleKey::default() };
        let of = |peer| rule(peer, Direction::Egress.number());
        for (what, old, new, key, concerned) in [
            ("the old identity", pod(300, 0, 0), pod(301, 0, 0), of(300), true),
            ("the new identity", pod(300, 0, 0), pod(301, 0, 0), of(301), true),
            ("another identity", pod(300, 0, 0), pod(301, 0, 0), of(302), false),
            ("the old class", pod(300, 7, 0), pod(300, 0, 0), of(PEER_CLASS | 7), true),
            (
                "a class of the identity's number",
                pod(300, 0, 0),
                pod(301, 0, 0),
                of(PEER_CLASS | CLASS_OF_300),
                false,
            ),
            ("any peer, as before", pod(300, 0, 0), pod(301, 0, 0), of(0), false),
            ("the new backends", service(5), service(6), rule(6, DIRECTION_SERVICE), true),
            ("an identity of their number", service(5), service(6), of(6), false),
            ("nothing of a node", node, pod(300, 0, 0), of(9), true),
        ] {
            let mut moved = Moved::default();
            moved.note(old, new);
            let is_concerned = moved.concerns_endpoint(77) || moved.peers().contains(&super::of(&key));
            assert_eq!(is_concerned, concerned, "{what}");
        }
        let mut moved = Moved::default();
        moved.note(pod(300, 0, 77), pod(2, 0, 0));
        assert!(moved.concerns_endpoint(77), "who had the address");
        assert!(!moved.concerns_endpoint(78), "somebody else");
        assert!(Moved::default().peers().is_empty(), "nothing has moved");
    }
}
