//! The addresses of a lab. They are the same in each lab: network namespaces keep labs apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{LabError, PodSpec, Topology};

/// The node's own, on its uplink: /24 and /64.
pub const NODE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1))];

/// The router outside, on the other end of the uplink.
pub const ROUTER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xfe)),
];

/// A host outside, reached by routing: for `ipBlock` rules and for `world`.
pub const OUTSIDE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
];

/// The pod network's gateways, on `cni0` where the topology is a bridge: the first of 10.244.0.0/16 and of
/// `fd00:10:244::/64`.
pub const GATEWAY: [IpAddr; 2] = [IpAddr::V4(pod_v4(1)), IpAddr::V6(pod_v6(1))];

/// The first host number that is given to a pod.
const FIRST_POD: u16 = 10;

/// Gives addresses to pods. One that was given is never given again, so that a recreated pod gets another.
#[derive(Debug)]
pub(crate) struct AddressPlan {
    topology: Topology,
    next: u16,
    taken: BTreeSet<IpAddr>,
}

// === impl AddressPlan ===

impl AddressPlan {
    pub(crate) fn new(topology: Topology) -> Self {
        let own = [NODE, ROUTER, OUTSIDE, GATEWAY].concat();
        Self { topology, next: FIRST_POD, taken: own.into_iter().collect() }
    }

    /// The addresses of a pod: those it asks for, or else a new one of each family.
    pub(crate) fn take(&mut self, pod: &PodSpec) -> Result<Vec<IpAddr>, LabError> {
        if pod.addresses.is_empty() {
            return self.take_next();
        }
        for (index, address) in pod.addresses.iter().copied().enumerate() {
            let pod_name = || pod.name.to_string();
            if self.taken.contains(&address) || pod.addresses[..index].contains(&address) {
                return Err(LabError::AddressTaken { pod: pod_name(), address });
            }
            if self.topology == Topology::Bridge && !in_pod_network(address) {
                return Err(LabError::NotOnBridge { pod: pod_name(), address });
            }
        }
        self.taken.extend(&pod.addresses);
        Ok(pod.addresses.clone())
    }

    /// Makes the addresses that a removed pod has asked for free again.
    pub(crate) fn give_back(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            self.taken.remove(address);
        }
    }

    fn take_next(&mut self) -> Result<Vec<IpAddr>, LabError> {
        loop {
            let host = self.next;
            // the last is the broadcast address
            self.next = host.checked_add(1).ok_or(LabError::AddressesExhausted)?;
            let pair = [IpAddr::V4(pod_v4(host)), IpAddr::V6(pod_v6(host))];
            if !pair.iter().any(|address| self.taken.contains(address)) {
                self.taken.extend(pair);
                return Ok(pair.to_vec());
            }
        }
    }
}

/// A MAC address made from an IP address, as the bridge plugin makes them: nothing has to be resolved to know it.
pub(crate) fn mac_of(address: IpAddr) -> [u8; 6] {
    let [a, b, c, d] = match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            [a, b, c, d]
        }
    };
    [0x0a, 0x58, a, b, c, d]
}

/// `0a:58:…`
pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

const fn pod_v4(host: u16) -> Ipv4Addr {
    let [high, low] = host.to_be_bytes();
    Ipv4Addr::new(10, 244, high, low)
}

const fn pod_v6(host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, host)
}

fn in_pod_network(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..2] == pod_v4(0).octets()[..2],
        IpAddr::V6(v6) => v6.segments()[..4] == pod_v6(0).segments()[..4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(topology: Topology) -> AddressPlan {
        AddressPlan::new(topology)
    }

    #[test]
    fn pods_get_both_families_and_never_an_address_twice() {
        let mut plan = plan(Topology::Bridge);
        let asked = plan.take(&PodSpec::new("a", "asked").address(pod_v4(11))).unwrap();
        let first = plan.take(&PodSpec::new("a", "first")).unwrap();
        let second = plan.take(&PodSpec::new("a", "second")).unwrap();
        assert_eq!(asked, [IpAddr::V4(pod_v4(11))]);
        assert_eq!(first, [IpAddr::V4(pod_v4(10)), IpAddr::V6(pod_v6(10))]);
        assert_eq!(second, [IpAddr::V4(pod_v4(12)), IpAddr::V6(pod_v6(12))]);
        plan.give_back(&first);
        assert_eq!(plan.take(&PodSpec::new("a", "first")).unwrap()[0], IpAddr::V4(pod_v4(13)));
    }

    #[test]
    fn an_address_that_is_taken_or_off_the_bridge_is_refused() {
        let far: IpAddr = "10.1.2.3".parse().unwrap();
        let taken = |result: Result<_, LabError>| matches!(result, Err(LabError::AddressTaken { .. }));
        let mut bridge = plan(Topology::Bridge);
        assert!(matches!(
            bridge.take(&PodSpec::new("a", "b").address(far)),
            Err(LabError::NotOnBridge { .. })
        ));
        assert!(taken(bridge.take(&PodSpec::new("a", "b").address(GATEWAY[0]))));
        let mut routed = plan(Topology::Routed);
        routed.take(&PodSpec::new("a", "b").address(far)).unwrap();
        assert!(taken(routed.take(&PodSpec::new("a", "c").address(far))));
        assert!(taken(routed.take(&PodSpec::new("a", "d").address(pod_v4(9)).address(pod_v4(9)))));
    }
}
