//! Endpoint slices.

use std::net::IpAddr;

use palomar_model::endpoint_slice::{AddressType, Endpoint, EndpointSlice, EndpointState, SlicePort};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;

use crate::fields::{At, Fields, Known, Problems};
use crate::meta::Metadata;
use crate::syntax;
use crate::tree::Value;

const ENDPOINT: Known<'_> = Known {
    read: &["addresses", "conditions", "nodeName"],
    others: &["hostname", "targetRef", "zone", "hints", "deprecatedTopology"],
};
const CONDITIONS: Known<'_> = Known::read(&["ready", "serving", "terminating"]);
const PORT: Known<'_> = Known { read: &["name", "protocol", "port"], others: &["appProtocol"] };

const TYPES: [(&str, AddressType); 3] =
    [("IPv4", AddressType::Ipv4), ("IPv6", AddressType::Ipv6), ("FQDN", AddressType::Fqdn)];
/// The label that names the service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// So many addresses an endpoint may have.
const MAX_ADDRESSES: usize = 100;

pub(crate) fn read(
    name: ObjectName,
    metadata: Metadata,
    root: &Fields<'_>,
    problems: &mut Problems,
) -> EndpointSlice {
    let Metadata { key: _, uid: _, mut labels, controller: _, is_ending: _ } = metadata;
    let address_type = root.get("addressType");
    if address_type.is_none() {
        problems.add(&root.missing("addressType"), "missing");
    }
    let address_type = address_type.and_then(|at| at.one_of(&TYPES, "an address type", problems));
    let mut endpoints = Vec::new();
    for at in root.get("endpoints").map(|at| at.items(problems)).unwrap_or_default() {
        endpoints.extend(endpoint(&at, address_type, problems));
    }
    EndpointSlice {
        name,
        service: labels.remove(SERVICE_NAME).unwrap_or_default(),
        // a file with a problem is refused
        address_type: address_type.unwrap_or(AddressType::Fqdn),
        ports: ports(root, problems),
        endpoints,
    }
}

fn endpoint(at: &At<'_>, address_type: Option<AddressType>, problems: &mut Problems) -> Option<Endpoint> {
    let fields = at.fields(problems, ENDPOINT)?;
    let addresses = fields.get("addresses").map(|at| at.items(problems)).unwrap_or_default();
    let count = addresses.len();
    if count == 0 {
        problems.add(&fields.missing("addresses"), "missing: an endpoint has an address");
    } else if count > MAX_ADDRESSES {
        problems.add(&fields.missing("addresses"), format!("{count} are too many; at most {MAX_ADDRESSES}"));
    }
    let state = state(&fields, problems);
    let mut first = None;
    for at in addresses.iter().take(MAX_ADDRESSES) {
        let address = address_type.and_then(|of| address(at, of, problems));
        first = first.or(address);
    }
    let node = fields.get_text("nodeName").and_then(|at| at.checked(problems, syntax::dns_subdomain));
    Some(Endpoint { address: first?, state, node: node.unwrap_or_default().to_owned() })
}

/// `None` for a name as well.
fn address(at: &At<'_>, address_type: AddressType, problems: &mut Problems) -> Option<IpAddr> {
    let (is_ipv4, family) = match address_type {
        AddressType::Ipv4 => (true, "IPv4"),
        AddressType::Ipv6 => (false, "IPv6"),
        AddressType::Fqdn => {
            at.checked(problems, syntax::dns_subdomain);
            return None;
        }
    };
    let address = at.address_beyond_link(problems)?;
    if address.is_ipv4() != is_ipv4 {
        problems.add(at, format!("{address} is no {family} address, and the addressType is {family}"));
    }
    Some(address)
}

/// What is not told is meant well, as nodes take it.
fn state(endpoint: &Fields<'_>, problems: &mut Problems) -> EndpointState {
    let conditions = endpoint.get("conditions").and_then(|at| at.fields(problems, CONDITIONS));
    let mut condition = |name| {
        let at = conditions.as_ref().and_then(|conditions| conditions.get(name));
        at.and_then(|at| at.boolean(problems))
    };
    let (ready, serving) = (condition("ready").unwrap_or(true), condition("serving").unwrap_or(true));
    let ends = condition("terminating").unwrap_or(false);
    match (ready, serving && ends) {
        (true, _) => EndpointState::Ready,
        (false, true) => EndpointState::Ending,
        (false, false) => EndpointState::Unready,
    }
}

fn ports(root: &Fields<'_>, problems: &mut Problems) -> Vec<SlicePort> {
    let mut ports: Vec<SlicePort> = Vec::new();
    for at in root.get("ports").map(|at| at.items(problems)).unwrap_or_default() {
        let Some(port) = port(&at, problems) else { continue };
        if ports.iter().any(|other| other.name == port.name) {
            let what = if port.name.is_empty() { "without a name" } else { "of this name" };
            problems.add(&at, format!("there is a port {what} already"));
        }
        ports.push(port);
    }
    ports
}

/// 0 is as good as no number.
fn port(at: &At<'_>, problems: &mut Problems) -> Option<SlicePort> {
    let fields = at.fields(problems, PORT)?;
    let name = fields.get_text("name").and_then(|at| at.checked(problems, syntax::dns_label));
    let protocol = fields.get_text("protocol").map_or(Some(Protocol::Tcp), |at| at.protocol(problems));
    let number = fields.get("port").filter(|at| at.node.value != Value::Int(0));
    let number = number.map(|at| at.port(problems));
    Some(SlicePort {
        name: name.unwrap_or_default().to_owned(),
        protocol: protocol?,
        number: if let Some(number) = number { Some(number?) } else { None },
    })
}
