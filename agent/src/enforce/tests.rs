//! The order of writes, tested against tables that judge packets after every single write.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use palomar_bpf::abi::{self, Address, CidrKey, Endpoint, NodePort, PolicyWord, Rule, RuleKey};
use palomar_model::labels::Labels;
use palomar_model::netpol::{IpBlock, NetworkPolicy, Peer, PortRule, Ports, Rule as PolicyRule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::{NamedPort, NamedPorts};
use palomar_model::selector::Selector;
use palomar_model::shared_map::SharedMap;
use palomar_model::verdict::Direction;
use palomar_policy::service::Leads;
use palomar_policy::{IdentityLabels, PolicySet, cidr};
use proptest::prelude::*;

mod follow;
mod judge;
mod meant;

use super::{Contents, Desired, DesiredAddress, DesiredEndpoint, Enforcer, GRACE, PolicyTables, TableError};

const WEB: u32 = 7;
const PODS: [(&str, u32); 3] = [("10.0.0.1", 300), ("10.0.0.2", 301), ("10.0.0.3", 302)];
const OUTSIDE: [&str; 3] = ["192.0.2.1", "192.0.2.130", "198.51.100.1"];
const SERVICE: &str = "10.96.0.1";
const NODE_PORT: NodePort = NodePort { port: 30_443_u16.to_be(), protocol: 6, family: 4 };
const PORTS: [u16; 3] = [80, 8080, 9000];

/// The kernel's tables, and what they said about every probe after every write.
#[derive(Debug, Default)]
struct Kernel {
    addresses: BTreeMap<[u8; 16], Address>,
    cidrs: BTreeMap<CidrKey, u32>,
    node_ports: BTreeMap<NodePort, u32>,
    rules: BTreeMap<RuleKey, Rule>,
    endpoints: BTreeMap<u32, Endpoint>,
    verdicts: Vec<Vec<bool>>,
    /// The table of rules takes nothing more.
    is_full: bool,
    /// No address and no port of the node can be written.
    is_stuck: bool,
    /// So many writes more are taken; `None`: any number.
    budget: Option<usize>,
    /// So many prefixes find room; `None`: any number.
    room: Option<usize>,
    /// What every endpoint said of everyone after each write.
    judged: Vec<Vec<judge::Verdict>>,
}

#[derive(Debug, Clone, Default)]
struct Fake(Rc<RefCell<Kernel>>);

impl Kernel {
    fn class_of(&self, address: IpAddr) -> u32 {
        let bits = u128::from_be_bytes(abi::address_bytes(address));
        self.cidrs
            .iter()
            .filter(|(key, _)| {
                let beyond = 128 - key.prefix_len;
                beyond == 128 || (bits ^ u128::from_be_bytes(key.address)) >> beyond == 0
            })
            .max_by_key(|(key, _)| key.prefix_len)
            .map_or(0, |(_, class)| *class)
    }

    fn finds(&self, set: u32, peer: u32, port: u16) -> bool {
        self.rules.keys().any(|key| {
            key.set == set
                && key.peer == peer
                && key.direction == Direction::Ingress as u8
                && (key.prefix_len == abi::RULE_PREFIX_PEER
                    || key.protocol == Protocol::Tcp.number()
                        && (u16::from_be(key.port) ^ port)
                            .checked_shr(abi::RULE_PREFIX_PORT - key.prefix_len)
                            .unwrap_or(0)
                            == 0)
        })
    }

    fn allows(&self, source: IpAddr, port: u16) -> bool {
        let Some(endpoint) = self.endpoints.get(&WEB) else { return true };
        if endpoint.policy.flags() & abi::POLICY_ISOLATED_INGRESS == 0 {
            return true;
        }
        let (identity, class) = match self.addresses.get(&abi::address_bytes(source)) {
            Some(address) => (address.identity, address.class),
            None => (abi::IDENTITY_WORLD, self.class_of(source)),
        };
        let set = endpoint.policy.set();
        self.finds(set, identity, port)
            || self.finds(set, abi::IDENTITY_ANY, port)
            || class != 0 && self.finds(set, abi::PEER_CLASS | class, port)
    }

    /// Whether the pod may connect to the service at its own address.
    fn serves(&self) -> bool {
        let Some(endpoint) = self.endpoints.get(&WEB) else { return true };
        let Some(address) = self.addresses.get(&abi::address_bytes(SERVICE.parse().unwrap())) else {
            return false;
        };
        assert_eq!((address.identity, address.flags), (abi::IDENTITY_WORLD, abi::ADDRESS_SERVICE));
        self.finds_service(endpoint.policy.set(), address.class, 443_u16.to_be())
    }

    /// Whether it may connect to the service at the node's; no rule speaks of the node itself.
    fn serves_at_node(&self) -> bool {
        let Some(endpoint) = self.endpoints.get(&WEB) else { return true };
        let number = self.node_ports.get(&NODE_PORT);
        number.is_some_and(|number| self.finds_service(endpoint.policy.set(), *number, NODE_PORT.port))
    }

    fn finds_service(&self, set: u32, backends: u32, port: u16) -> bool {
        self.rules.keys().any(|key| {
            (key.set, key.peer, key.direction) == (set, backends, abi::DIRECTION_SERVICE)
                && (key.protocol, key.port, key.prefix_len) == (6, port, abi::RULE_PREFIX_PORT)
        })
    }

    fn judge(&self) -> Vec<bool> {
        let verdicts = probes().map(|(source, port)| self.allows(source, port));
        verdicts.chain([self.serves(), self.serves_at_node()]).collect()
    }
}

fn probes() -> impl Iterator<Item = (IpAddr, u16)> {
    let sources = PODS.iter().map(|(address, _)| *address).chain(OUTSIDE);
    sources.flat_map(|source| PORTS.map(|port| (source.parse().unwrap(), port)))
}

impl Fake {
    fn write<R>(&self, change: impl FnOnce(&mut Kernel) -> R) -> Result<(), TableError> {
        let mut kernel = self.0.borrow_mut();
        if let Some(budget) = &mut kernel.budget {
            let Some(left) = budget.checked_sub(1) else {
                let source = std::io::Error::from_raw_os_error(libc::ENOMEM);
                return Err(TableError { action: "write".into(), table: "rules", source });
            };
            *budget = left;
        }
        change(&mut kernel);
        let verdicts = kernel.judge();
        kernel.verdicts.push(verdicts);
        let judged = judge::judge(&kernel);
        kernel.judged.push(judged);
        Ok(())
    }
}

impl Fake {
    fn refuse_if_stuck(&self, table: &'static str) -> Result<(), TableError> {
        let source = std::io::Error::from_raw_os_error(libc::EBUSY);
        let refused = TableError { action: "write".into(), table, source };
        if self.0.borrow().is_stuck { Err(refused) } else { Ok(()) }
    }
}

impl PolicyTables for Fake {
    fn contents(&self) -> Result<Contents, TableError> {
        let kernel = self.0.borrow();
        Ok(Contents {
            addresses: kernel.addresses.clone().into_iter().collect(),
            cidrs: kernel.cidrs.clone().into_iter().collect(),
            node_ports: kernel.node_ports.clone().into_iter().collect(),
            rules: kernel.rules.clone().into_iter().collect(),
            endpoints: kernel.endpoints.clone().into_iter().collect(),
        })
    }

    fn insert_rules(&mut self, rules: &[(RuleKey, Rule)]) -> Result<(), TableError> {
        if self.0.borrow().is_full && !rules.is_empty() {
            let source = std::io::Error::from_raw_os_error(libc::ENOSPC);
            return Err(TableError { action: "insert".into(), table: "rules", source });
        }
        rules.iter().try_for_each(|(key, rule)| self.write(|kernel| kernel.rules.insert(*key, *rule)))
    }

    fn remove_rules(&mut self, keys: &[RuleKey]) -> Result<(), TableError> {
        keys.iter().try_for_each(|key| self.write(|kernel| kernel.rules.remove(key)))
    }

    fn set_address(&mut self, address: [u8; 16], value: Address) -> Result<(), TableError> {
        self.refuse_if_stuck("addresses")?;
        self.write(|kernel| kernel.addresses.insert(address, value))
    }

    fn remove_address(&mut self, address: [u8; 16]) -> Result<(), TableError> {
        self.refuse_if_stuck("addresses")?;
        self.write(|kernel| kernel.addresses.remove(&address))
    }

    fn set_cidr(&mut self, prefix: CidrKey, class: u32) -> Result<(), TableError> {
        let has_room = |kernel: &Kernel| {
            kernel.cidrs.contains_key(&prefix) || kernel.room.is_none_or(|room| kernel.cidrs.len() < room)
        };
        if !has_room(&self.0.borrow()) {
            let source = std::io::Error::from_raw_os_error(libc::ENOSPC);
            return Err(TableError { action: "insert".into(), table: "cidrs", source });
        }
        self.write(|kernel| kernel.cidrs.insert(prefix, class))
    }

    fn remove_cidr(&mut self, prefix: CidrKey) -> Result<(), TableError> {
        self.write(|kernel| kernel.cidrs.remove(&prefix))
    }

    fn set_node_port(&mut self, port: NodePort, backends: u32) -> Result<(), TableError> {
        self.refuse_if_stuck("node_ports")?;
        self.write(|kernel| kernel.node_ports.insert(port, backends))
    }

    fn remove_node_port(&mut self, port: NodePort) -> Result<(), TableError> {
        self.refuse_if_stuck("node_ports")?;
        self.write(|kernel| kernel.node_ports.remove(&port))
    }

    fn set_endpoint(&mut self, ifindex: u32, endpoint: Endpoint) -> Result<(), TableError> {
        self.write(|kernel| kernel.endpoints.insert(ifindex, endpoint))
    }

    fn set_policy(&mut self, ifindex: u32, policy: PolicyWord) -> Result<(), TableError> {
        self.write(|kernel| kernel.endpoints.get_mut(&ifindex).unwrap().policy = policy)
    }

    fn remove_endpoint(&mut self, ifindex: u32) -> Result<(), TableError> {
        self.write(|kernel| kernel.endpoints.remove(&ifindex))
    }
}

/// A world of one observed pod, three peers whose labels are given, and policies.
fn desired(policies: &[NetworkPolicy], roles: [u32; 3]) -> Desired {
    let set: PolicySet = policies.iter().cloned().map(Arc::new).collect();
    let endpoint =
        DesiredEndpoint { id: WEB, identity: 299, policies: set, enforced: true, check_source: true };
    let labels = |role: u32| IdentityLabels {
        namespace: "demo".into(),
        namespace_labels: Arc::default(),
        pod_labels: Arc::new(Labels::from([("role".into(), role.to_string())])),
        named_ports: NamedPorts::default(),
    };
    // An internal identity stands for its labels, whichever pod has them.
    let addresses = PODS
        .iter()
        .zip(roles)
        .map(|((address, _), role)| {
            let identity = 300 + role;
            (address.parse().unwrap(), DesiredAddress { identity, endpoint: 0, node: false })
        })
        .collect();
    Desired {
        endpoints: BTreeMap::from([(WEB, endpoint)]),
        addresses,
        identities: roles.into_iter().map(|role| (300 + role, labels(role))).collect(),
        services: SharedMap::new(),
        node_ports: Default::default(),
        blocks: Arc::new(cidr::blocks_of(policies).into_iter().cloned().collect()),
        port_names: Arc::new(cidr::port_names_in_blocks(policies)),
    }
}

fn peer() -> impl Strategy<Value = Peer> {
    let role = (0..4u32).prop_map(|role| Peer::Pods {
        namespaces: None,
        pods: Some(Selector::of_labels([("role", role.to_string().as_str())])),
    });
    let cidrs = ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.128/25", "10.0.0.0/30"];
    let block = (0..cidrs.len(), any::<bool>()).prop_map(move |(at, carve)| {
        let cidr: ipnet::IpNet = cidrs[at].parse().unwrap();
        let except =
            if carve { cidr.subnets(cidr.prefix_len() + 1).unwrap().take(1).collect() } else { vec![] };
        Peer::Block(IpBlock { cidr, except })
    });
    prop_oneof![role, block]
}

fn policies() -> impl Strategy<Value = Vec<NetworkPolicy>> {
    let port = (0..PORTS.len(), 0..2000u16).prop_map(|(at, span)| PortRule {
        protocol: Protocol::Tcp,
        ports: Ports::Range(PORTS[at], PORTS[at] + span),
    });
    let rule = (prop::collection::vec(peer(), 0..3), prop::collection::vec(port, 0..2))
        .prop_map(|(peers, ports)| PolicyRule { peers, ports });
    prop::collection::vec(prop::collection::vec(rule, 0..3), 0..3).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(at, rules)| NetworkPolicy {
                name: ObjectName::new("demo", format!("policy-{at}")),
                pod_selector: Selector::default(),
                ingress: Some(rules),
                egress: None,
            })
            .collect()
    })
}

fn roles() -> impl Strategy<Value = [u32; 3]> {
    [0..4u32, 0..4u32, 0..4u32]
}

/// What a fresh kernel says once it holds this world.
fn verdicts(world: &Desired) -> Vec<bool> {
    let fake = Fake::default();
    Enforcer::adopt(fake.clone(), None).unwrap().apply(world, Instant::now(), 0, |_| ()).unwrap();
    let kernel = fake.0.borrow();
    kernel.judge()
}

fn assert_only(seen: &[Vec<bool>], allowed: &[Vec<bool>], what: &str) {
    for (write, verdicts) in seen.iter().enumerate() {
        for (place, (probe, verdict)) in probes().zip(verdicts).enumerate() {
            assert!(
                allowed.iter().any(|world| world[place] == *verdict),
                "{what}: after write {write} the verdict on {probe:?} was {verdict}, which neither world gives"
            );
        }
    }
}

proptest! {
    #[test]
    fn between_two_policies_every_packet_is_judged_by_one_of_them(
        before in policies(), after in policies(), roles in roles()
    ) {
        let (old, new) = (desired(&before, roles), desired(&after, roles));
        let fake = Fake::default();
        let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
        let start = Instant::now();
        enforcer.apply(&old, start, 0, |_| ()).unwrap();
        fake.0.borrow_mut().verdicts.clear();
        enforcer.apply(&new, start, 0, |_| ()).unwrap();
        for seconds in [1, 40, 80] {
            let later = start + Duration::from_secs(seconds);
            enforcer.collect_garbage(later).unwrap();
            enforcer.apply(&new, later, 0, |_| ()).unwrap();
            enforcer.collect_garbage(later + GRACE).unwrap();
        }
        let kernel = fake.0.borrow();
        assert_only(&kernel.verdicts, &[verdicts(&old), verdicts(&new)], "policy change");
        prop_assert_eq!(kernel.judge(), verdicts(&new));
        let sets: BTreeSet<u32> = kernel.rules.keys().map(|key| key.set).collect();
        prop_assert!(sets.len() <= 1, "old sets are removed in the end");
    }

    #[test]
    fn between_two_label_sets_every_packet_is_judged_by_one_of_them(
        policies in policies(), before in roles(), after in roles()
    ) {
        let (old, new) = (desired(&policies, before), desired(&policies, after));
        let fake = Fake::default();
        let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
        enforcer.apply(&old, Instant::now(), 0, |_| ()).unwrap();
        fake.0.borrow_mut().verdicts.clear();
        enforcer.apply(&new, Instant::now(), 0, |_| ()).unwrap();
        let kernel = fake.0.borrow();
        assert_only(&kernel.verdicts, &[verdicts(&old), verdicts(&new)], "label change");
        prop_assert_eq!(kernel.judge(), verdicts(&new));
    }

    #[test]
    fn an_agent_that_adopts_changes_no_verdict_whether_or_not_its_tables_were_saved(
        policies in policies(), roles in roles(), keep in any::<bool>()
    ) {
        let world = desired(&policies, roles);
        let fake = Fake::default();
        let mut saved = None;
        let mut first = Enforcer::adopt(fake.clone(), None).unwrap();
        first.apply(&world, Instant::now(), 0, |tables| saved = Some(tables.into())).unwrap();
        fake.0.borrow_mut().verdicts.clear();
        let start = Instant::now();
        let mut second = Enforcer::adopt(fake.clone(), saved.filter(|_| keep)).unwrap();
        second.apply(&world, start, 0, |_| ()).unwrap();
        second.collect_garbage(start + GRACE).unwrap();
        let kernel = fake.0.borrow();
        if keep {
            assert_only(&kernel.verdicts, &[verdicts(&world)], "adoption");
        }
        prop_assert_eq!(kernel.judge(), verdicts(&world));
    }
}

fn role_rule(role: &str, port: u16) -> NetworkPolicy {
    NetworkPolicy {
        name: ObjectName::new("demo", "allow"),
        pod_selector: Selector::default(),
        ingress: Some(vec![PolicyRule {
            peers: vec![Peer::Pods { namespaces: None, pods: Some(Selector::of_labels([("role", role)])) }],
            ports: vec![PortRule { protocol: Protocol::Tcp, ports: Ports::Range(port, port) }],
        }]),
        egress: None,
    }
}

#[test]
fn a_pod_inside_an_ipblock_that_asks_for_its_named_port_has_rules_of_its_own_and_keeps_them_over_a_restart() {
    let http = PortRule { protocol: Protocol::Tcp, ports: Ports::Named("http".into()) };
    let block = IpBlock { cidr: "10.0.0.0/8".parse().unwrap(), except: vec![] };
    let policy = NetworkPolicy {
        egress: Some(vec![PolicyRule { peers: vec![Peer::Block(block)], ports: vec![http] }]),
        ..role_rule("1", 80)
    };
    let mut world = desired(&[policy], [1, 2, 3]);
    let named = NamedPort { name: "http".into(), protocol: Protocol::Tcp, number: 8443 };
    world.identities.get_mut(&301).unwrap().named_ports = NamedPorts::new(vec![named]);
    let fake = Fake::default();
    let mut saved = None;
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    enforcer.apply(&world, Instant::now(), 0, |now| saved = Some(now.into())).unwrap();
    let class_of = |pod: usize| {
        let address = abi::address_bytes(PODS[pod].0.parse().unwrap());
        fake.0.borrow().addresses[&address].class
    };
    let classes = [class_of(0), class_of(1), class_of(2)];
    assert_ne!(classes[0], classes[1]);
    assert_eq!(classes[1], classes[2]);
    let egress = |class: u32| {
        let kernel = fake.0.borrow();
        let keys = kernel
            .rules
            .keys()
            .filter(|key| key.peer == (abi::PEER_CLASS | class) && key.direction == Direction::Egress as u8);
        keys.map(|key| u16::from_be(key.port)).collect::<Vec<_>>()
    };
    assert_eq!(egress(classes[0]), [8443]);
    assert!(egress(classes[1]).is_empty());

    let mut second = Enforcer::adopt(fake.clone(), saved).unwrap();
    second.apply(&world, Instant::now(), 0, |_| ()).unwrap();
    assert_eq!([class_of(0), class_of(1), class_of(2)], classes);
}

#[test]
fn an_identity_that_comes_back_is_known_to_the_sets_that_were_made_while_it_was_away() {
    let fake = Fake::default();
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    let (with, without) = ([1, 2, 3], [2, 2, 3]);
    let steps = [
        desired(&[role_rule("1", 80)], with),
        desired(&[role_rule("1", 8080)], without),
        desired(&[role_rule("1", 8080)], with),
    ];
    for world in &steps {
        enforcer.apply(world, Instant::now(), 0, |_| ()).unwrap();
    }
    assert_eq!(fake.0.borrow().judge(), verdicts(&steps[2]));
}

#[test]
fn a_set_that_does_not_fit_leaves_old_endpoints_as_they_are_and_new_ones_closed() {
    let fake = Fake::default();
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    let old = desired(&[role_rule("1", 80)], [1, 2, 3]);
    enforcer.apply(&old, Instant::now(), 0, |_| ()).unwrap();
    fake.0.borrow_mut().is_full = true;
    let mut new = desired(&[role_rule("1", 8080)], [1, 2, 3]);
    let late = new.endpoints[&WEB].clone();
    new.endpoints.insert(8, DesiredEndpoint { id: 8, ..late });
    assert!(enforcer.apply(&new, Instant::now(), 0, |_| ()).is_err());
    {
        let kernel = fake.0.borrow();
        assert_eq!(kernel.judge(), verdicts(&old));
        let closed = kernel.endpoints[&8].policy;
        assert_eq!(
            (closed.set(), closed.flags() & abi::POLICY_ISOLATED_INGRESS),
            (0, abi::POLICY_ISOLATED_INGRESS)
        );
    }
    fake.0.borrow_mut().is_full = false;
    enforcer.apply(&new, Instant::now(), 0, |_| ()).unwrap();
    assert_eq!(fake.0.borrow().judge(), verdicts(&new));
}

#[test]
fn only_veths_of_the_first_pass_may_carry_udp_whose_beginning_was_not_seen() {
    let fake = Fake::default();
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    let mut world = desired(&[], [1, 2, 3]);
    enforcer.apply(&world, Instant::now(), 5, |_| ()).unwrap();
    let late = DesiredEndpoint { id: 8, ..world.endpoints[&WEB].clone() };
    world.endpoints.insert(8, late);
    enforcer.apply(&world, Instant::now(), 6, |_| ()).unwrap();
    let kernel = fake.0.borrow();
    assert_eq!(kernel.endpoints[&WEB].unjudged_udp_until, 60_000_000_005);
    assert_eq!(kernel.endpoints[&8].unjudged_udp_until, 0);
}

#[test]
fn an_unchanged_world_writes_nothing_and_keeps_the_revision() {
    let world = desired(&[], [1, 2, 3]);
    let fake = Fake::default();
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    let first = enforcer.apply(&world, Instant::now(), 0, |_| ()).unwrap();
    fake.0.borrow_mut().verdicts.clear();
    let second = enforcer.apply(&world, Instant::now(), 0, |_| ()).unwrap();
    assert_eq!(second.revision, first.revision);
    assert!(fake.0.borrow().verdicts.is_empty(), "no table was written");
}

#[test]
fn a_pod_that_goes_is_a_new_revision_only_where_rules_speak_of_it() {
    let role = Peer::Pods { namespaces: None, pods: Some(Selector::of_labels([("role", "0")])) };
    let policy = NetworkPolicy {
        name: ObjectName::new("demo", "role-0"),
        pod_selector: Selector::default(),
        ingress: Some(vec![PolicyRule { peers: vec![role], ports: vec![] }]),
        egress: None,
    };
    let mut world = desired(&[policy], [0, 0, 1]);
    let mut enforcer = Enforcer::adopt(Fake::default(), None).unwrap();
    let mut revision = |world: &Desired| {
        enforcer.apply(world, Instant::now(), 0, |_| ()).unwrap();
        enforcer.policy(WEB).unwrap().revision()
    };
    let first = revision(&world);
    world.addresses.remove(&PODS[2].0.parse().unwrap());
    let second = revision(&world);
    world.addresses.remove(&PODS[0].0.parse().unwrap());
    assert_eq!((second, revision(&world)), (first, first + 1), "of another role, and of role 0");
}

/// The world in which the pod may connect to roles 0 and 2 on port 80, and the service has these backends, at its own
/// address and at the node's; none: it has no node port.
fn with_service(backends: &[(&str, u16)]) -> Desired {
    let role =
        |role: &str| Peer::Pods { namespaces: None, pods: Some(Selector::of_labels([("role", role)])) };
    let peers = vec![role("0"), role("2")];
    let port = PortRule { protocol: Protocol::Tcp, ports: Ports::Range(80, 80) };
    let policy = NetworkPolicy {
        name: ObjectName::new("demo", "egress"),
        pod_selector: Selector::default(),
        ingress: None,
        egress: Some(vec![PolicyRule { peers, ports: vec![port] }]),
    };
    let backends = backends.iter().map(|(address, port)| (address.parse().unwrap(), *port)).collect();
    let leads = Leads { backends, keeps_source: true };
    let at_node = (!leads.backends.is_empty()).then(|| ((Protocol::Tcp, 30_443), leads.clone()));
    let targets = Arc::new(BTreeMap::from([((Protocol::Tcp, 443), leads)]));
    Desired {
        services: SharedMap::from([(SERVICE.parse().unwrap(), targets)]),
        node_ports: [Arc::new(at_node.into_iter().collect()), Arc::default()],
        ..desired(&[policy], [0, 2, 1])
    }
}

#[test]
fn a_service_whose_backends_change_is_judged_by_the_old_ones_or_the_new_ones() {
    let [good, other, bad] = PODS.map(|(address, _)| address);
    let fake = Fake::default();
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    let mut now = Instant::now();
    for (what, backends, serves) in [
        ("a pod that is allowed", vec![(good, 80)], true),
        ("two that are allowed", vec![(good, 80), (other, 80)], true),
        ("another order is the same", vec![(other, 80), (good, 80)], true),
        ("a port that is not allowed", vec![(good, 81)], false),
        ("one that is not allowed, elsewhere", vec![(good, 80), (bad, 80)], false),
        ("none", vec![], false),
        ("the first again", vec![(good, 80)], true),
    ] {
        fake.0.borrow_mut().verdicts.clear();
        let before = fake.0.borrow().serves();
        assert_eq!(fake.0.borrow().serves_at_node(), before);
        let is_first = fake.0.borrow().endpoints.is_empty();
        enforcer.apply(&with_service(&backends), now, 0, |_| ()).unwrap();
        let last_two = |verdicts: &Vec<bool>| verdicts[verdicts.len() - 2..].to_vec();
        let seen: Vec<bool> = fake.0.borrow().verdicts.iter().flat_map(last_two).collect();
        assert_eq!(fake.0.borrow().serves(), serves, "{what}");
        assert_eq!(fake.0.borrow().serves_at_node(), serves, "{what}, at the node");
        let allowed = |verdict: &bool| *verdict == before || *verdict == serves;
        assert!(
            is_first || seen.iter().all(allowed),
            "{what}: {seen:?} on the way from {before} to {serves}"
        );
        now += GRACE * 2;
        enforcer.collect_garbage(now).unwrap();
        assert_eq!(fake.0.borrow().serves(), serves, "{what}, and nothing old is left");
        let numbers: BTreeSet<u32> = fake
            .0
            .borrow()
            .rules
            .keys()
            .filter(|key| key.direction == abi::DIRECTION_SERVICE)
            .map(|key| key.peer)
            .collect();
        assert_eq!(numbers.len(), 2 * usize::from(serves), "{what}: rules of one number each at most");
    }
}

#[test]
fn rules_that_a_failing_pass_left_half_written_are_removed_once_their_peer_is_gone() {
    let policy = |to| {
        let mut policy = role_rule("0", 80);
        policy.ingress.as_mut().unwrap()[0].ports[0].ports = Ports::Range(80, to);
        policy
    };
    let (without, with) = (desired(&[policy(82)], [1, 1, 1]), desired(&[policy(82)], [0, 1, 1]));
    let fake = Fake::default();
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    let mut now = Instant::now();
    enforcer.apply(&without, now, 0, |_| ()).unwrap();
    fake.0.borrow_mut().budget = Some(1);
    assert!(enforcer.apply(&with, now, 0, |_| ()).is_err());
    fake.0.borrow_mut().budget = None;
    let of_role_0 = || fake.0.borrow().rules.keys().filter(|key| key.peer == 300).count();
    assert_eq!(of_role_0(), 1, "one of the two that cover ports 80 to 82");
    enforcer.apply(&without, now, 0, |_| ()).unwrap();
    now += GRACE;
    enforcer.collect_garbage(now).unwrap();
    assert_eq!(of_role_0(), 0);
    enforcer.apply(&with, now, 0, |_| ()).unwrap();
    assert_eq!(of_role_0(), 2, "and both are there once it comes again");
}

#[test]
fn prefixes_that_find_no_room_open_nothing_and_those_that_did_are_removed_in_the_end() {
    let cidr: ipnet::IpNet = "192.0.2.0/24".parse().unwrap();
    let block = IpBlock { cidr, except: vec!["192.0.2.128/25".parse().unwrap()] };
    let rule = PolicyRule { peers: vec![Peer::Block(block)], ports: vec![] };
    let policy = NetworkPolicy { ingress: Some(vec![rule]), ..role_rule("0", 80) };
    let (without, with) = (desired(&[role_rule("0", 80)], [1, 1, 1]), desired(&[policy], [1, 1, 1]));
    let fake = Fake::default();
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    let now = Instant::now();
    enforcer.apply(&without, now, 0, |_| ()).unwrap();
    fake.0.borrow_mut().room = Some(1);
    assert!(enforcer.apply(&with, now, 0, |_| ()).is_err());
    let passes = |source: &str| fake.0.borrow().allows(source.parse().unwrap(), 80);
    assert_eq!(OUTSIDE.map(passes), [false; 3], "the range that the block leaves out is in no part of it");
    fake.0.borrow_mut().room = None;
    enforcer.apply(&with, now, 0, |_| ()).unwrap();
    assert_eq!(OUTSIDE.map(passes), [true, false, false]);

    fake.0.borrow_mut().room = Some(2);
    let outer = IpBlock { cidr: "192.0.0.0/16".parse().unwrap(), except: vec![] };
    let rule = PolicyRule { peers: vec![Peer::Block(outer)], ports: vec![] };
    let wider = desired(&[NetworkPolicy { ingress: Some(vec![rule]), ..role_rule("0", 80) }], [1, 1, 1]);
    assert!(enforcer.apply(&wider, now, 0, |_| ()).is_err());
    let later = now + super::BLOCK_LINGER;
    assert!(enforcer.apply(&with, later, 0, |_| ()).is_err(), "the wider block lingers");
    enforcer.apply(&with, later + super::BLOCK_LINGER, 0, |_| ()).unwrap();
    enforcer.collect_garbage(later + super::BLOCK_LINGER + GRACE).unwrap();
    assert_eq!(OUTSIDE.map(passes), [true, false, false], "prefixes have their old classes again");
}

#[test]
fn a_set_of_which_only_some_rules_could_be_removed_is_made_anew_where_it_is_wanted_again() {
    let allow = |to| {
        let mut policy = role_rule("1", 80);
        policy.ingress.as_mut().unwrap()[0].ports[0].ports = Ports::Range(80, to);
        desired(&[policy], [1, 2, 3])
    };
    let (one, other) = (allow(82), allow(9000));
    let fake = Fake::default();
    let mut enforcer = Enforcer::adopt(fake.clone(), None).unwrap();
    let now = Instant::now();
    enforcer.apply(&one, now, 0, |_| ()).unwrap();
    enforcer.apply(&other, now, 0, |_| ()).unwrap();
    fake.0.borrow_mut().budget = Some(1);
    assert!(enforcer.collect_garbage(now + GRACE).is_err());
    fake.0.borrow_mut().budget = None;
    enforcer.apply(&one, now + GRACE, 0, |_| ()).unwrap();
    assert_eq!(fake.0.borrow().judge(), verdicts(&one));
    enforcer.collect_garbage(now + GRACE * 2).unwrap();
    let sets: BTreeSet<u32> = fake.0.borrow().rules.keys().map(|key| key.set).collect();
    assert_eq!(sets.len(), 1, "nothing is left of the others");
}
