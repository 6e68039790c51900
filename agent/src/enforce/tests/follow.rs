//! From world to world, the tables come to what they are where the last world is the first; on the way each packet is
//! judged by the world before or by the one after it, whatever fails and whoever adopts.

use super::judge::{ENDPOINTS, NODE_PORTS, SERVICES, judge};
use super::meant::{Meant, Reader};
use super::*;
use crate::enforce::{BLOCK_LINGER, Saved};

/// Which machine of [`machine`] stands behind a port, and at which port of its own.
type Behind = Vec<(usize, u16)>;

/// The policies of a world, and which of them select the other endpoint; `None`: it is not there.
#[derive(Debug, Clone)]
struct Policies {
    all: Vec<NetworkPolicy>,
    of_other: Option<[bool; 3]>,
}

/// Everything else in it.
#[derive(Debug, Clone)]
struct Surroundings {
    roles: [u32; 3],
    owners: [Owner; 3],
    /// A pod that has an address outside of the cluster.
    outside: Option<(usize, u32)>,
    /// Who stands behind each of [`SERVICES`], an outside address and a pod's; and whether they see the source.
    services: [Option<(Behind, bool)>; 4],
    node_ports: [Option<(Behind, bool)>; 2],
    /// Whether labels are known that no pod has.
    has_more_labels: bool,
}

/// Who has an address that may be a pod's.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Nobody,
    Node,
    Pod,
    /// The pod whose endpoint is observed.
    Own,
}

/// What cannot be written.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    None,
    /// So many writes succeed.
    Budget(usize),
    /// There is room for so many prefixes.
    Room(usize),
    Full,
    Stuck,
}

/// What happens next: another world, who writes it, and what is in the way.
#[derive(Debug, Clone)]
struct Step {
    policies: Option<Policies>,
    surroundings: Option<Surroundings>,
    trouble: Trouble,
    seconds: u64,
    /// Whether another agent adopts first, and whether it knows the numbers.
    adopts: Option<bool>,
    collects: bool,
}

fn any_policies() -> impl Strategy<Value = Policies> {
    let egress =
        prop::collection::vec((prop::collection::vec(peer(), 0..3), prop::option::of(any::<bool>())), 0..3);
    (policies(), egress, prop::option::of(any::<[bool; 3]>())).prop_map(|(mut all, egress, of_other)| {
        for (policy, (peers, named)) in all.iter_mut().zip(egress) {
            let ports = named.map(|is_named| {
                let ports = if is_named { Ports::Named("http".into()) } else { Ports::Range(80, 81) };
                PortRule { protocol: Protocol::Tcp, ports }
            });
            policy.egress = Some(vec![PolicyRule { peers, ports: ports.into_iter().collect() }]);
        }
        Policies { all, of_other }
    })
}

fn any_surroundings() -> impl Strategy<Value = Surroundings> {
    let behind = || (prop::collection::vec((0..6_usize, 79..82_u16), 0..3), any::<bool>());
    let service = || prop::option::of(behind());
    let owner = || prop_oneof![1 => Just(Owner::Nobody), 1 => Just(Owner::Node), 2 => Just(Owner::Pod), 2 => Just(Owner::Own)];
    (
        roles(),
        [owner(), owner(), owner()],
        prop::option::weighted(0.3, (0..3_usize, 0..4_u32)),
        [service(), service(), service(), service()],
        [service(), service()],
        any::<bool>(),
    )
        .prop_map(|(roles, owners, outside, services, node_ports, has_more_labels)| Surroundings {
            roles,
            owners,
            outside,
            services,
            node_ports,
            has_more_labels,
        })
}

fn any_step() -> impl Strategy<Value = Step> {
    let trouble = prop_oneof![
        4 => Just(Trouble::None),
        2 => (0..30_usize).prop_map(Trouble::Budget),
        1 => (0..6_usize).prop_map(Trouble::Room),
        1 => Just(Trouble::Full),
        1 => Just(Trouble::Stuck),
    ];
    let adopts = prop::option::weighted(0.1, any::<bool>());
    (any_policies(), any_surroundings(), 0..8_u8, trouble, 0..40_u64, adopts, any::<bool>()).prop_map(
        |(policies, surroundings, which, trouble, seconds, adopts, collects)| Step {
            policies: (which < 3).then_some(policies),
            surroundings: matches!(which, 0 | 3..7).then_some(surroundings),
            trouble,
            seconds,
            adopts,
            collects,
        },
    )
}

fn machine(at: usize) -> IpAddr {
    let pods = PODS.iter().map(|(address, _)| *address);
    pods.chain(OUTSIDE).nth(at).unwrap().parse().unwrap()
}

/// What the pods of a role are: one and the same for ever.
fn labels(role: u32) -> IdentityLabels {
    let http = NamedPort { name: "http".into(), protocol: Protocol::Tcp, number: 80 };
    let ports = if role.is_multiple_of(2) { vec![http] } else { vec![] };
    IdentityLabels {
        namespace: "demo".into(),
        namespace_labels: Arc::default(),
        pod_labels: Arc::new(Labels::from([("role".into(), role.to_string())])),
        named_ports: NamedPorts::new(ports),
    }
}

fn world(policies: &Policies, around: &Surroundings) -> Desired {
    let mut world = desired(&policies.all, around.roles);
    world.addresses = addresses(around);
    let used: BTreeSet<u32> = world.addresses.values().map(|wanted| wanted.identity).collect();
    let is_there = |role: &u32| around.has_more_labels || used.contains(&(300 + role));
    world.identities = (0..4).filter(is_there).map(|role| (300 + role, labels(role))).collect();
    let leads = |(backends, keeps_source): &(Behind, bool)| Leads {
        backends: backends.iter().map(|(at, port)| (machine(*at), *port)).collect(),
        keeps_source: *keeps_source,
    };
    for (address, behind) in SERVICES.into_iter().chain([OUTSIDE[2], PODS[2].0]).zip(&around.services) {
        if let Some(behind) = behind {
            let targets = BTreeMap::from([((Protocol::Tcp, 443), leads(behind))]);
            world.services.insert(address.parse().unwrap(), Arc::new(targets));
        }
    }
    let ports = NODE_PORTS.into_iter().zip(&around.node_ports);
    let ports = ports.filter_map(|(port, behind)| Some(((Protocol::Tcp, port), leads(behind.as_ref()?))));
    world.node_ports[0] = Arc::new(ports.collect());
    if let Some(selects) = policies.of_other {
        let selecting = policies.all.iter().zip(selects).filter(|(_, selects)| *selects);
        let policies = selecting.map(|(policy, _)| Arc::new(policy.clone())).collect();
        let [web, other] = ENDPOINTS;
        let other_wanted = DesiredEndpoint { id: other, policies, ..world.endpoints[&web].clone() };
        world.endpoints.insert(other, other_wanted);
    }
    world
}

fn addresses(around: &Surroundings) -> SharedMap<IpAddr, DesiredAddress> {
    let pod = |role, endpoint| DesiredAddress { identity: 300 + role, endpoint, node: false };
    let mut addresses = SharedMap::new();
    for (at, (owner, role)) in around.owners.into_iter().zip(around.roles).enumerate() {
        let wanted = match owner {
            Owner::Nobody => continue,
            Owner::Node => DesiredAddress { identity: abi::IDENTITY_HOST, endpoint: 0, node: true },
            Owner::Pod => pod(role, 0),
            Owner::Own => pod(role, WEB),
        };
        addresses.insert(machine(at), wanted);
    }
    if let Some((at, role)) = around.outside {
        addresses.insert(OUTSIDE[at].parse().unwrap(), pod(role, 0));
    }
    addresses
}

fn judged(world: &Desired) -> Vec<judge::Verdict> {
    let fake = Fake::default();
    Enforcer::adopt(fake.clone(), None).unwrap().apply(world, Instant::now(), 0, drop).unwrap();
    judge(&fake.0.borrow())
}

/// The tables once everything that was wanted before is over.
fn settle(enforcer: &mut Enforcer<Fake>, kernel: &Fake, world: &Desired, mut now: Instant) -> Meant {
    for _ in 0..3 {
        now += BLOCK_LINGER;
        enforcer.apply(world, now, 0, drop).unwrap();
        enforcer.collect_garbage(now).unwrap();
        enforcer.collect_garbage(now + GRACE).unwrap();
    }
    Reader(enforcer).read(&kernel.0.borrow())
}

fn put_in_the_way(kernel: &Fake, trouble: Trouble) {
    let mut kernel = kernel.0.borrow_mut();
    kernel.budget = if let Trouble::Budget(writes) = trouble { Some(writes) } else { None };
    kernel.room = if let Trouble::Room(prefixes) = trouble { Some(prefixes) } else { None };
    kernel.is_full = matches!(trouble, Trouble::Full);
    kernel.is_stuck = matches!(trouble, Trouble::Stuck);
    kernel.judged.clear();
}

proptest! {
    #[test]
    fn from_world_to_world_the_tables_come_to_what_they_are_where_the_last_is_the_first(
        first in (any_policies(), any_surroundings()),
        steps in prop::collection::vec(any_step(), 1..8),
    ) {
        let (mut policies, mut around) = first;
        let followed = Fake::default();
        let mut enforcer = Enforcer::adopt(followed.clone(), None).unwrap();
        let mut now = Instant::now();
        let mut saved: Option<Saved> = None;
        enforcer.apply(&world(&policies, &around), now, 0, |snapshot| saved = Some(snapshot.into())).unwrap();
        let mut before = Some(judge(&followed.0.borrow()));
        for (number, step) in steps.into_iter().enumerate() {
            now += Duration::from_secs(step.seconds);
            if let Some(keeps) = step.adopts {
                enforcer = Enforcer::adopt(followed.clone(), saved.clone().filter(|_| keeps)).unwrap();
            }
            // of both together a packet may see the one and not the other
            let is_one = step.adopts.is_none() && !(step.policies.is_some() && step.surroundings.is_some());
            policies = step.policies.unwrap_or(policies);
            around = step.surroundings.unwrap_or(around);
            let wanted = world(&policies, &around);
            let expected = judged(&wanted);
            put_in_the_way(&followed, step.trouble);
            let written = enforcer.apply(&wanted, now, 0, |snapshot| saved = Some(snapshot.into()));
            prop_assert!(written.is_ok() || !matches!(step.trouble, Trouble::None));
            let after = judge(&followed.0.borrow());
            if written.is_ok() {
                prop_assert_eq!(&after, &expected, "step {}", number);
            }
            if let Some(old) = before.filter(|_| is_one) {
                for (at, verdict) in followed.0.borrow().judged.iter().flat_map(|all| all.iter().enumerate()) {
                    let is_of_one = *verdict == old[at] || *verdict == expected[at];
                    // a pass that fails may close, but it opens nothing
                    prop_assert!(is_of_one || written.is_err() && !verdict.1, "step {}: {:?}", number, verdict);
                }
            }
            before = written.is_ok().then_some(expected);
            let trouble = if step.collects { step.trouble } else { Trouble::None };
            put_in_the_way(&followed, trouble);
            let later = if step.collects { GRACE } else { Duration::ZERO };
            let collected = enforcer.collect_garbage(now + later);
            prop_assert!(collected.is_ok() || matches!(trouble, Trouble::Budget(_)));
            put_in_the_way(&followed, Trouble::None);
            if before.is_some() {
                prop_assert_eq!(judge(&followed.0.borrow()), after, "once garbage of step {} is removed", number);
            }
        }
        let last = world(&policies, &around);
        let once = Fake::default();
        let mut other = Enforcer::adopt(once.clone(), None).unwrap();
        prop_assert_eq!(
            settle(&mut enforcer, &followed, &last, now),
            settle(&mut other, &once, &last, now)
        );
    }
}
