//! What is asked of the kernel, and what its messages say.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use palomar_bpf::netlink::{Dumped, Netlink};

use super::table::Veth;

/// A list that changed while it was made is asked for again, so often.
const ATTEMPTS: usize = 5;

/// Every veth of the node's namespace, with where its other end is.
pub(super) fn veths(netlink: &mut Netlink) -> io::Result<Vec<Veth>> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let dumped = dump(netlink, &RouteNetlinkMessage::GetLink(message))?;
    let veth = |message| match message {
        RouteNetlinkMessage::NewLink(message) => veth(&message),
        _ => None,
    };
    Ok(dumped.into_iter().filter_map(veth).collect())
}

/// What a message says of a veth; `None` where it is of another kind.
pub(super) fn veth(message: &LinkMessage) -> Option<Veth> {
    // A bridge tells of its ports with messages of its own family.
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let mut is_veth = false;
    let mut veth = Veth { ifindex: message.header.index, ..Veth::default() };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => veth.name.clone_from(name),
            LinkAttribute::Link(peer) => veth.peer = *peer,
            LinkAttribute::LinkNetNsId(namespace) => veth.namespace = Some(*namespace),
            LinkAttribute::LinkInfo(info) => is_veth = info.contains(&LinkInfo::Kind(InfoKind::Veth)),
            _ => {}
        }
    }
    is_veth.then_some(veth)
}

/// Addresses of one interface in another namespace, without link-local ones. A namespace or interface that is gone has
/// none, and so has one of a user namespace that we have no power over.
pub(super) fn peer_addresses(netlink: &mut Netlink, namespace: i32, ifindex: u32) -> io::Result<Vec<IpAddr>> {
    let mut message = AddressMessage::default();
    message.header.index = ifindex;
    message.attributes.push(AddressAttribute::TargetNetNsId(namespace));
    let dumped = match dump(netlink, &RouteNetlinkMessage::GetAddress(message)) {
        Ok(dumped) => dumped,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EINVAL)) => Vec::new(),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM)) => {
            tracing::debug!(namespace, "the addresses of this namespace are not for us to see");
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let address = |message| match message {
        RouteNetlinkMessage::NewAddress(message)
            if message.header.index == ifindex && message.header.scope != AddressScope::Link =>
        {
            address(&message)
        }
        _ => None,
    };
    let addresses: BTreeSet<IpAddr> = dumped.into_iter().filter_map(address).collect();
    Ok(addresses.into_iter().filter(|address| !is_link_local(*address)).collect())
}

/// Addresses of all interfaces of the node's namespace but loopback ones.
pub(super) fn node_addresses(netlink: &mut Netlink) -> io::Result<BTreeSet<IpAddr>> {
    let dumped = dump(netlink, &RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let address = |message| match message {
        RouteNetlinkMessage::NewAddress(message) => address(&message),
        _ => None,
    };
    Ok(dumped.into_iter().filter_map(address).filter(|address| !address.is_loopback()).collect())
}

/// The interface's own address: of a point-to-point one, `Address` is the other end's.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn dump(netlink: &mut Netlink, message: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut attempt = 1;
    let dumped = loop {
        match netlink.dump(message.clone()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted && attempt < ATTEMPTS => attempt += 1,
            other => break other?,
        }
    };
    let decoded = |message: Dumped| {
        message.inspect_err(|error| tracing::warn!(%error, "an rtnetlink message cannot be read")).ok()
    };
    Ok(dumped.into_iter().filter_map(decoded).collect())
}
