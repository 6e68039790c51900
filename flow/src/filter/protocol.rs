//! `protocol`.

use palomar_proto::flow::FlowFilter;
use palomar_proto::flow::layer7::Record;

use super::InvalidFilter;
use super::test::Test;
use crate::view::{FlowView, Part, Transport};

/// Protocols of which one must be the flow's, of the transport or of the application.
#[derive(Debug)]
pub(super) struct Protocols(Vec<Protocol>);

#[derive(Debug, Clone, Copy)]
enum Protocol {
    Icmp,
    IcmpV4,
    IcmpV6,
    Tcp,
    Udp,
    Sctp,
    Vrrp,
    Igmp,
    Dns,
    Http,
    Kafka,
}

pub(super) fn compile(filter: &FlowFilter) -> Result<Option<Test>, InvalidFilter> {
    let parse = |name: &String| Protocol::parse(name).ok_or_else(|| InvalidFilter::Protocol(name.clone()));
    let protocols: Vec<_> = filter.protocol.iter().map(parse).collect::<Result<_, _>>()?;
    Ok((!protocols.is_empty()).then_some(Test::Protocol(Protocols(protocols))))
}

impl Protocol {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "icmp" => Self::Icmp,
            "icmpv4" => Self::IcmpV4,
            "icmpv6" => Self::IcmpV6,
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "sctp" => Self::Sctp,
            "vrrp" => Self::Vrrp,
            "igmp" => Self::Igmp,
            "dns" => Self::Dns,
            "http" => Self::Http,
            "kafka" => Self::Kafka,
            _ => return None,
        })
    }

    fn matches<V: FlowView>(self, flow: &V) -> bool {
        let record = || flow.layer7().and_then(|layer7| layer7.record.as_ref());
        match self {
            Self::Icmp => matches!(flow.transport(), Some(Transport::IcmpV4 | Transport::IcmpV6)),
            Self::IcmpV4 => matches!(flow.transport(), Some(Transport::IcmpV4)),
            Self::IcmpV6 => matches!(flow.transport(), Some(Transport::IcmpV6)),
            Self::Tcp => matches!(flow.transport(), Some(Transport::Tcp { .. })),
            Self::Udp => matches!(flow.transport(), Some(Transport::Udp { .. })),
            Self::Sctp => matches!(flow.transport(), Some(Transport::Sctp { .. })),
            Self::Vrrp => matches!(flow.transport(), Some(Transport::Vrrp)),
            Self::Igmp => matches!(flow.transport(), Some(Transport::Igmp)),
            Self::Dns => matches!(record(), Some(Record::Dns(_))),
            Self::Http => matches!(record(), Some(Record::Http(_))),
            Self::Kafka => matches!(record(), Some(Record::Kafka(_))),
        }
    }
}

impl Protocols {
    /// Of the headers, unless an application's protocol is among them.
    pub(super) fn part(&self) -> Part {
        let is_of_application =
            |protocol: &Protocol| matches!(protocol, Protocol::Dns | Protocol::Http | Protocol::Kafka);
        if self.0.iter().any(is_of_application) { Part::Other } else { Part::Header }
    }

    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        self.0.iter().any(|protocol| protocol.matches(flow))
    }
}
