//! Packets, byte by byte. Checksums stay zero: the programs do not look at them.

use std::net::{IpAddr, SocketAddr};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132;

const ETHERNET: usize = 14;

/// An IPv6 extension header, without the number of the one that follows it.
#[derive(Debug, Clone, Copy)]
pub enum Extension {
    HopByHop,
    Routing,
    Destination,
    Authentication,
    Fragment { id: u32, offset: u16, more: bool },
}

/// Where a datagram's bytes were cut out of; `offset` in bytes, a multiple of 8.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    pub id: u16,
    pub offset: u16,
    pub more: bool,
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

// === transport ===

pub fn tcp_segment(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend([0; 8]);
    bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    bytes
}

pub fn udp_datagram(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend([0, 12, 0, 0, b'p', b'a', b'l', b'o']);
    bytes
}

pub fn sctp_packet(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend([0; 8]);
    bytes
}

pub fn icmp_message(kind: u8, code: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(body);
    bytes
}

// === network: without an Ethernet header ===

pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match source {
        IpAddr::V4(_) => ipv4(source, destination, protocol, &[], None, payload),
        IpAddr::V6(_) => ipv6(source, destination, &[], protocol, payload),
    }
}

/// `options`: a multiple of 4 bytes.
pub fn ipv4(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    options: &[u8],
    piece: Option<Piece>,
    payload: &[u8],
) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else { panic!("not IPv4") };
    let words = 5 + u8::try_from(options.len() / 4).unwrap();
    let length = u16::try_from(usize::from(words) * 4 + payload.len()).unwrap();
    let piece = piece.unwrap_or(Piece { id: 0x1234, offset: 0, more: false });
    let fragment = (piece.offset / 8) | if piece.more { 0x2000 } else { 0 };
    let mut bytes = vec![0x40 | words, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(piece.id.to_be_bytes());
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

impl Extension {
    fn number(self) -> u8 {
        match self {
            Self::HopByHop => 0,
            Self::Routing => 43,
            Self::Destination => 60,
            Self::Authentication => 51,
            Self::Fragment { .. } => 44,
        }
    }

    fn bytes(self, next: u8) -> Vec<u8> {
        match self {
            // 16 bytes, so that the length field is not zero
            Self::HopByHop | Self::Destination => [vec![next, 1, 1, 12], vec![0; 12]].concat(),
            Self::Routing => vec![next, 0, 4, 0, 0, 0, 0, 0],
            Self::Authentication => [vec![next, 4, 0, 0], vec![0; 20]].concat(),
            Self::Fragment { id, offset, more } => {
                let field = offset | u16::from(more);
                [vec![next, 0], field.to_be_bytes().to_vec(), id.to_be_bytes().to_vec()].concat()
            }
        }
    }
}

pub fn ipv6(
    source: IpAddr,
    destination: IpAddr,
    extensions: &[Extension],
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (source, destination) else { panic!("not IPv6") };
    let mut rest = payload.to_vec();
    let mut next = protocol;
    for extension in extensions.iter().rev() {
        rest.splice(0..0, extension.bytes(next));
        next = extension.number();
    }
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(rest);
    bytes
}

// === frames ===

pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An IP packet in its Ethernet frame.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    ethernet(if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 }, packet)
}

/// Puts tags, outermost first, into a frame.
pub fn vlan(ethertypes: &[u16], frame: &[u8]) -> Vec<u8> {
    let tags: Vec<u8> =
        ethertypes.iter().flat_map(|ethertype| [ethertype.to_be_bytes(), [0, 7]].concat()).collect();
    [&frame[..ETHERNET - 2], tags.as_slice(), &frame[ETHERNET - 2..]].concat()
}

pub fn transport(source: &str, destination: &str, protocol: u8, flags: u8) -> Vec<u8> {
    let (source, destination) = (socket(source), socket(destination));
    let payload = match protocol {
        TCP => tcp_segment(source.port(), destination.port(), flags),
        UDP => udp_datagram(source.port(), destination.port()),
        SCTP => sctp_packet(source.port(), destination.port()),
        _ => panic!("no ports in protocol {protocol}"),
    };
    frame(&ip(source.ip(), destination.ip(), protocol, &payload))
}

pub fn tcp(source: &str, destination: &str, flags: u8) -> Vec<u8> {
    transport(source, destination, TCP, flags)
}

pub fn udp(source: &str, destination: &str) -> Vec<u8> {
    transport(source, destination, UDP, 0)
}

/// The ICMP of the addresses' family.
pub fn icmp(source: &str, destination: &str, kind: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let (source, destination) = (address(source), address(destination));
    let protocol = if source.is_ipv4() { ICMP } else { ICMPV6 };
    frame(&ip(source, destination, protocol, &icmp_message(kind, 0, id, body)))
}

/// The beginning of a frame's IP packet, as ICMP errors quote it: `length` bytes.
pub fn quote(frame: &[u8], length: usize) -> Vec<u8> {
    frame[ETHERNET..].iter().copied().take(length).collect()
}
