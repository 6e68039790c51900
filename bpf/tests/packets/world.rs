//! Who is who in the tests, and the policies they need.

use crate::craft::address;
use crate::datapath::{Datapath, ENDPOINT, IDENTITY, Load};
use palomar_bpf::abi::{
    ADDRESS_NODE, Address, Direction, IDENTITY_HOST, Mode, POLICY_CHECK_SOURCE, POLICY_ENFORCED,
    POLICY_ISOLATED_EGRESS, POLICY_ISOLATED_INGRESS, RULE_PREFIX_PEER, RULE_PREFIX_PORT,
    RULE_PREFIX_PROTOCOL, RuleKey,
};

/// Policy set in force.
pub const SET: u32 = 3;
pub const FRIEND: u32 = 600;
pub const STRANGER: u32 = 700;
pub const CLASS: u32 = 5;

/// The observed pod is `10.0.0.10` and `fd00::10`, its node `10.0.0.1`. On another node there are a friend, `10.0.0.20`
/// and `fd00::20`, and a stranger, `10.0.0.30` and `fd00::30`; here is another observed pod with the friend's identity,
/// `10.0.0.40`. `192.0.2.0/24` is of a CIDR class, and all else is world.
pub fn world(load: Load) -> Datapath {
    let mut datapath = Datapath::with(load);
    let known = [
        ("10.0.0.10", IDENTITY, ENDPOINT, 0),
        ("fd00::10", IDENTITY, ENDPOINT, 0),
        ("10.0.0.20", FRIEND, 0, 0),
        ("fd00::20", FRIEND, 0, 0),
        ("10.0.0.30", STRANGER, 0, 0),
        ("fd00::30", STRANGER, 0, 0),
        ("10.0.0.40", FRIEND, 88, 0),
        ("10.0.0.1", IDENTITY_HOST, 0, ADDRESS_NODE),
    ];
    for (text, identity, endpoint, flags) in known {
        datapath.address(address(text), Address { identity, class: 0, endpoint, flags });
    }
    datapath.cidr(address("192.0.2.0"), 24, CLASS);
    datapath
}

/// [`world`] in which the pod is isolated both ways, policy enforced, and nothing allowed yet.
pub fn isolated(mode: Mode) -> Datapath {
    isolated_with(mode, Load::default())
}

pub fn isolated_with(mode: Mode, load: Load) -> Datapath {
    let mut datapath = world(load);
    datapath.mode(mode);
    datapath.policy(SET, 1, POLICY_ISOLATED_INGRESS | POLICY_ISOLATED_EGRESS | POLICY_ENFORCED);
    datapath
}

/// As [`isolated`], with source addresses checked and nothing isolated.
pub fn checked(mode: Mode) -> Datapath {
    let mut datapath = world(Load::default());
    datapath.mode(mode);
    datapath.policy(SET, 1, POLICY_CHECK_SOURCE | POLICY_ENFORCED);
    datapath
}

/// All protocols from or to `peer`.
pub fn peer_rule(peer: u32, direction: Direction) -> RuleKey {
    RuleKey {
        prefix_len: RULE_PREFIX_PEER,
        set: SET,
        peer,
        direction: direction.number(),
        protocol: 0,
        port: 0,
    }
}

/// All ports of `protocol`.
pub fn protocol_rule(peer: u32, direction: Direction, protocol: u8) -> RuleKey {
    RuleKey { prefix_len: RULE_PREFIX_PROTOCOL, protocol, ..peer_rule(peer, direction) }
}

pub fn port_rule(peer: u32, direction: Direction, protocol: u8, port: u16) -> RuleKey {
    RuleKey { prefix_len: RULE_PREFIX_PORT, port: port.to_be(), ..protocol_rule(peer, direction, protocol) }
}
