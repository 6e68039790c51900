//! What every endpoint of the fake kernel says of everyone, in both directions.

use foldhash::HashMap;

use super::*;

/// Two endpoints: the pod that the other tests know, and another one.
pub(super) const ENDPOINTS: [u32; 2] = [WEB, 8];
pub(super) const SERVICES: [&str; 2] = [SERVICE, "10.96.0.2"];
pub(super) const NODE_PORTS: [u16; 2] = [30_443, 30_444];

/// One question, and the answer.
pub(super) type Verdict = ((u32, Direction, &'static str, u16), bool);

/// The rules of one set, by direction and peer.
type Rules<'k> = HashMap<(u8, u32), Vec<&'k RuleKey>>;

/// The answers to all questions; where an endpoint is not observed, everything passes.
pub(super) fn judge(kernel: &Kernel) -> Vec<Verdict> {
    let mut all = Vec::new();
    for ifindex in ENDPOINTS {
        let word = kernel.endpoints.get(&ifindex).map(|endpoint| endpoint.policy).unwrap_or_default();
        let mut rules = Rules::default();
        for key in kernel.rules.keys().filter(|key| key.set == word.set()) {
            rules.entry((key.direction, key.peer)).or_default().push(key);
        }
        for (direction, isolated) in [
            (Direction::Ingress, abi::POLICY_ISOLATED_INGRESS),
            (Direction::Egress, abi::POLICY_ISOLATED_EGRESS),
        ] {
            let is_open = word.flags() & isolated == 0;
            let machines = PODS.iter().map(|(address, _)| *address).chain(OUTSIDE).chain(SERVICES);
            for (address, port) in machines.flat_map(|address| [80, 443].map(|port| (address, port))) {
                let passes = is_open || allows(kernel, &rules, direction, address.parse().unwrap(), port);
                all.push(((ifindex, direction, address, port), passes));
            }
            for port in NODE_PORTS.into_iter().filter(|_| direction == Direction::Egress) {
                let number = kernel.node_ports.get(&NodePort { port: port.to_be(), ..NODE_PORT });
                let leads = number.is_some_and(|number| finds(&rules, abi::DIRECTION_SERVICE, *number, port));
                all.push(((ifindex, direction, "the node", port), is_open || leads));
            }
        }
    }
    all
}

fn allows(kernel: &Kernel, rules: &Rules<'_>, direction: Direction, peer: IpAddr, port: u16) -> bool {
    let known = kernel.addresses.get(&abi::address_bytes(peer));
    let service = known.filter(|known| known.flags & abi::ADDRESS_SERVICE != 0);
    if let Some(service) = service.filter(|_| direction == Direction::Egress) {
        return finds(rules, abi::DIRECTION_SERVICE, service.class, port);
    }
    let known = known.filter(|_| service.is_none()).map(|known| (known.identity, known.class));
    let (identity, class) = known.unwrap_or_else(|| (abi::IDENTITY_WORLD, kernel.class_of(peer)));
    let direction = direction as u8;
    finds(rules, direction, identity, port)
        || finds(rules, direction, abi::IDENTITY_ANY, port)
        || class != 0 && finds(rules, direction, abi::PEER_CLASS | class, port)
}

fn finds(rules: &Rules<'_>, direction: u8, peer: u32, port: u16) -> bool {
    let covers = |key: &&RuleKey| {
        let differing = u16::from_be(key.port) ^ port;
        let beyond = abi::RULE_PREFIX_PORT.checked_sub(key.prefix_len);
        let is_port = beyond.is_some_and(|beyond| differing.checked_shr(beyond).unwrap_or(0) == 0);
        key.prefix_len == abi::RULE_PREFIX_PEER || key.protocol == Protocol::Tcp.number() && is_port
    };
    rules.get(&(direction, peer)).is_some_and(|rules| rules.iter().any(covers))
}
