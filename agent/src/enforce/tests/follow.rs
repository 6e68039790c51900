//! From world to world, the tables come to what they are where the last world is the first.

use palomar_policy::{Backends, CidrClass, PeerKey, RuleSet};

use super::*;

/// A world of the tests, and whether it cannot be written at first.
#[derive(Debug, Clone)]
struct Scene {
    policies: Vec<NetworkPolicy>,
    roles: [u32; 3],
    /// Which of the pods' addresses are known, and which are of the pod itself.
    known: [bool; 3],
    own: [bool; 3],
    /// Who stands behind the service and the node port; `None`: there is none.
    service: Option<Vec<(usize, u16)>>,
    node_port: Option<Vec<(usize, u16)>>,
    is_full: bool,
    is_stuck: bool,
    /// Whether the policies are those of the scene before.
    keeps_policies: bool,
}

fn scene() -> impl Strategy<Value = Scene> {
    let backends = || prop::option::of(prop::collection::vec((0..6_usize, 79..82_u16), 0..3));
    let flags = || any::<[bool; 3]>();
    let egress = prop::collection::vec((peer(), prop::option::of(any::<bool>())), 0..3);
    let rarely = || prop::bool::weighted(0.15);
    let fails = (rarely(), rarely());
    let keeps = prop::bool::weighted(0.6);
    (policies(), egress, roles(), flags(), flags(), backends(), backends(), fails, keeps).prop_map(
        |(mut policies, egress, roles, known, own, service, node_port, fails, keeps_policies)| {
            let (is_full, is_stuck) = fails;
            for (policy, (peer, named)) in policies.iter_mut().zip(egress) {
                let ports = named.map(|is_named| {
                    let ports = if is_named { Ports::Named("http".into()) } else { Ports::Range(80, 81) };
                    PortRule { protocol: Protocol::Tcp, ports }
                });
                policy.egress =
                    Some(vec![PolicyRule { peers: vec![peer], ports: ports.into_iter().collect() }]);
            }
            Scene { policies, roles, known, own, service, node_port, is_full, is_stuck, keeps_policies }
        },
    )
}

impl Scene {
    fn desired(&self) -> Desired {
        let mut desired = desired(&self.policies, self.roles);
        for (at, (address, _)) in PODS.iter().enumerate() {
            let address = address.parse().unwrap();
            if !self.known[at] {
                desired.addresses.remove(&address);
            } else if self.own[at] {
                desired.addresses.get_mut(&address).unwrap().endpoint = WEB;
            }
        }
        let numbers: Vec<u32> = desired.identities.keys().copied().collect();
        for number in numbers {
            // what an identity calls its ports is one and the same for ever
            let http = NamedPort { name: "http".into(), protocol: Protocol::Tcp, number: 80 };
            let ports = if number % 2 == 0 { vec![http] } else { vec![] };
            desired.identities.get_mut(&number).unwrap().named_ports = NamedPorts::new(ports);
        }
        let leads = |backends: &Vec<(usize, u16)>| Leads {
            backends: backends.iter().map(|(at, port)| (machine(*at), *port)).collect(),
            keeps_source: true,
        };
        let targets = |port, backends| Arc::new(BTreeMap::from([((Protocol::Tcp, port), leads(backends))]));
        if let Some(backends) = &self.service {
            desired.services.insert(SERVICE.parse().unwrap(), targets(443, backends));
        }
        if let Some(backends) = &self.node_port {
            desired.node_ports[0] = targets(30_443, backends);
        }
        desired
    }
}

fn machine(at: usize) -> IpAddr {
    let pods = PODS.iter().map(|(address, _)| *address);
    pods.chain(OUTSIDE).nth(at).unwrap().parse().unwrap()
}

/// What a backend of a service is, without numbers that one run gives and another does not.
type Backend = (u32, Option<CidrClass>, u16, bool);
/// What stands behind a service's ports.
type Behind = Vec<((Protocol, u16), BTreeSet<Backend>)>;

/// Of whom a rule speaks.
#[derive(Debug, PartialEq, Eq)]
enum Whom {
    Identity(u32),
    Class(CidrClass),
    Service(Behind),
    Unknown(u32),
}

/// Key, identity, class or service, endpoint and flags of an address.
type AddressMeant = ([u8; 16], u32, Option<Whom>, u32, u32);

/// The tables without the numbers of sets, rule sets, classes and services.
#[derive(Debug, PartialEq, Eq)]
struct Meant {
    addresses: Vec<AddressMeant>,
    cidrs: Vec<(CidrKey, Option<Whom>)>,
    node_ports: Vec<(NodePort, Whom)>,
    endpoints: Vec<(u32, u8, u32, u32)>,
    /// Of the one pod that is observed, in an order of their own.
    rules: Vec<(RuleKey, Whom, Option<RuleSet>)>,
    sets: usize,
}

struct Reader<'e>(&'e Enforcer<Fake>);

impl Reader<'_> {
    fn class(&self, number: u32) -> Option<Whom> {
        let class =
            || self.0.classes().get(number).map_or(Whom::Unknown(number), |class| Whom::Class(class.clone()));
        (number != 0).then(class)
    }

    fn service(&self, number: u32) -> Whom {
        let backends = self.0.meanings.universe().services().get(&number);
        backends.map_or(Whom::Unknown(number), |backends| Whom::Service(self.behind(backends)))
    }

    fn behind(&self, backends: &Backends) -> Behind {
        let backend = |backend: &palomar_policy::Backend| {
            let class = self.0.classes().get(backend.class).cloned();
            (backend.identity, class, backend.port, backend.is_local)
        };
        let ports = backends.ports.iter();
        ports.map(|(port, backends)| (*port, backends.iter().map(backend).collect())).collect()
    }

    fn whom(&self, key: &RuleKey) -> Whom {
        match key.peer {
            number if key.direction == PeerKey::SERVICE_DIRECTION => self.service(number),
            number if number & abi::PEER_CLASS != 0 => self.class(number & !abi::PEER_CLASS).unwrap(),
            number => Whom::Identity(number),
        }
    }

    fn read(&self, kernel: &Kernel) -> Meant {
        let set = kernel.endpoints.get(&WEB).map_or(0, |endpoint| endpoint.policy.set());
        let rule_set = |rule: &Rule| self.0.sets.rule_sets().get(rule.rule_set).cloned();
        let rules = kernel.rules.iter().filter(|(key, _)| key.set == set);
        let mut rules: Vec<_> = rules
            .map(|(key, rule)| (RuleKey { set: 0, peer: 0, ..*key }, self.whom(key), rule_set(rule)))
            .collect();
        rules.sort_by_key(|rule| format!("{rule:?}"));
        Meant {
            addresses: kernel
                .addresses
                .iter()
                .map(|(key, address)| {
                    let is_service = address.flags & abi::ADDRESS_SERVICE != 0;
                    let class = if is_service {
                        Some(self.service(address.class))
                    } else {
                        self.class(address.class)
                    };
                    (*key, address.identity, class, address.endpoint, address.flags)
                })
                .collect(),
            cidrs: kernel.cidrs.iter().map(|(key, class)| (*key, self.class(*class))).collect(),
            node_ports: kernel
                .node_ports
                .iter()
                .map(|(port, number)| (*port, self.service(*number)))
                .collect(),
            endpoints: kernel
                .endpoints
                .iter()
                .map(|(ifindex, endpoint)| {
                    (*ifindex, endpoint.policy.flags(), endpoint.id, endpoint.identity)
                })
                .collect(),
            rules,
            sets: kernel.rules.keys().map(|key| key.set).collect::<BTreeSet<_>>().len(),
        }
    }
}

/// The tables once everything that was wanted before is over.
fn settle(enforcer: &mut Enforcer<Fake>, kernel: &Fake, world: &Desired, mut now: Instant) -> Meant {
    for _ in 0..3 {
        now += super::super::BLOCK_LINGER;
        enforcer.apply(world, now, 0, drop).unwrap();
        enforcer.collect_garbage(now).unwrap();
        enforcer.collect_garbage(now + GRACE).unwrap();
    }
    Reader(enforcer).read(&kernel.0.borrow())
}

proptest! {
    #[test]
    fn from_world_to_world_the_tables_come_to_what_they_are_where_the_last_is_the_first(
        mut scenes in prop::collection::vec((scene(), 0..20_u64), 1..6)
    ) {
        for at in 1..scenes.len() {
            if scenes[at].0.keeps_policies {
                scenes[at].0.policies = scenes[at - 1].0.policies.clone();
            }
        }
        let followed = Fake::default();
        let mut enforcer = Enforcer::adopt(followed.clone(), None).unwrap();
        let mut now = Instant::now();
        for (scene, seconds) in &scenes {
            now += Duration::from_secs(*seconds);
            let world = scene.desired();
            {
                let mut kernel = followed.0.borrow_mut();
                (kernel.is_full, kernel.is_stuck) = (scene.is_full, scene.is_stuck);
            }
            let written = enforcer.apply(&world, now, 0, drop);
            prop_assert!(written.is_ok() || scene.is_full || scene.is_stuck);
            {
                let mut kernel = followed.0.borrow_mut();
                (kernel.is_full, kernel.is_stuck) = (false, false);
            }
            enforcer.collect_garbage(now).unwrap();
        }
        let last = scenes.last().unwrap().0.desired();
        let once = Fake::default();
        let mut other = Enforcer::adopt(once.clone(), None).unwrap();
        prop_assert_eq!(
            settle(&mut enforcer, &followed, &last, now),
            settle(&mut other, &once, &last, now)
        );
    }
}
