//! From a question to the ways that the connection may take: where an end leads, to itself, to those who stand behind a
//! service, or to those behind a port of a node.
//!
//! # Ports of nodes
//!
//! A node leads a node port of its own on before its pods' packets leave it, so that a pod's egress is judged for whom it is led
//! to. A node port of another node is none of its business: the packet leaves for that node, and as a connection to that node's
//! address and port egress is judged. So does the kernel, which has no more to go by, and so does everyone who judges where
//! the packet begins. The other node leads it on to the same backends, whose ingress is judged there: by the address that
//! it has put in place of the client's; or by the client's own where the service keeps it, unless the client's node has put
//! in its own when the packet left for an address that is no pod's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::world::{Pod, Service, ServicePort};

use super::index::{Index, Masquerade};
use super::missing::Missing;
use super::party::{Found, Party, Standing, find, find_address, sources};
use super::path::{Open, Path, Source};
use super::question::{End, Question};
use crate::behind::{Behind, Reach};

/// Where a connection may end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target<'w> {
    pub(super) party: Party<'w>,
    pub(super) port: Option<u16>,
    pub(super) service: Option<&'w ObjectName>,
    source: Source,
    open: Option<Open>,
    /// For a port at a node: its name.
    at_node: Option<&'w str>,
    /// That node and its port, where this is how it looks from another.
    pub(super) other_node: Option<(Party<'w>, Option<u16>)>,
    clients: Clients<'w>,
}

/// Whom a service leads there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Clients<'w> {
    /// Everyone.
    All,
    /// Those on this node.
    On(&'w str),
    /// Those on any other node, and those of whom it is not known.
    NotOn(Rc<[&'w str]>),
    /// Those of whom it is not known which node they are on.
    Somewhere,
}

/// Every way that the connection may take; never empty. Or what is not known of either end.
pub(super) fn resolve<'w>(index: &Index<'w>, question: &Question) -> Result<Vec<Path<'w>>, Vec<Missing>> {
    let from = find(index, &question.from).and_then(|found| sources(&found));
    let to =
        find(index, &question.to).and_then(|found| targets(index, &found, question.protocol, question.port));
    match (from, to) {
        (Ok(sources), Ok(targets)) => {
            paths(index, &sources, &targets, question).map_err(|missing| vec![missing])
        }
        (sources, targets) => Err([sources.err(), targets.err()].into_iter().flatten().collect()),
    }
}

/// Every pair of one address family; an end without an address goes with any.
fn paths<'w>(
    index: &Index<'w>,
    sources: &[Party<'w>],
    targets: &[Target<'w>],
    question: &Question,
) -> Result<Vec<Path<'w>>, Missing> {
    let pairs = sources.iter().flat_map(|from| targets.iter().map(move |target| (from, target)));
    let paths: Vec<_> =
        pairs.filter_map(|(from, target)| target.path_from(index, *from, question.protocol)).collect();
    if paths.is_empty() { Err(no_family(&question.from, &question.to, question.protocol)) } else { Ok(paths) }
}

/// What is missing where there is no such pair.
pub(super) fn no_family(from: &End, to: &End, protocol: Protocol) -> Missing {
    Missing::Family { from: from.to_string(), to: to.to_string(), protocol }
}

/// Whether packets of the protocol go by this address's family.
fn goes_by(protocol: Protocol, address: IpAddr) -> bool {
    match protocol {
        Protocol::Icmp => address.is_ipv4(),
        Protocol::Icmpv6 => address.is_ipv6(),
        _ => true,
    }
}

/// Where a connection to this end may lead; never empty.
pub(super) fn targets<'w>(
    index: &Index<'w>,
    to: &Found<'w>,
    protocol: Protocol,
    port: Option<u16>,
) -> Result<Vec<Target<'w>>, Missing> {
    match to {
        Found::Party(Standing::Node { name, .. }, addresses)
            if !index.at_nodes(protocol, port).is_empty() =>
        {
            at_node(index, name, addresses, protocol, port)
        }
        Found::Party(standing, addresses) => {
            let parties = standing.at_each(addresses).into_iter();
            Ok(parties.map(|party| Target::itself(party, port)).collect())
        }
        Found::Services(services, address) => behind_services(index, services, *address, protocol, port),
    }
}

// === impl Target ===

impl<'w> Target<'w> {
    /// An end that is connected to by its own address.
    pub(super) fn itself(party: Party<'w>, port: Option<u16>) -> Self {
        Self {
            party,
            port,
            service: None,
            source: Source::Kept,
            open: None,
            at_node: None,
            other_node: None,
            clients: Clients::All,
        }
    }

    /// A place of which it is not known who answers there.
    fn open(service: &'w Service, address: Option<IpAddr>, open: Open) -> Self {
        let party = Party { standing: Standing::Service(service), address };
        Self { service: Some(&service.name), open: Some(open), ..Self::itself(party, None) }
    }

    /// The way from this source, if it is of the same address family, one that the protocol goes by, a node's port is
    /// seen so from there, and the service leads it there.
    pub(super) fn path_from(
        &self,
        index: &Index<'w>,
        from: Party<'w>,
        protocol: Protocol,
    ) -> Option<Path<'w>> {
        let Self { party: to, port, service, source, open, at_node, other_node, ref clients } = *self;
        if !clients.include(from.node()) {
            return None;
        }
        let have_family = match (from.address, to.address) {
            (Some(own), Some(its)) => own.is_ipv4() == its.is_ipv4(),
            (None, _) | (_, None) => true,
        };
        let mut addresses = [from.address, to.address].into_iter().flatten();
        let have_family = have_family && addresses.all(|address| goes_by(protocol, address));
        let is_hidden = service.is_some()
            && open.is_none()
            && other_node.is_none()
            && (source == Source::Masked || index.masquerade() == Masquerade::All);
        let path = Path { from, to, port, other_node, service, source, is_hidden, open };
        let is_there = other_node.is_none();
        let (Some(node), Some(pod)) = (at_node, from.judged_pod()) else {
            return (have_family && is_there).then_some(path);
        };
        let is_known = !node.is_empty() && !pod.node.is_empty();
        let may_be_there = !is_known || pod.node == node;
        let may_be_elsewhere = !is_known || pod.node != node;
        // who judges nothing on the way sees no difference
        let is_so = if is_there {
            may_be_there || !index.isolates_egress(pod)
        } else {
            may_be_elsewhere && index.isolates_egress(pod)
        };
        let source =
            if may_be_elsewhere && source == Source::KeptOfPods { Source::MayBeMasked } else { source };
        (have_family && is_so).then_some(Path { source, ..path })
    }
}

fn backend(pod: &Pod) -> Standing<'_> {
    if pod.host_network { Standing::Node { name: &pod.node, pod: Some(pod) } } else { Standing::Pod(pod) }
}

/// Those behind the services of an address, or of a name.
fn behind_services<'w>(
    index: &Index<'w>,
    services: &[&'w Service],
    address: Option<IpAddr>,
    protocol: Protocol,
    port: Option<u16>,
) -> Result<Vec<Target<'w>>, Missing> {
    let has_port = |service: &&&'w Service| target(service, protocol, port).is_some();
    let mut having: Vec<&'w Service> = services.iter().filter(has_port).copied().collect();
    if having.is_empty() {
        having.extend(services.first());
    }
    let mut targets = Vec::new();
    for service in having {
        targets.extend(backends(index, service, address, protocol, port)?);
    }
    Ok(targets)
}

/// Those behind a service's port, each with an address of a family that the service has, and the port there.
fn backends<'w>(
    index: &Index<'w>,
    service: &'w Service,
    address: Option<IpAddr>,
    protocol: Protocol,
    port: Option<u16>,
) -> Result<Vec<Target<'w>>, Missing> {
    let behind = index.behind(service);
    if matches!(behind, Behind::Unknown) {
        return Err(Missing::Backends { service: service.name.clone() });
    }
    // The name of a headless service leads to the endpoints themselves, whichever port is asked for.
    if address.is_none() && service.cluster_ips.is_empty() {
        let ends = behind.addresses().into_iter().map(|own| (own, port));
        let targets: Vec<Target<'w>> =
            ends.map(|end| leading(index, &behind, None, end)).collect::<Result<_, _>>()?;
        let missing = || Missing::Backend { service: service.name.clone(), protocol, port, node: None };
        return if targets.is_empty() { Err(missing()) } else { Ok(targets) };
    }
    let addresses: Vec<IpAddr> = address.map_or_else(|| service.cluster_ips.clone(), |address| vec![address]);
    let nobody = |open: Open| {
        Ok(addresses.iter().map(|address| Target::open(service, Some(*address), open)).collect())
    };
    let Some(target) = target(service, protocol, port) else { return nobody(Open::Port(port)) };
    let families: BTreeSet<bool> = addresses.iter().map(IpAddr::is_ipv4).collect();
    let is_outside = address.is_some_and(|address| !service.cluster_ips.contains(&address));
    if service.is_node_local && !is_outside {
        let ways = families.into_iter().map(|is_ipv4| on_nodes(index, service, target, is_ipv4));
        return Ok(ways.collect::<Result<Vec<_>, _>>()?.concat());
    }
    let ends: BTreeSet<(IpAddr, u16)> =
        families.into_iter().flat_map(|is_ipv4| behind.backends(target, is_ipv4, Reach::Cluster)).collect();
    if ends.is_empty() {
        return nobody(Open::Backend(port));
    }
    let source = if is_outside { source_from_outside(index, service) } else { source_from_inside(index) };
    let ends = ends.into_iter().map(|(own, number)| (own, Some(number)));
    let lead = |end| Ok(Target { source, ..leading(index, &behind, Some(service), end)? });
    ends.map(lead).collect()
}

/// Those behind a port of a service that leads to the client's own node alone, in one address family.
fn on_nodes<'w>(
    index: &Index<'w>,
    service: &'w Service,
    port: &'w ServicePort,
    is_ipv4: bool,
) -> Result<Vec<Target<'w>>, Missing> {
    let behind = index.behind(service);
    let source = source_from_inside(index);
    let lead = |(own, number), clients: &Clients<'w>| {
        let target = leading(index, &behind, Some(service), (own, Some(number)))?;
        Ok(Target { source, clients: clients.clone(), ..target })
    };
    let nodes: Rc<[&'w str]> = behind.nodes(port, is_ipv4).into_iter().collect();
    let (mut targets, mut anywhere) = (Vec::new(), BTreeSet::new());
    for node in &*nodes {
        let ends = behind.backends(port, is_ipv4, Reach::Node(node));
        anywhere.extend(&ends);
        let ends = ends.into_iter().map(|end| lead(end, &Clients::On(node)));
        targets.extend(ends.collect::<Result<Vec<_>, _>>()?);
    }
    let others = Clients::NotOn(Rc::clone(&nodes));
    let ends = behind.backends(port, is_ipv4, Reach::Node(""));
    if ends.is_empty() {
        let own = service.cluster_ips.iter().filter(|own| own.is_ipv4() == is_ipv4);
        let nobody = |own| Target {
            clients: others.clone(),
            ..Target::open(service, Some(own), Open::OnNode(Some(port.port)))
        };
        targets.extend(own.copied().map(nobody));
    }
    let anywhere = anywhere.difference(&ends).map(|end| lead(*end, &Clients::Somewhere));
    let ends = ends.iter().map(|end| lead(*end, &others));
    targets.extend(ends.chain(anywhere).collect::<Result<Vec<_>, _>>()?);
    Ok(targets)
}

/// What comes to a service by a cluster address.
fn source_from_inside(index: &Index<'_>) -> Source {
    match index.masquerade() {
        Masquerade::FromOutside => Source::KeptOfPods,
        Masquerade::All => Source::Masked,
    }
}

/// What comes to a service by a node port or an address outside the cluster. Of nodes that masquerade all, not all do so
/// where the service keeps the source.
fn source_from_outside(index: &Index<'_>, service: &Service) -> Source {
    match (service.keeps_source, index.masquerade()) {
        (false, _) => Source::Masked,
        (true, Masquerade::FromOutside) => Source::KeptOfPods,
        (true, Masquerade::All) => Source::MayBeMasked,
    }
}

/// Those behind a port of a node, from there and from elsewhere.
fn at_node<'w>(
    index: &Index<'w>,
    node: &'w str,
    addresses: &[IpAddr],
    protocol: Protocol,
    port: Option<u16>,
) -> Result<Vec<Target<'w>>, Missing> {
    let mut targets = Vec::new();
    for address in addresses {
        for (service, target) in index.at_nodes(protocol, port) {
            let behind = index.behind(service);
            if matches!(behind, Behind::Unknown) {
                return Err(Missing::Backends { service: service.name.clone() });
            }
            let ends = behind.backends(target, address.is_ipv4(), Reach::Cluster);
            if ends.is_empty() {
                let open = Target::open(service, Some(*address), Open::Backend(port));
                targets.push(Target { at_node: Some(node), ..open });
            }
            for (own, number) in ends {
                let lead = leading(index, &behind, Some(service), (own, Some(number)))?;
                let source = source_from_outside(index, service);
                targets.push(Target { source, at_node: Some(node), ..lead });
            }
        }
        let party = Party { standing: Standing::Node { name: node, pod: None }, address: Some(*address) };
        let there = targets
            .iter()
            .filter(|there| there.other_node.is_none())
            .filter(|there| there.party.address.is_none_or(|own| own.is_ipv4() == address.is_ipv4()));
        let elsewhere = there.map(|there| Target { other_node: Some((party, port)), ..there.clone() });
        let elsewhere: Vec<_> = elsewhere.collect();
        targets.extend(elsewhere);
    }
    Ok(targets)
}

/// One of those behind a service; `service` where it is by an address of it.
fn leading<'w>(
    index: &Index<'w>,
    behind: &Behind<'w>,
    service: Option<&'w Service>,
    (address, port): (IpAddr, Option<u16>),
) -> Result<Target<'w>, Missing> {
    let party = Party { standing: standing(index, behind, address)?, address: Some(address) };
    let service = service.map(|service| &service.name);
    Ok(Target { service, ..Target::itself(party, port) })
}

/// Who an address behind a service is.
fn standing<'w>(index: &Index<'w>, behind: &Behind<'w>, address: IpAddr) -> Result<Standing<'w>, Missing> {
    if let Behind::Pods(pods) = behind
        && let Some((pod, _)) = pods.iter().find(|(pod, _)| pod.addresses.contains(&address))
    {
        index.check_owner(pod, address)?;
        return Ok(backend(pod));
    }
    match find_address(index, address)? {
        Found::Party(standing, _) => Ok(standing),
        // what was led on once is not led on again
        Found::Services(..) => Ok(Standing::World),
    }
}

/// Where the port that was asked for leads; `None`: the service does not have it.
fn target(service: &Service, protocol: Protocol, port: Option<u16>) -> Option<&ServicePort> {
    service.ports.iter().find(|own| own.protocol == protocol && Some(own.port) == port)
}

// === impl Clients ===

impl Clients<'_> {
    /// Whether a client on this node is one of them; `None`: it is not known which it is on.
    fn include(&self, node: Option<&str>) -> bool {
        match (self, node) {
            (Self::All, _) | (Self::NotOn(_) | Self::Somewhere, None) => true,
            (Self::On(own), Some(node)) => *own == node,
            (Self::NotOn(nodes), Some(node)) => !nodes.contains(&node),
            (Self::On(_), None) | (Self::Somewhere, Some(_)) => false,
        }
    }
}
