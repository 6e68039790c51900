//! The `Summary` of a flow: what printers show in brackets.

mod icmp;

use std::fmt::{self, Write};
use std::net::IpAddr;

use palomar_model::flow::Event;
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::ObservationPoint;

/// The order in which flags are told.
const FLAG_ORDER: [(u8, &str); 8] = [
    (TcpFlags::SYN, "SYN"),
    (TcpFlags::ACK, "ACK"),
    (TcpFlags::RST, "RST"),
    (TcpFlags::FIN, "FIN"),
    (TcpFlags::PSH, "PSH"),
    (TcpFlags::URG, "URG"),
    (TcpFlags::ECE, "ECE"),
    (TcpFlags::CWR, "CWR"),
];

/// Follows the packet in the summary of one that was seen leaving a pod and never again.
const NOT_DELIVERED: &str = "; not delivered";
/// Follows the packet in the summary of one that somebody else in the kernel dropped.
const KERNEL: &str = "; kernel: ";
/// Stands between the kernel's reason and the function that gave it.
const AT: &str = " at ";

/// What a summary tells of a packet's fate, beyond what the flow's verdict says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate<'s> {
    /// It left a pod for another on the node, and was neither delivered nor, as far as anybody told, dropped.
    NotDelivered,
    /// Somebody else in the kernel dropped it.
    Dropped(KernelDrop<'s>),
}

/// How somebody else in the kernel dropped a packet, in the kernel's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelDrop<'s> {
    /// The reason's name without its prefix, such as `NETFILTER_DROP`; its number, where it has no name.
    pub reason: &'s str,
    /// The function that dropped it; `None` where that is not known.
    pub place: Option<&'s str>,
}

/// The summary of a flow: that of its packet, and for a packet that was seen leaving a pod and never again,
/// that it was not delivered.
pub fn of_event(transport: Transport, source: IpAddr, event: Event) -> String {
    let mut summary = of_packet(transport, source);
    if event == Event::Trace(ObservationPoint::FromEndpoint) {
        summary.push_str(NOT_DELIVERED);
    }
    summary
}

/// The summary of a packet that somebody else in the kernel dropped.
pub fn of_kernel_drop(packet: &str, drop: KernelDrop<'_>) -> String {
    format!("{packet}{KERNEL}{drop}")
}

/// What a summary of this or of an agent's tells of its packet's fate; `None` where it tells nothing.
pub fn fate(summary: &str) -> Option<Fate<'_>> {
    if summary.ends_with(NOT_DELIVERED) {
        return Some(Fate::NotDelivered);
    }
    let (_, drop) = summary.split_once(KERNEL)?;
    let (reason, place) = drop.split_once(AT).map_or((drop, None), |(reason, place)| (reason, Some(place)));
    Some(Fate::Dropped(KernelDrop { reason, place }))
}

/// The summary of a packet; `source` tells the IP version where the protocol has no name here.
pub fn of_packet(transport: Transport, source: IpAddr) -> String {
    match transport {
        Transport::Tcp { flags, .. } => tcp(flags),
        Transport::Udp { .. } => "UDP".into(),
        Transport::Sctp { .. } => "SCTP".into(),
        Transport::Icmp { kind, code } => format!("ICMPv4 {}", icmp::V4.name(kind, code)),
        Transport::Icmpv6 { kind, code } => format!("ICMPv6 {}", icmp::V6.name(kind, code)),
        Transport::Other(2) => "IGMP".into(),
        Transport::Other(112) => "VRRP".into(),
        Transport::Other(_) if source.is_ipv4() => "IPv4".into(),
        Transport::Other(_) => "IPv6".into(),
    }
}

/// The name of an ICMP message of either version, e.g. `DestinationUnreachable(Port)`; `None` for another protocol.
pub fn icmp_message(transport: Transport) -> Option<String> {
    match transport {
        Transport::Icmp { kind, code } => Some(icmp::V4.name(kind, code)),
        Transport::Icmpv6 { kind, code } => Some(icmp::V6.name(kind, code)),
        Transport::Tcp { .. } | Transport::Udp { .. } | Transport::Sctp { .. } | Transport::Other(_) => None,
    }
}

fn tcp(flags: TcpFlags) -> String {
    let mut summary = String::from("TCP Flags: ");
    let mut separator = "";
    for (_, name) in FLAG_ORDER.into_iter().filter(|(bit, _)| flags.has(*bit)) {
        write!(summary, "{separator}{name}").expect("invariant: writing to a String never fails");
        separator = ", ";
    }
    summary
}

// === impl KernelDrop ===

/// `NETFILTER_DROP at nft_do_chain`
impl fmt::Display for KernelDrop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, place } = self;
        f.write_str(reason)?;
        place.map_or(Ok(()), |place| write!(f, "{AT}{place}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fate_is_read_as_it_was_written() {
        let drop = |place| KernelDrop { reason: "NETFILTER_DROP", place };
        for place in [None, Some("nft_do_chain")] {
            let summary = of_kernel_drop("TCP Flags: SYN", drop(place));
            assert_eq!(fate(&summary), Some(Fate::Dropped(drop(place))), "{summary}");
        }
        let event = Event::Trace(ObservationPoint::FromEndpoint);
        let summary =
            of_event(Transport::Udp { source: 1, destination: 2 }, "10.0.0.1".parse().unwrap(), event);
        assert_eq!((summary.as_str(), fate(&summary)), ("UDP; not delivered", Some(Fate::NotDelivered)));
        assert_eq!(fate("TCP Flags: SYN"), None);
    }

    #[test]
    fn each_protocol_has_its_summary() {
        let v4: IpAddr = "10.0.0.1".parse().unwrap();
        let v6: IpAddr = "fd00::1".parse().unwrap();
        let tcp = |flags| Transport::Tcp { source: 1, destination: 2, flags: TcpFlags(flags) };
        let table = [
            (tcp(0x02), v4, "TCP Flags: SYN"),
            (tcp(0x12), v4, "TCP Flags: SYN, ACK"),
            (tcp(0xff), v4, "TCP Flags: SYN, ACK, RST, FIN, PSH, URG, ECE, CWR"),
            (tcp(0), v4, "TCP Flags: "),
            (Transport::Udp { source: 1, destination: 2 }, v6, "UDP"),
            (Transport::Sctp { source: 1, destination: 2 }, v6, "SCTP"),
            (Transport::Icmp { kind: 8, code: 0 }, v4, "ICMPv4 EchoRequest"),
            (Transport::Icmp { kind: 3, code: 3 }, v4, "ICMPv4 DestinationUnreachable(Port)"),
            (Transport::Icmp { kind: 3, code: 77 }, v4, "ICMPv4 DestinationUnreachable(Code: 77)"),
            (Transport::Icmp { kind: 8, code: 1 }, v4, "ICMPv4 EchoRequest(Code: 1)"),
            (Transport::Icmp { kind: 99, code: 1 }, v4, "ICMPv4 99(1)"),
            (Transport::Icmpv6 { kind: 129, code: 0 }, v6, "ICMPv6 EchoReply"),
            (Transport::Icmpv6 { kind: 1, code: 4 }, v6, "ICMPv6 DestinationUnreachable(PortUnreachable)"),
            (Transport::Other(47), v4, "IPv4"),
            (Transport::Other(47), v6, "IPv6"),
            (Transport::Other(112), v4, "VRRP"),
        ];
        for (transport, source, expected) in table {
            assert_eq!(of_packet(transport, source), expected);
        }
    }
}
