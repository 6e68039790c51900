//! The parts of a flow that are written from its own numbers and names.

use std::net::IpAddr;

use palomar_model::attribution::PolicyRef;
use palomar_model::object::ObjectName;

use super::wire::{LENGTH, NUMBER, Short, key, text, with_length};
use super::{address, packet, seen};
use crate::convert;
use crate::sighting::PolicyList;

pub const TIME: u32 = 1;
pub const ADDRESSES: u32 = 5;
pub const SOURCE: u32 = 8;
pub const DESTINATION: u32 = 9;
pub const NODE_NAME: u32 = 11;
pub const SOURCE_SERVICE: u32 = 20;
pub const DESTINATION_SERVICE: u32 = 21;
pub const INTERFACE: u32 = 28;
pub const UUID: u32 = 34;
/// Ingress and egress, allowed and denied.
pub const POLICIES: [u32; 4] = [21_001, 21_002, 21_004, 21_005];

/// `flow` in a response.
pub const RESPONSE_FLOW: [u8; 1] = key(1, LENGTH);
/// `time` in a response.
pub const RESPONSE_TIME: [u8; 2] = key(1_001, LENGTH);
const RESPONSE_NODE_NAME: [u8; 2] = key(1_000, LENGTH);

/// The first two fields of many messages, as texts.
const FIRST: u8 = key::<1>(1, LENGTH)[0];
const SECOND: u8 = key::<1>(2, LENGTH)[0];

/// Whether a field of a flow differs from flow to flow; the others are the same for a whole node, or absent.
pub fn is_of_one_flow(field: u32) -> bool {
    let own = [
        TIME,
        ADDRESSES,
        packet::TRANSPORT,
        SOURCE,
        DESTINATION,
        SOURCE_SERVICE,
        DESTINATION_SERVICE,
        INTERFACE,
        UUID,
        packet::SUMMARY,
    ];
    own.contains(&field) || POLICIES.contains(&field) || seen::FIELDS.contains(&field)
}

/// Appends `node_name` of a response.
pub fn response_node_name(name: &str, out: &mut Vec<u8>) {
    with_length::<1>(&RESPONSE_NODE_NAME, out, |out| out.extend_from_slice(name.as_bytes()));
}

/// Appends `time` of a flow.
pub fn time(time_ns: i64, out: &mut Vec<u8>) {
    let time = convert::timestamp(time_ns);
    let mut value = Short::<22>::new();
    value.number(key::<1>(1, NUMBER)[0], time.seconds.cast_unsigned());
    value.number(key::<1>(2, NUMBER)[0], u64::from(time.nanos.cast_unsigned()));
    let mut part = Short::<24>::new();
    part.short_field(key::<1>(TIME, LENGTH)[0], value.as_slice());
    out.extend_from_slice(part.as_slice());
}

/// Appends `uuid`.
pub fn uuid(uuid: u128, out: &mut Vec<u8>) {
    const KEY: [u8; 2] = key(UUID, LENGTH);
    let mut part = [0; 39];
    part[..2].copy_from_slice(&KEY);
    part[2] = 36;
    part[3..].copy_from_slice(&crate::uuid::uuid_text(uuid));
    out.extend_from_slice(&part);
}

/// Appends `IP`.
pub fn addresses(source: IpAddr, destination: IpAddr, out: &mut Vec<u8>) {
    let mut value = Short::<96>::new();
    value.short_field(FIRST, address::text(source).as_slice());
    value.short_field(SECOND, address::text(destination).as_slice());
    value.number(key::<1>(3, NUMBER)[0], u64::from((convert::ip_version(source) as i32).cast_unsigned()));
    let mut part = Short::<98>::new();
    part.short_field(key::<1>(ADDRESSES, LENGTH)[0], value.as_slice());
    out.extend_from_slice(part.as_slice());
}

/// Appends `source_service`.
pub fn source_service(name: &ObjectName, out: &mut Vec<u8>) {
    const KEY: [u8; 2] = key(SOURCE_SERVICE, LENGTH);
    service(&KEY, name, out);
}

/// Appends `destination_service`.
pub fn destination_service(name: &ObjectName, out: &mut Vec<u8>) {
    const KEY: [u8; 2] = key(DESTINATION_SERVICE, LENGTH);
    service(&KEY, name, out);
}

fn service(key: &[u8], name: &ObjectName, out: &mut Vec<u8>) {
    with_length::<1>(key, out, |out| {
        text(FIRST, &name.name, out);
        text(SECOND, &name.namespace, out);
    });
}

/// Appends `interface`; nothing for index 0.
pub fn interface((index, name): (u32, &str), out: &mut Vec<u8>) {
    const KEY: [u8; 2] = key(INTERFACE, LENGTH);
    if index == 0 {
        return;
    }
    with_length::<1>(&KEY, out, |out| {
        let mut number = Short::<6>::new();
        number.number(key::<1>(1, NUMBER)[0], index.into());
        out.extend_from_slice(number.as_slice());
        text(SECOND, name, out);
    });
}

/// Appends one of the lists of policies.
pub fn policies(list: PolicyList, policies: &[PolicyRef], revision: u32, out: &mut Vec<u8>) {
    let [egress_allowed, ingress_allowed, egress_denied, ingress_denied] = POLICIES;
    let list: [u8; 3] = key(
        match list {
            PolicyList::EgressAllowed => egress_allowed,
            PolicyList::IngressAllowed => ingress_allowed,
            PolicyList::EgressDenied => egress_denied,
            PolicyList::IngressDenied => ingress_denied,
        },
        LENGTH,
    );
    for PolicyRef { name, kind } in policies {
        with_length::<1>(&list, out, |out| {
            text(FIRST, &name.name, out);
            text(SECOND, &name.namespace, out);
            let mut number = Short::<6>::new();
            number.number(key::<1>(4, NUMBER)[0], revision.into());
            out.extend_from_slice(number.as_slice());
            text(key::<1>(5, LENGTH)[0], kind, out);
        });
    }
}
