//! Transport headers as messages.

use palomar_model::packet::{TcpFlags, Transport};
use palomar_proto::flow as proto;
use palomar_proto::flow::layer4::Protocol;

/// `None` for a protocol whose header is not read: Hubble's messages have no place for it.
pub(super) fn to_proto(transport: Transport) -> Option<proto::Layer4> {
    let protocol = match transport {
        Transport::Tcp { source, destination, flags } => Protocol::Tcp(proto::Tcp {
            source_port: source.into(),
            destination_port: destination.into(),
            flags: Some(flags_to_proto(flags)),
        }),
        Transport::Udp { source, destination } => {
            Protocol::Udp(proto::Udp { source_port: source.into(), destination_port: destination.into() })
        }
        Transport::Sctp { source, destination } => {
            Protocol::Sctp(proto::Sctp { source_port: source.into(), destination_port: destination.into() })
        }
        Transport::Icmp { kind, code } => {
            Protocol::IcmPv4(proto::IcmPv4 { r#type: kind.into(), code: code.into() })
        }
        Transport::Icmpv6 { kind, code } => {
            Protocol::IcmPv6(proto::IcmPv6 { r#type: kind.into(), code: code.into() })
        }
        Transport::Other(_) => return None,
    };
    Some(proto::Layer4 { protocol: Some(protocol) })
}

fn flags_to_proto(flags: TcpFlags) -> proto::TcpFlags {
    proto::TcpFlags {
        fin: flags.has(TcpFlags::FIN),
        syn: flags.has(TcpFlags::SYN),
        rst: flags.has(TcpFlags::RST),
        psh: flags.has(TcpFlags::PSH),
        ack: flags.has(TcpFlags::ACK),
        urg: flags.has(TcpFlags::URG),
        ece: flags.has(TcpFlags::ECE),
        cwr: flags.has(TcpFlags::CWR),
        ns: false,
    }
}
