//! One flow of a section, field by field.
//!
//! ```text
//! flow = shape:u8 judged:u8 event:u8 detail:u8
//!        time:signed                  since the flow before it in the file, in nanoseconds; of the first: since 1970
//!        source destination           4 or 16 bytes each
//!        source end:varint destination end:varint interface:varint      places in the section's lists, from 0
//!        [source service:varint] [destination service:varint] [policies:varint] [rest:varint]
//!        revision:varint transport
//! shape = bits 0-2 transport (0 TCP, 1 UDP, 2 SCTP, 3 ICMP, 4 ICMPv6, 5 other), bit 3 source is IPv6, bit 4 destination
//!         is IPv6, bit 5 has a source service, bit 6 has a destination service, bit 7 has policies
//! judged = bits 0-2 verdict, bits 3-5 connection state, bits 6-7 direction: Hubble's numbers
//! event = bits 0-6 Hubble's monitor event type, bit 7 has a rest; detail = the drop reason, observation point or match type: Hubble's numbers
//! transport = TCP: ports:2×u16 flags:u8 · UDP, SCTP: ports:2×u16 · ICMP, ICMPv6: type:u8 code:u8 · other: protocol:u8
//! ```

use std::net::IpAddr;

use palomar_model::drop_reason::DropReason;
use palomar_model::flow::Event;
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{EventKind, MatchType, ObservationPoint, UnknownNumber};

use super::bytes::{Malformed, Put, Take};
use crate::ring::{EndpointId, InterfaceId, PoliciesId, Record, RestId, ServiceId};

const SOURCE_V6: u8 = 1 << 3;
const DESTINATION_V6: u8 = 1 << 4;
const SOURCE_SERVICE: u8 = 1 << 5;
const DESTINATION_SERVICE: u8 = 1 << 6;
const POLICIES: u8 = 1 << 7;
/// Of the event.
const REST: u8 = 1 << 7;

/// Where the names of a flow stand in the lists of its section.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub source: u32,
    pub destination: u32,
    pub interface: u32,
    pub source_service: Option<u32>,
    pub destination_service: Option<u32>,
    pub policies: Option<u32>,
    pub rest: Option<u32>,
}

/// The ring's numbers for the names of a section, by their places.
#[derive(Debug, Default)]
pub struct Numbers {
    pub endpoints: Vec<EndpointId>,
    pub interfaces: Vec<InterfaceId>,
    pub services: Vec<ServiceId>,
    pub policies: Vec<Option<PoliciesId>>,
    pub rests: Vec<RestId>,
}

/// Appends a flow. `previous_ns` is the time of the flow before it in the section; 0 for the first.
pub fn put(record: &Record, places: Places, previous_ns: i64, out: &mut Vec<u8>) {
    // the ring's own numbers mean nothing in a file
    let Record {
        time_ns,
        source_address,
        destination_address,
        source: _,
        destination: _,
        source_service: _,
        destination_service: _,
        interface: _,
        policies: _,
        policy_revision,
        transport,
        event,
        verdict,
        state,
        direction,
        rest: _,
    } = *record;
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    out.put_u8(
        transport_kind(transport)
            | flag(source_address.is_ipv6(), SOURCE_V6)
            | flag(destination_address.is_ipv6(), DESTINATION_V6)
            | flag(places.source_service.is_some(), SOURCE_SERVICE)
            | flag(places.destination_service.is_some(), DESTINATION_SERVICE)
            | flag(places.policies.is_some(), POLICIES),
    );
    out.put_u8(verdict as u8 | (state as u8) << 3 | (direction as u8) << 6);
    out.put_u8(event.kind() as u8 | flag(places.rest.is_some(), REST));
    out.put_u8(match event {
        Event::Trace(point) => point as u8,
        Event::Drop(reason) => reason.0,
        Event::PolicyVerdict(match_type) => match_type as u8,
    });
    out.put_signed(time_ns.wrapping_sub(previous_ns));
    put_address(source_address, out);
    put_address(destination_address, out);
    out.put_varint(places.source.into());
    out.put_varint(places.destination.into());
    out.put_varint(places.interface.into());
    let Places { source_service, destination_service, policies, rest, .. } = places;
    for place in [source_service, destination_service, policies, rest].into_iter().flatten() {
        out.put_varint(place.into());
    }
    out.put_varint(policy_revision.into());
    put_transport(transport, out);
}

/// Takes a flow: the reverse of [`put`].
pub fn take(take: &mut Take<'_>, numbers: &Numbers, previous_ns: i64) -> Result<Record, Malformed> {
    let (shape, judged) = (take.u8("a flow")?, take.u8("a flow")?);
    let (event, detail) = (take.u8("a flow")?, take.u8("a flow")?);
    let time_ns = previous_ns.wrapping_add(take.signed("the time of a flow")?);
    let source_address = take_address(take, shape & SOURCE_V6 != 0)?;
    let destination_address = take_address(take, shape & DESTINATION_V6 != 0)?;
    let source = place(take, "end", &numbers.endpoints)?;
    let destination = place(take, "end", &numbers.endpoints)?;
    let interface = place(take, "interface", &numbers.interfaces)?;
    let mut service =
        |flag| (shape & flag != 0).then(|| place(take, "service", &numbers.services)).transpose();
    let (source_service, destination_service) = (service(SOURCE_SERVICE)?, service(DESTINATION_SERVICE)?);
    let policies = (shape & POLICIES != 0).then(|| place(take, "list of policies", &numbers.policies));
    let policies = policies.transpose()?.flatten();
    let rest = (event & REST != 0).then(|| place(take, "rest", &numbers.rests)).transpose()?;
    Ok(Record {
        time_ns,
        source_address,
        destination_address,
        source,
        destination,
        source_service,
        destination_service,
        interface,
        policies,
        policy_revision: take.varint_u32("policy revision")?,
        transport: take_transport(take, shape & 0b111)?,
        event: match EventKind::try_from(event & !REST)? {
            EventKind::Drop => Event::Drop(DropReason(detail)),
            EventKind::Trace => Event::Trace(ObservationPoint::try_from(detail)?),
            EventKind::PolicyVerdict => Event::PolicyVerdict(MatchType::try_from(detail)?),
        },
        verdict: (judged & 0b111).try_into()?,
        state: (judged >> 3 & 0b111).try_into()?,
        direction: (judged >> 6).try_into()?,
        rest,
    })
}

fn place<T: Copy>(take: &mut Take<'_>, what: &'static str, numbers: &[T]) -> Result<T, Malformed> {
    let number = take.varint(what)?;
    let place = usize::try_from(number).ok().and_then(|place| numbers.get(place));
    place.copied().ok_or(Malformed::Number { what, number })
}

fn put_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => out.put(&address.octets()),
        IpAddr::V6(address) => out.put(&address.octets()),
    }
}

fn take_address(take: &mut Take<'_>, is_v6: bool) -> Result<IpAddr, Malformed> {
    Ok(if is_v6 { take.array::<16>("an address")?.into() } else { take.array::<4>("an address")?.into() })
}

const fn transport_kind(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp { .. } => 0,
        Transport::Udp { .. } => 1,
        Transport::Sctp { .. } => 2,
        Transport::Icmp { .. } => 3,
        Transport::Icmpv6 { .. } => 4,
        Transport::Other(_) => 5,
    }
}

fn put_transport(transport: Transport, out: &mut Vec<u8>) {
    match transport {
        Transport::Tcp { source, destination, flags } => {
            out.put_u16(source);
            out.put_u16(destination);
            out.put_u8(flags.0);
        }
        Transport::Udp { source, destination } | Transport::Sctp { source, destination } => {
            out.put_u16(source);
            out.put_u16(destination);
        }
        Transport::Icmp { kind, code } | Transport::Icmpv6 { kind, code } => {
            out.put_u8(kind);
            out.put_u8(code);
        }
        Transport::Other(number) => out.put_u8(number),
    }
}

fn take_transport(take: &mut Take<'_>, kind: u8) -> Result<Transport, Malformed> {
    let what = "a transport header";
    Ok(match kind {
        0 => Transport::Tcp {
            source: take.u16(what)?,
            destination: take.u16(what)?,
            flags: TcpFlags(take.u8(what)?),
        },
        1 => Transport::Udp { source: take.u16(what)?, destination: take.u16(what)? },
        2 => Transport::Sctp { source: take.u16(what)?, destination: take.u16(what)? },
        3 => Transport::Icmp { kind: take.u8(what)?, code: take.u8(what)? },
        4 => Transport::Icmpv6 { kind: take.u8(what)?, code: take.u8(what)? },
        5 => Transport::Other(take.u8(what)?),
        number => return Err(Malformed::Number { what: "transport", number: number.into() }),
    })
}

// === impl Malformed ===

impl From<UnknownNumber> for Malformed {
    fn from(UnknownNumber { what, number }: UnknownNumber) -> Self {
        Self::Number { what, number: number.into() }
    }
}
