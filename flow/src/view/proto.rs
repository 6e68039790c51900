//! Hubble's messages as views.

use std::borrow::Cow;

use palomar_proto::flow::layer4::Protocol;
use palomar_proto::flow::{Endpoint, Flow, Layer7, Service, TcpFlags};

use super::{Address, EndpointView, FlowView, LabelParts, Side, TcpFlagBits, Transport, Uuid};

impl EndpointView for Endpoint {
    fn identity(&self) -> u32 {
        self.identity
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn pod_name(&self) -> &str {
        &self.pod_name
    }

    fn cluster_name(&self) -> &str {
        &self.cluster_name
    }

    fn labels(&self) -> impl Iterator<Item = LabelParts<'_>> {
        self.labels.iter().map(|label| LabelParts::of_text(label))
    }

    fn workloads(&self) -> impl Iterator<Item = (&str, &str)> {
        self.workloads.iter().map(|workload| (workload.name.as_str(), workload.kind.as_str()))
    }
}

/// The bits of a flags message.
pub(crate) fn flag_bits(flags: &TcpFlags) -> TcpFlagBits {
    let TcpFlags { fin, syn, rst, psh, ack, urg, ece, cwr, ns } = *flags;
    let bits = [fin, syn, rst, psh, ack, urg, ece, cwr, ns];
    bits.into_iter().enumerate().map(|(at, set)| TcpFlagBits::from(set) << at).sum()
}

impl FlowView for Flow {
    type Endpoint = Endpoint;

    fn message(&self) -> Option<Cow<'_, Flow>> {
        Some(Cow::Borrowed(self))
    }

    fn endpoint(&self, side: Side) -> Option<&Endpoint> {
        side.of(&self.source, &self.destination).as_ref()
    }

    fn service(&self, side: Side) -> Option<(&str, &str)> {
        let service = side.of(&self.source_service, &self.destination_service).as_ref();
        service.map(|Service { name, namespace }| (namespace.as_str(), name.as_str()))
    }

    fn address(&self, side: Side) -> Address<'_> {
        self.ip.as_ref().map_or(Address::NONE, |ip| Address::Text(side.of(&ip.source, &ip.destination)))
    }

    fn source_translated(&self) -> Address<'_> {
        self.ip.as_ref().map_or(Address::NONE, |ip| Address::Text(&ip.source_xlated))
    }

    fn ip_version(&self) -> i32 {
        self.ip.as_ref().map_or(0, |ip| ip.ip_version)
    }

    fn encrypted(&self) -> bool {
        self.ip.as_ref().is_some_and(|ip| ip.encrypted)
    }

    fn transport(&self) -> Option<Transport> {
        Some(match self.l4.as_ref()?.protocol.as_ref()? {
            Protocol::Tcp(tcp) => Transport::Tcp {
                ports: (tcp.source_port, tcp.destination_port),
                flags: tcp.flags.as_ref().map(flag_bits),
            },
            Protocol::Udp(udp) => Transport::Udp { ports: (udp.source_port, udp.destination_port) },
            Protocol::Sctp(sctp) => Transport::Sctp { ports: (sctp.source_port, sctp.destination_port) },
            Protocol::IcmPv4(_) => Transport::IcmpV4,
            Protocol::IcmPv6(_) => Transport::IcmpV6,
            Protocol::Vrrp(_) => Transport::Vrrp,
            Protocol::Igmp(_) => Transport::Igmp,
        })
    }

    fn layer7(&self) -> Option<&Layer7> {
        self.l7.as_ref()
    }

    fn names(&self, side: Side) -> impl Iterator<Item = &str> {
        side.of(&self.source_names, &self.destination_names).iter().map(String::as_str)
    }

    fn uuid(&self) -> Uuid<'_> {
        Uuid::Text(&self.uuid)
    }

    fn event_type(&self) -> Option<(i32, i32)> {
        self.event_type.as_ref().map(|event| (event.r#type, event.sub_type))
    }

    fn verdict(&self) -> i32 {
        self.verdict
    }

    fn drop_reason(&self) -> i32 {
        self.drop_reason_desc
    }

    fn is_reply(&self) -> Option<bool> {
        self.is_reply
    }

    fn traffic_direction(&self) -> i32 {
        self.traffic_direction
    }

    fn interface(&self) -> Option<(u32, &str)> {
        self.interface.as_ref().map(|interface| (interface.index, interface.name.as_str()))
    }

    fn node_name(&self) -> &str {
        &self.node_name
    }

    fn node_labels(&self) -> impl Iterator<Item = &str> {
        self.node_labels.iter().map(String::as_str)
    }

    fn trace_id(&self) -> &str {
        let parent = self.trace_context.as_ref().and_then(|context| context.parent.as_ref());
        parent.map_or("", |parent| &parent.trace_id)
    }

    fn ip_trace_id(&self) -> u64 {
        self.ip_trace_id.as_ref().map_or(0, |id| id.trace_id)
    }
}
