//! IP packets made byte by byte, for what no honest socket would send.

use std::net::IpAddr;

/// TCP flags, as the header has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

/// An IP packet. The builders take any pair of addresses of one family; the source need not be the sender's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    payload: Vec<u8>,
    /// Identification and, per fragment, offset in units of 8 bytes and whether more follow.
    fragment: Option<(u32, u16, bool)>,
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP_V4: u8 = 1;
const ICMP_V6: u8 = 58;
const FRAGMENT_HEADER: u8 = 44;
const HOP_LIMIT: u8 = 64;

// === impl TcpFlags ===

impl TcpFlags {
    /// FIN
    pub const FIN: Self = Self(0x01);
    /// SYN
    pub const SYN: Self = Self(0x02);
    /// RST
    pub const RST: Self = Self(0x04);
    /// ACK
    pub const ACK: Self = Self(0x10);
    /// SYN and ACK
    pub const SYN_ACK: Self = Self(0x12);
}

// === impl Packet ===

impl Packet {
    /// A TCP segment without options.
    pub fn tcp(source: (IpAddr, u16), destination: (IpAddr, u16), flags: TcpFlags, payload: &[u8]) -> Self {
        let mut segment = ports(source.1, destination.1);
        // sequence 1, acknowledgement 1, header of 5 words, flags, window, checksum, no urgent data
        segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, flags.0, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend_from_slice(payload);
        Self::with_checksum(source.0, destination.0, TCP, segment, 16)
    }

    /// A UDP datagram.
    pub fn udp(source: (IpAddr, u16), destination: (IpAddr, u16), payload: &[u8]) -> Self {
        let mut datagram = ports(source.1, destination.1);
        datagram.extend(length_field(payload.len() + 8));
        datagram.extend([0, 0]);
        datagram.extend_from_slice(payload);
        Self::with_checksum(source.0, destination.0, UDP, datagram, 6)
    }

    /// An ICMP or `ICMPv6` echo request.
    pub fn echo_request(source: IpAddr, destination: IpAddr, id: u16, sequence: u16, payload: &[u8]) -> Self {
        let (protocol, kind) = if source.is_ipv4() { (ICMP_V4, 8) } else { (ICMP_V6, 128) };
        let mut message = vec![kind, 0, 0, 0];
        message.extend(id.to_be_bytes());
        message.extend(sequence.to_be_bytes());
        message.extend_from_slice(payload);
        Self::with_checksum(source, destination, protocol, message, 2)
    }

    /// Any protocol; the payload is taken as it is.
    pub fn other(source: IpAddr, destination: IpAddr, protocol: u8, payload: Vec<u8>) -> Self {
        Self { source, destination, protocol, payload, fragment: None }
    }

    /// The packet in fragments with this much payload each (rounded down to a multiple of 8, at least 8), in order. A
    /// packet that fits is one fragment, the first and last.
    ///
    /// # Panics
    /// For a packet of 512 KiB or more, whose offsets no fragment header can hold.
    #[must_use]
    pub fn fragments(&self, id: u32, payload: usize) -> Vec<Self> {
        let step = (payload / 8).max(1) * 8;
        let count = self.payload.len().div_ceil(step);
        let parts = self.payload.chunks(step).enumerate();
        let fragment = |(index, part): (usize, &[u8])| {
            let offset =
                u16::try_from(index * step / 8).expect("invariant: a packet has less than 2^16 bytes");
            Self { payload: part.to_vec(), fragment: Some((id, offset, index + 1 < count)), ..self.clone() }
        };
        parts.map(fragment).collect()
    }

    /// Where it goes.
    pub fn destination(&self) -> IpAddr {
        self.destination
    }

    /// The packet from its IP header on.
    pub fn to_bytes(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.v4_bytes(&source.octets(), &destination.octets())
            }
            (source, destination) => self.v6_bytes(&octets(source), &octets(destination)),
        }
    }

    fn with_checksum(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        mut payload: Vec<u8>,
        at: usize,
    ) -> Self {
        // ICMP for IPv4 alone has no pseudo header
        let mut covered = Vec::new();
        if protocol != ICMP_V4 {
            covered.extend(octets(source));
            covered.extend(octets(destination));
            covered.extend(length_field(payload.len()));
            covered.extend([0, protocol]);
        }
        covered.extend_from_slice(&payload);
        payload[at..at + 2].copy_from_slice(&checksum(&covered).to_be_bytes());
        Self::other(source, destination, protocol, payload)
    }

    fn v4_bytes(&self, source: &[u8], destination: &[u8]) -> Vec<u8> {
        let (id, offset, more) = self.fragment.unwrap_or((0, 0, false));
        let [_, _, id_high, id_low] = id.to_be_bytes();
        let [offset_high, offset_low] = (offset | u16::from(more) << 13).to_be_bytes();
        let mut bytes = vec![0x45, 0];
        bytes.extend(length_field(20 + self.payload.len()));
        bytes.extend([id_high, id_low, offset_high, offset_low, HOP_LIMIT, self.protocol, 0, 0]);
        bytes.extend_from_slice(source);
        bytes.extend_from_slice(destination);
        let sum = checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    fn v6_bytes(&self, source: &[u8], destination: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        if let Some((id, offset, more)) = self.fragment {
            body.extend([self.protocol, 0]);
            body.extend((offset << 3 | u16::from(more)).to_be_bytes());
            body.extend(id.to_be_bytes());
        }
        body.extend_from_slice(&self.payload);
        let next = if self.fragment.is_some() { FRAGMENT_HEADER } else { self.protocol };
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(length_field(body.len()));
        bytes.extend([next, HOP_LIMIT]);
        bytes.extend_from_slice(source);
        bytes.extend_from_slice(destination);
        bytes.extend(body);
        bytes
    }
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

/// The low 16 bits: a packet that is too long gets a header that lies, which is what forging is for.
fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length & 0xffff).expect("invariant: masked to 16 bits").to_be_bytes()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The checksum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).expect("invariant: folded to 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_rfc_1071_and_of_an_odd_length() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[0x01]), !0x0100);
        assert_eq!(checksum(&[]), 0xffff);
    }

    #[test]
    fn fragments_put_together_are_the_packet() {
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let packet = Packet::udp((a, 1), (b, 2), &[7; 100]);
        let parts = packet.fragments(9, 44);
        assert_eq!(
            parts.iter().map(|part| part.fragment.unwrap()).collect::<Vec<_>>(),
            [(9, 0, true), (9, 5, true), (9, 10, false)]
        );
        let together: Vec<u8> = parts.iter().flat_map(|part| part.payload.clone()).collect();
        assert_eq!(together, packet.payload);
        assert_eq!(parts[1].to_bytes()[6..8], [0x20, 5]);
    }
}
