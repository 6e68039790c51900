//! CIDR classes: an address belongs to the class that stands for exactly the ipBlocks that hold it, so that
//! `except` is right over pods and world alike with one look-up. Where a policy asks for a named port inside an ipBlock, the
//! class of a pod's address also says which port the pod means.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use foldhash::HashMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use palomar_model::netpol::{IpBlock, NetworkPolicy, Peer, Ports, Rule};
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::shared_map::SharedMap;

use crate::interner::Interner;

/// The ipBlocks of a class: sorted, without repeats, never empty.
pub type Blocks = Arc<[IpBlock]>;

/// A class: everything that a rule with an ipBlock may ask of an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CidrClass {
    /// The ipBlocks that hold the address.
    pub blocks: Blocks,
    /// The pod's named ports that some policy asks for inside an ipBlock; empty where the address is no pod's.
    pub named_ports: NamedPorts,
}

/// Stable numbers for classes: the same class keeps its number from one version of the world to the next.
/// Numbers run from 1 to 2³¹ − 1, so that a number fits beside the kernel's `PEER_CLASS` bit; 0 is no class.
#[derive(Debug, Clone, Default)]
pub struct ClassTable {
    interner: Interner<CidrClass>,
}

/// The classes of one set of ipBlocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes {
    /// Sorted: IPv4 before IPv6, a prefix before those inside it.
    prefixes: Vec<(IpNet, u32)>,
    by_prefix: HashMap<IpNet, u32>,
    /// The lengths of the prefixes of IPv4, and of those of IPv6.
    lengths: [BTreeSet<u8>; 2],
    /// Addresses of pods whose named ports are asked for inside the ipBlocks that hold them.
    pods: HashMap<IpAddr, u32>,
    /// How many such addresses a class has.
    of_pods: BTreeMap<u32, usize>,
    by_number: BTreeMap<u32, CidrClass>,
}

/// The name and protocol of a port that a policy asks for.
pub type PortName = (String, Protocol);

/// Every class number has been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {} numbers for CIDR classes have been given", ClassTable::LAST)]
pub struct ClassesExhausted;

/// Every ipBlock of the policies, once each.
pub fn blocks_of<'p>(policies: impl IntoIterator<Item = &'p NetworkPolicy>) -> BTreeSet<&'p IpBlock> {
    policies
        .into_iter()
        .flat_map(|policy| [policy.ingress.as_deref(), policy.egress.as_deref()])
        .flat_map(Option::unwrap_or_default)
        .flat_map(blocks_of_rule)
        .collect()
}

/// Every named port that the policies ask for inside an ipBlock, where the address decides what it means: in egress
/// rules.
pub fn port_names_in_blocks<'p>(policies: impl IntoIterator<Item = &'p NetworkPolicy>) -> BTreeSet<PortName> {
    let rules = policies.into_iter().flat_map(|policy| policy.egress.as_deref().unwrap_or_default());
    let rules = rules.filter(|rule| blocks_of_rule(rule).next().is_some());
    rules
        .flat_map(|rule| &rule.ports)
        .filter_map(|rule| match &rule.ports {
            Ports::Named(name) => Some((name.clone(), rule.protocol)),
            Ports::Every | Ports::Range(..) => None,
        })
        .collect()
}

fn blocks_of_rule(rule: &Rule) -> impl Iterator<Item = &IpBlock> {
    rule.peers.iter().filter_map(|peer| match peer {
        Peer::Block(block) => Some(block),
        Peer::Pods { .. } => None,
    })
}

// === impl ClassTable ===

impl ClassTable {
    /// The greatest class number.
    pub const LAST: u32 = 0x7fff_ffff;

    /// The classes of these blocks, in any order, repeats allowed. For a transition give the old and the new blocks
    /// together: every policy of either side can be compiled for the classes that come out.
    pub fn classify<'b>(
        &mut self,
        blocks: impl IntoIterator<Item = &'b IpBlock>,
    ) -> Result<Classes, ClassesExhausted> {
        let blocks: BTreeSet<&IpBlock> = blocks.into_iter().collect();
        let mut begins: BTreeMap<IpNet, Vec<&IpBlock>> = BTreeMap::new();
        let mut ends: BTreeMap<IpNet, Vec<&IpBlock>> = BTreeMap::new();
        for block in blocks {
            begins.entry(block.cidr).or_default().push(block);
            for except in &block.except {
                ends.entry(*except).or_default().push(block);
            }
        }
        let mut prefixes: BTreeSet<IpNet> = begins.keys().chain(ends.keys()).copied().collect();
        prefixes.extend(guard_of_ipv4(&prefixes));

        // In this order a prefix follows those it lies in, so a stack holds them: the innermost on top.
        let mut classes = Classes::default();
        let mut around: Vec<(IpNet, BTreeSet<&IpBlock>)> = Vec::new();
        for prefix in prefixes {
            while around.last().is_some_and(|(outer, _)| !outer.contains(&prefix)) {
                around.pop();
            }
            let mut inside = around.last().map(|(_, blocks)| blocks.clone()).unwrap_or_default();
            inside.extend(begins.get(&prefix).into_iter().flatten());
            for block in ends.get(&prefix).into_iter().flatten() {
                inside.remove(block);
            }
            classes.add(prefix, self.class_of_blocks(&inside)?);
            around.push((prefix, inside));
        }
        Ok(classes)
    }

    /// Gives the addresses of pods the classes that also say what the pods mean by these names of ports. To be told
    /// are [`port_names_in_blocks`] and every pod with its addresses, once each; where there are no names, nothing is
    /// done.
    pub fn classify_pods<'p>(
        &mut self,
        classes: &mut Classes,
        names: &BTreeSet<PortName>,
        pods: impl IntoIterator<Item = (IpAddr, &'p NamedPorts)>,
    ) -> Result<(), ClassesExhausted> {
        if names.is_empty() {
            return Ok(());
        }
        let classify = |(address, named_ports)| self.classify_pod(classes, names, address, Some(named_ports));
        pods.into_iter().map(classify).try_for_each(|done| done.map(drop))
    }

    /// As [`Self::classify_pods`], for one address that is another pod's than it was, or for `None` nobody's any more.
    /// Gives the numbers whose classes came or went with it: to be looked up in the classes.
    pub fn classify_pod(
        &mut self,
        classes: &mut Classes,
        names: &BTreeSet<PortName>,
        address: IpAddr,
        named_ports: Option<&NamedPorts>,
    ) -> Result<Vec<u32>, ClassesExhausted> {
        let address = address.to_canonical();
        let mut changed: Vec<u32> = classes.forget_pod(address).into_iter().collect();
        let asked = named_ports
            .map(|ports| ports.only(|port| names.iter().any(|(name, protocol)| port.is(name, *protocol))));
        if let Some(named_ports) = asked.filter(|ports| !ports.is_empty())
            && let Some(class) = classes.by_number.get(&classes.class_of(address))
        {
            let class = CidrClass { blocks: Arc::clone(&class.blocks), named_ports };
            let number = self.number(&class)?;
            classes.add_pod(address, number, class);
            changed.push(number);
        }
        Ok(changed)
    }

    /// Every class that has a number, by its number; to clone it costs little.
    pub const fn all(&self) -> &SharedMap<u32, CidrClass> {
        self.interner.all()
    }

    /// What a class stands for; `None` for 0, for a number that was not given, and for a forgotten one.
    pub fn get(&self, class: u32) -> Option<&CidrClass> {
        self.interner.get(class)
    }

    /// Every class that has a number, by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &CidrClass)> {
        self.interner.iter()
    }

    /// The number that the next new class gets.
    pub fn next(&self) -> u32 {
        self.interner.next()
    }

    /// Rebuilds the table from what [`ClassTable::iter`] and [`ClassTable::next`] told; blocks in any order. `None`: a
    /// number or a class stands twice, or a number is 0 or not below `next`.
    pub fn restore(
        next: u32,
        classes: impl IntoIterator<Item = (u32, Vec<IpBlock>, NamedPorts)>,
    ) -> Option<Self> {
        let classes = classes.into_iter().map(|(class, mut blocks, named_ports)| {
            blocks.sort();
            (class, CidrClass { blocks: Blocks::from(blocks), named_ports })
        });
        Some(Self { interner: Interner::restore(next, classes)? })
    }

    /// Forgets the classes whose number `keep` refuses; their numbers are not given again.
    pub fn retain(&mut self, keep: impl FnMut(u32) -> bool) {
        self.interner.retain(keep);
    }

    fn class_of_blocks(
        &mut self,
        blocks: &BTreeSet<&IpBlock>,
    ) -> Result<Option<(u32, CidrClass)>, ClassesExhausted> {
        if blocks.is_empty() {
            return Ok(None);
        }
        let blocks: Blocks = blocks.iter().copied().cloned().collect();
        let class = CidrClass { blocks, named_ports: NamedPorts::default() };
        Ok(Some((self.number(&class)?, class)))
    }

    fn number(&mut self, class: &CidrClass) -> Result<u32, ClassesExhausted> {
        self.interner.intern(class, Self::LAST).ok_or(ClassesExhausted)
    }
}

/// The kernel's trie holds IPv4 mapped into IPv6, where a short IPv6 prefix such as `::/0` covers all of IPv4. An
/// IPv6 block never holds an IPv4 address, so `0.0.0.0/0` must then stand in the trie even if nobody wrote it.
fn guard_of_ipv4(prefixes: &BTreeSet<IpNet>) -> Option<IpNet> {
    let mapped = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
    let hidden = prefixes.iter().any(|prefix| match prefix {
        IpNet::V4(_) => false,
        IpNet::V6(prefix) => prefix.prefix_len() <= 96 && prefix.contains(&mapped),
    });
    hidden.then(|| IpNet::V4(Ipv4Net::default()))
}

// === impl Classes ===

impl Classes {
    /// Every prefix with its class, for the kernel's longest prefix match; class 0: in no block. No IPv4 prefix is
    /// mapped into IPv6 yet. Where an IPv6 prefix would cover mapped IPv4 as well, `0.0.0.0/0` is among them.
    pub fn prefixes(&self) -> &[(IpNet, u32)] {
        &self.prefixes
    }

    /// Every class, by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &CidrClass)> {
        self.by_number.iter().map(|(number, class)| (*number, class))
    }

    /// The class of an address; 0: in no block. IPv4 mapped into IPv6 counts as IPv4.
    pub fn class_of(&self, address: IpAddr) -> u32 {
        let address = address.to_canonical();
        if let Some(class) = self.pods.get(&address) {
            return *class;
        }
        let lengths = &self.lengths[usize::from(address.is_ipv6())];
        lengths
            .iter()
            .rev()
            .filter_map(|length| self.by_prefix.get(&prefix_of(address, *length)))
            .copied()
            .next()
            .unwrap_or(0)
    }

    /// What a class stands for; `None` for 0 and for classes of other sets of blocks.
    pub fn get(&self, class: u32) -> Option<&CidrClass> {
        self.by_number.get(&class)
    }

    fn add_pod(&mut self, address: IpAddr, number: u32, class: CidrClass) {
        self.pods.insert(address, number);
        *self.of_pods.entry(number).or_default() += 1;
        self.by_number.insert(number, class);
    }

    /// Gives the number of the class that went with it.
    fn forget_pod(&mut self, address: IpAddr) -> Option<u32> {
        let number = self.pods.remove(&address)?;
        let addresses = self.of_pods.get_mut(&number)?;
        *addresses -= 1;
        if *addresses > 0 {
            return None;
        }
        self.of_pods.remove(&number);
        self.by_number.remove(&number);
        Some(number)
    }

    fn add(&mut self, prefix: IpNet, class: Option<(u32, CidrClass)>) {
        let number = class.as_ref().map_or(0, |(class, _)| *class);
        self.prefixes.push((prefix, number));
        self.by_prefix.insert(prefix, number);
        self.lengths[usize::from(prefix.addr().is_ipv6())].insert(prefix.prefix_len());
        self.by_number.extend(class);
    }
}

/// The longest CIDR of some blocks, the least of equals; `None` if there are none.
pub fn longest_cidr(blocks: &[IpBlock]) -> Option<IpNet> {
    let cidrs = blocks.iter().map(|block| block.cidr);
    cidrs.max_by_key(|cidr| (cidr.prefix_len(), std::cmp::Reverse(*cidr)))
}

fn prefix_of(address: IpAddr, length: u8) -> IpNet {
    const INVARIANT: &str = "invariant: the length fits the family";
    match address {
        IpAddr::V4(address) => Ipv4Net::new(address, length).expect(INVARIANT).trunc().into(),
        IpAddr::V6(address) => Ipv6Net::new(address, length).expect(INVARIANT).trunc().into(),
    }
}

#[cfg(test)]
mod tests {
    use palomar_model::ports::NamedPort;
    use proptest::prelude::*;

    use super::*;

    fn block(cidr: &str, except: &[&str]) -> IpBlock {
        let except = except.iter().map(|net| net.parse().unwrap()).collect();
        IpBlock { cidr: cidr.parse().unwrap(), except }
    }

    fn blocks(classes: &Classes, class: u32) -> &[IpBlock] {
        classes.get(class).map_or(&[], |class| &class.blocks)
    }

    fn names(classes: &Classes, address: &str) -> Vec<String> {
        let class = classes.class_of(address.parse().unwrap());
        blocks(classes, class).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_class_is_the_set_of_blocks_that_hold_the_address() {
        let blocks = [
            block("10.0.0.0/8", &["10.1.0.0/16"]),
            block("10.1.0.0/16", &["10.1.2.0/24"]),
            block("10.1.2.3/32", &[]),
            block("2001:db8::/32", &["2001:db8:1::/48"]),
        ];
        let classes = ClassTable::default().classify(&blocks).unwrap();
        let table: [(&str, &str, &[usize]); 8] = [
            ("outside all", "192.0.2.1", &[]),
            ("in the outer one alone", "10.2.0.1", &[0]),
            ("in the outer one's except, which is another's range", "10.1.9.9", &[1]),
            ("in both excepts", "10.1.2.4", &[]),
            ("in both excepts and a block of its own", "10.1.2.3", &[2]),
            ("IPv6 in its block", "2001:db8::1", &[3]),
            ("IPv6 in the except", "2001:db8:1::1", &[]),
            ("IPv4 mapped into IPv6", "::ffff:10.2.0.1", &[0]),
        ];
        for (name, address, expected) in table {
            let expected: Vec<_> = expected.iter().map(|index| blocks[*index].to_string()).collect();
            assert_eq!(names(&classes, address), expected, "{name}");
        }
    }

    #[test]
    fn a_block_of_all_ipv6_never_holds_ipv4_in_the_kernels_mapped_trie() {
        let classes = ClassTable::default().classify(&[block("::/0", &[])]).unwrap();
        assert!(classes.prefixes().contains(&("0.0.0.0/0".parse().unwrap(), 0)));
        let both = ClassTable::default().classify(&[block("::/0", &[]), block("0.0.0.0/0", &[])]).unwrap();
        assert_eq!(both.prefixes().len(), 2);
        assert_ne!(
            both.class_of("192.0.2.1".parse().unwrap()),
            both.class_of("2001:db8::1".parse().unwrap())
        );
        let narrow = ClassTable::default().classify(&[block("2001:db8::/32", &[])]).unwrap();
        assert_eq!(narrow.prefixes().len(), 1);
    }

    #[test]
    fn the_same_blocks_keep_their_number_and_a_forgotten_number_is_not_given_again() {
        let mut table = ClassTable::default();
        let (ten, eleven) = (block("10.0.0.0/8", &[]), block("11.0.0.0/8", &[]));
        let old = table.classify([&ten]).unwrap();
        let both = table.classify([&eleven, &ten]).unwrap();
        let address = "10.0.0.1".parse().unwrap();
        assert_eq!(old.class_of(address), both.class_of(address));
        let eleven_class = both.class_of("11.0.0.1".parse().unwrap());
        table.retain(|class| class != eleven_class);
        let again = table.classify([&eleven]).unwrap().class_of("11.0.0.1".parse().unwrap());
        assert!(again > eleven_class);
    }

    #[test]
    fn a_pod_has_a_class_of_its_own_where_an_ipblock_asks_for_one_of_its_ports() {
        let port = |name: &str, number| NamedPort { name: name.into(), protocol: Protocol::Tcp, number };
        let pod = |ports: &[NamedPort]| ports.iter().cloned().collect::<NamedPorts>();
        let (web, other) = (pod(&[port("http", 80), port("admin", 7)]), pod(&[port("http", 81)]));
        let nameless = pod(&[port("admin", 7)]);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut table = ClassTable::default();
        let mut classes = table.classify(&[block("10.0.0.0/8", &[])]).unwrap();
        let plain = classes.class_of(address("10.9.9.9"));
        let names = BTreeSet::from([("http".to_owned(), Protocol::Tcp)]);
        let pods = [
            (address("10.0.0.1"), &web),
            (address("10.0.0.2"), &web),
            (address("10.0.0.3"), &other),
            (address("10.0.0.4"), &nameless),
            (address("192.0.2.1"), &web),
        ];
        table.classify_pods(&mut classes, &names, pods).unwrap();
        let class = |text| classes.class_of(address(text));
        assert_eq!(class("10.0.0.1"), class("10.0.0.2"), "the same ports of that name");
        assert_ne!(class("10.0.0.1"), class("10.0.0.3"), "another port of that name");
        assert_ne!(class("10.0.0.1"), plain);
        assert_eq!(class("10.0.0.4"), plain, "no port of that name");
        assert_eq!(class("192.0.2.1"), 0, "outside every block");
        assert_eq!(table.get(class("10.0.0.1")).unwrap().named_ports, pod(&[port("http", 80)]));
        assert_eq!(blocks(&classes, class("10.0.0.1")), blocks(&classes, plain));
    }

    #[test]
    fn the_longest_cidr_names_a_class() {
        let blocks = [block("10.0.0.0/8", &[]), block("10.1.0.0/16", &[])];
        assert_eq!(longest_cidr(&blocks), Some("10.1.0.0/16".parse().unwrap()));
        assert_eq!(longest_cidr(&[]), None);
    }

    /// Few bits, so that ranges nest and meet often; both families.
    fn any_net() -> impl Strategy<Value = IpNet> {
        (any::<bool>(), 0..16_u8, 0..=4_u8).prop_map(|(v6, bits, length)| {
            let address = if v6 {
                IpAddr::from([bits << 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            } else {
                IpAddr::from([bits << 4, 0, 0, 0])
            };
            IpNet::new(address, length).unwrap().trunc()
        })
    }

    fn any_block() -> impl Strategy<Value = IpBlock> {
        (any_net(), prop::collection::vec(any_net(), 0..3)).prop_map(|(cidr, mut except)| {
            except.retain(|net| cidr != *net && cidr.contains(net));
            except.sort();
            except.dedup();
            IpBlock { cidr, except }
        })
    }

    /// The longest prefix of the address mapped into IPv6, over 128 bits, as map `cidrs` holds them.
    fn in_the_kernels_trie(classes: &Classes, address: IpAddr) -> u32 {
        let mapped = |address| match address {
            IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
            IpAddr::V6(v6) => u128::from(v6),
        };
        let length = |net: &IpNet| u32::from(net.prefix_len()) + if net.addr().is_ipv4() { 96 } else { 0 };
        let matching = classes.prefixes().iter().filter(|(net, _)| {
            (mapped(net.addr()) ^ mapped(address)).checked_shr(128 - length(net)).unwrap_or(0) == 0
        });
        matching.max_by_key(|(net, _)| length(net)).map_or(0, |(_, class)| *class)
    }

    proptest! {
        #[test]
        fn class_of_agrees_with_asking_every_block(
            all in prop::collection::vec(any_block(), 0..8),
            bits in 0..16_u8,
        ) {
            let classes = ClassTable::default().classify(&all).unwrap();
            let mut v6 = [0; 16];
            v6[0] = bits << 4;
            for address in [IpAddr::from([bits << 4, 0, 0, 1]), IpAddr::from(v6)] {
                let expected: BTreeSet<_> = all.iter().filter(|block| block.contains(address)).collect();
                let class = classes.class_of(address);
                let found: BTreeSet<_> = blocks(&classes, class).iter().collect();
                prop_assert_eq!(class, in_the_kernels_trie(&classes, address));
                prop_assert_eq!(class == 0, expected.is_empty());
                prop_assert_eq!(found, expected);
            }
        }
    }
}
