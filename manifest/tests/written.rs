//! A policy that was written as YAML is the same policy when it is read again.

#[path = "../../policy/tests/agreement/generate.rs"]
#[expect(dead_code, reason = "of the random clusters the policies alone are wanted")]
mod generate;

use std::collections::BTreeSet;

use palomar_manifest::{Object, parse};
use palomar_model::netpol::{NetworkPolicy, Peer};
use palomar_model::verdict::Direction;
use palomar_policy::yaml::{Marked, to_yaml};
use proptest::prelude::*;

/// Marks on every item: they are comments, and change nothing.
fn every_mark(policy: &NetworkPolicy) -> Marked {
    let mut marked = Marked::default();
    for direction in Direction::BOTH {
        for (number, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
            marked.peers.extend((0..rule.peers.len()).map(|at| (direction, number, at)));
            marked.ports.extend((0..rule.ports.len()).map(|at| (direction, number, at)));
        }
    }
    marked
}

proptest! {
    #[test]
    fn a_policy_that_was_written_is_read_as_the_same_policy(cluster in generate::cluster()) {
        for policy in cluster.world.policies.values() {
            for marked in [Marked::default(), every_mark(policy)] {
                let text = to_yaml(policy, &marked);
                let manifest = parse("written.yaml", &text);
                prop_assert_eq!(&manifest.errors, &[], "{}", text);
                let Object::NetworkPolicy(read) = &manifest.objects[0].object else { panic!("{text}") };
                prop_assert_eq!(means(read), means(policy), "{}", text);
            }
        }
    }
}

/// A policy with its requirements in one order: labels are written before expressions.
fn means(policy: &NetworkPolicy) -> String {
    let selectors: BTreeSet<String> =
        policy.pod_selector.requirements.iter().map(ToString::to_string).collect();
    let peers = |direction| {
        let rules = policy.rules(direction).unwrap_or_default().iter();
        rules.map(|rule| rule.peers.iter().map(sorted).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let ports = |direction| {
        let rules = policy.rules(direction).unwrap_or_default().iter();
        rules.map(|rule| rule.ports.clone()).collect::<Vec<_>>()
    };
    let isolates = Direction::BOTH.map(|direction| policy.rules(direction).is_some());
    let rules = Direction::BOTH.map(|direction| (peers(direction), ports(direction)));
    format!("{} {selectors:?} {isolates:?} {rules:?}", policy.name)
}

fn sorted(peer: &Peer) -> Peer {
    let mut peer = peer.clone();
    if let Peer::Pods { namespaces, pods } = &mut peer {
        for selector in [namespaces, pods].into_iter().flatten() {
            selector.requirements.sort();
        }
    }
    peer
}
