//! What the event shows of the rules that allow: how specific the most specific of them is, found out rule by rule.

use palomar_model::attribution::RuleRef;
use palomar_model::labels::Labels;
use palomar_model::netpol::{Peer, PortRule, Ports, Rule};
use palomar_model::ports::NamedPorts;
use palomar_model::selector::Selector;
use palomar_model::verdict::{Direction, MatchType};

use crate::Question;
use crate::generate::Cluster;

/// How specific a port rule is: nothing said 0, a protocol 1, and from there on by the size of the block of ports.
type Depth = u32;
const PROTOCOL: Depth = 1;

/// The type that these rules, which allow, come to.
pub fn expected(cluster: &Cluster, question: Question<'_>, rules: &[RuleRef]) -> MatchType {
    let Question { pod, peer, address, traffic, .. } = question;
    let none = NamedPorts::default();
    let named = match traffic.direction {
        Direction::Ingress => &pod.labels.named_ports,
        Direction::Egress => peer.map_or(&none, |peer| &peer.labels.named_ports),
    };
    let (mut by_identity, mut by_class, mut by_any) = (None, None, None);
    for rule_ref in rules {
        let policy = &cluster.world.policies[&rule_ref.policy];
        let rule = &policy.rules(rule_ref.direction).unwrap()[usize::try_from(rule_ref.index).unwrap()];
        let depth = Some(depth(rule, question, named));
        // what a port is called is the peer's own, so a rule that asks for this one only by name is one of the peer's
        let by_name = |port: &PortRule| matches!(port.ports, Ports::Named(_));
        let mut matching =
            rule.ports.iter().filter(|port| port.matches(traffic.protocol, traffic.port, named));
        let is_peers =
            traffic.direction == Direction::Egress && !rule.ports.is_empty() && matching.all(by_name);
        if rule.peers.is_empty() {
            by_any = by_any.max(depth);
            by_identity = by_identity.max(depth.filter(|_| is_peers));
        }
        let own = policy.name.namespace.as_str();
        let selects = |of: &Peer| match (of, peer) {
            (Peer::Pods { namespaces, pods }, Some(peer)) => {
                let labels = &peer.labels;
                let is = |selector: &Option<Selector>, labels: &Labels| {
                    selector.as_ref().is_none_or(|selector| selector.matches(labels))
                };
                (namespaces.is_some() || *labels.namespace == *own)
                    && is(namespaces, &labels.namespace_labels)
                    && is(pods, &labels.pod_labels)
            }
            _ => false,
        };
        let covers = |of: &Peer| matches!(of, Peer::Block(block) if block.contains(address));
        by_identity = by_identity.max(depth.filter(|_| rule.peers.iter().any(selects)));
        by_class = by_class.max(depth.filter(|_| rule.peers.iter().any(covers)));
    }
    // what speaks of an identity says what holds for anybody as well
    by_identity = by_identity.map(|depth| depth.max(by_any.unwrap_or(0)));
    let of_peer = by_identity.max(by_class);
    let (is_peers, depth) = (of_peer >= by_any, of_peer.max(by_any).unwrap());
    match (is_peers, depth) {
        (true, 0) => MatchType::L3Only,
        (true, PROTOCOL) => MatchType::L3Proto,
        (true, _) => MatchType::L3L4,
        (false, 0) => MatchType::All,
        (false, PROTOCOL) => MatchType::ProtoOnly,
        (false, _) => MatchType::L4Only,
    }
}

fn depth(rule: &Rule, question: Question<'_>, named: &NamedPorts) -> Depth {
    let traffic = question.traffic;
    let matching = rule.ports.iter().filter(|port| port.matches(traffic.protocol, traffic.port, named));
    let of = |ports: &Ports| match (ports, traffic.port) {
        (Ports::Every, _) | (_, None) => PROTOCOL,
        (Ports::Named(_), Some(_)) => PROTOCOL + 16,
        (Ports::Range(first, last), Some(port)) => PROTOCOL + 16 - block(*first, *last, port),
    };
    // the widest says all that the others of the same rule say
    matching.map(|port| of(&port.ports)).min().unwrap_or(0)
}

/// The greatest power of two whose aligned block around the port lies within the range.
fn block(first: u16, last: u16, port: u16) -> u32 {
    let fits = |bits: &u32| {
        let rest = u16::try_from((1_u32 << bits) - 1).unwrap();
        port & !rest >= first && port | rest <= last
    };
    (0..=16).rev().find(fits).unwrap()
}
