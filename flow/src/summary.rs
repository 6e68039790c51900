//! The `Summary` of a flow: what printers show in brackets.

mod icmp;

use std::fmt::Write;
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

/// The summary of a flow: that of its packet, and for a packet that was seen leaving a pod and never again,
/// that it was not delivered.
pub fn of_event(transport: Transport, source: IpAddr, event: Event) -> String {
    let mut summary = of_packet(transport, source);
    if event == Event::Trace(ObservationPoint::FromEndpoint) {
        summary.push_str("; not delivered");
    }
    summary
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

#[cfg(test)]
mod tests {
    use super::*;

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
