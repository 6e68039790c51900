//! Which end began a connection, as far as one flow tells.

use palomar_flow::view::{FlowView, Side, Transport};
use palomar_model::packet::{Protocol, TcpFlags};
use palomar_proto::flow::{DropReason, Verdict};

/// Types of events, as flows have them.
const DROP: i32 = 1;
const POLICY_VERDICT: i32 = 5;

/// What a flow tells of the beginning of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The sender of this packet began it.
    Sender {
        /// By which protocol.
        protocol: Protocol,
        /// Source and destination port; `None` for protocols without.
        ports: Option<(u16, u16)>,
    },
    /// The packet goes against its connection, or tells an error of it: it is let through with that connection.
    Answer,
    /// This fact is missing.
    Unknown(&'static str),
    /// It is of no connection: without addresses, or of a protocol that has no place in a flow.
    None,
}

impl Opening {
    /// Reads a flow; `is_related` where connection tracking said that it tells an error of another connection.
    ///
    /// Of TCP the SYN decides, whatever the event: an agent may tell a verdict at any packet of a connection that it
    /// judges again. Of other protocols a verdict, and a drop by policy, are taken for those of a first packet.
    pub fn of<V: FlowView>(flow: &V, is_related: bool) -> Self {
        let Some(transport) = flow.transport() else { return Self::None };
        let port = |port: u32| u16::try_from(port).unwrap_or(0);
        let both = |(source, destination): (u32, u32)| Some((port(source), port(destination)));
        let (protocol, ports, flags) = match transport {
            Transport::Tcp { ports, flags } => (Protocol::Tcp, both(ports), flags),
            Transport::Udp { ports } => (Protocol::Udp, both(ports), None),
            Transport::Sctp { ports } => (Protocol::Sctp, both(ports), None),
            Transport::IcmpV4 => (Protocol::Icmp, None, None),
            Transport::IcmpV6 => (Protocol::Icmpv6, None, None),
            Transport::Vrrp | Transport::Igmp => return Self::None,
        };
        let sender = Self::Sender { protocol, ports };
        if flow.drop_reason() == i32::from(DropReason::InvalidSourceIp) {
            return Self::Unknown("who connects: the source address is not the sender's own");
        }
        if is_related {
            return Self::Answer;
        }
        let has = |flag: u8| flags.is_some_and(|flags| flags & u16::from(flag) != 0);
        match (has(TcpFlags::SYN), has(TcpFlags::ACK), flow.is_reply()) {
            (true, false, _) => sender,
            (true, true, _) | (_, _, Some(true)) => Self::Answer,
            (false, ..) => match (flow.event_type().map_or(0, |(kind, _)| kind), flow.is_reply()) {
                (POLICY_VERDICT | DROP, _) if protocol == Protocol::Tcp => Self::Unknown(WHICH),
                (POLICY_VERDICT, _) | (_, Some(false)) => sender,
                (DROP, _) if flow.drop_reason() == i32::from(DropReason::PolicyDenied) => sender,
                _ => Self::Unknown(WHICH),
            },
        }
    }
}

const WHICH: &str = "which end began the connection: the flow does not tell";

/// What the flow says policy did to the packet, at the end that saw it: the side, and whether it was allowed.
/// `None`: it says nothing of policy.
pub fn recorded<V: FlowView>(flow: &V) -> Option<(Side, bool)> {
    let (kind, _) = flow.event_type()?;
    let side = match flow.traffic_direction() {
        1 => Side::Destination,
        2 => Side::Source,
        _ => return None,
    };
    let verdict = Verdict::try_from(flow.verdict()).ok()?;
    match (kind, verdict) {
        (POLICY_VERDICT, Verdict::Forwarded | Verdict::Redirected) => Some((side, true)),
        (POLICY_VERDICT, Verdict::Dropped | Verdict::Audit) => Some((side, false)),
        (DROP, _) if flow.drop_reason() == i32::from(DropReason::PolicyDenied) => Some((side, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use palomar_proto::flow::layer4;
    use palomar_proto::flow::{CiliumEventType, Flow, IcmPv4, Layer4, Tcp, TcpFlags, Udp};

    use super::*;

    fn flow(protocol: layer4::Protocol, kind: i32, is_reply: Option<bool>) -> Flow {
        Flow {
            l4: Some(Layer4 { protocol: Some(protocol) }),
            event_type: Some(CiliumEventType { r#type: kind, sub_type: 0 }),
            is_reply,
            ..Flow::default()
        }
    }

    fn tcp(syn: bool, ack: bool) -> layer4::Protocol {
        let flags = Some(TcpFlags { syn, ack, ..TcpFlags::default() });
        layer4::Protocol::Tcp(Tcp { source_port: 4000, destination_port: 80, flags })
    }

    fn udp() -> layer4::Protocol {
        layer4::Protocol::Udp(Udp { source_port: 4000, destination_port: 53 })
    }

    fn denied(flow: Flow) -> Flow {
        Flow { drop_reason_desc: DropReason::PolicyDenied.into(), ..flow }
    }

    #[test]
    fn a_flow_tells_who_began_by_its_syn_or_by_its_connection_and_else_does_not_tell() {
        const BEGAN: &str = "sender";
        let icmp = || layer4::Protocol::IcmPv4(IcmPv4 { r#type: 3, code: 3 });
        let forged =
            Flow { drop_reason_desc: DropReason::InvalidSourceIp.into(), ..flow(tcp(true, false), 1, None) };
        let table = vec![
            ("a SYN that passed", flow(tcp(true, false), 4, Some(false)), false, BEGAN),
            ("a SYN that was dropped", denied(flow(tcp(true, false), 1, None)), false, BEGAN),
            ("the answer to a SYN", flow(tcp(true, true), 4, None), false, "answer"),
            ("a later packet the same way", flow(tcp(false, true), 4, Some(false)), false, BEGAN),
            ("a later packet back", flow(tcp(false, true), 4, Some(true)), false, "answer"),
            ("a packet found in mid-connection", flow(tcp(false, true), 4, None), false, "unknown"),
            ("a verdict at a later packet", flow(tcp(false, true), 5, Some(false)), false, "unknown"),
            ("a drop of a later packet", denied(flow(tcp(false, true), 1, None)), false, "unknown"),
            ("a UDP packet", flow(udp(), 4, Some(false)), false, BEGAN),
            ("a UDP reply", flow(udp(), 4, Some(true)), false, "answer"),
            ("a UDP verdict", flow(udp(), 5, None), false, BEGAN),
            ("a UDP packet that policy dropped", denied(flow(udp(), 1, None)), false, BEGAN),
            ("a UDP packet dropped otherwise", flow(udp(), 1, None), false, "unknown"),
            ("an ICMP error of a connection", flow(icmp(), 4, Some(false)), true, "answer"),
            ("a forged source", forged, false, "unknown"),
            ("no transport", Flow::default(), false, "none"),
        ];
        for (what, flow, is_related, expected) in table {
            let found = match Opening::of(&flow, is_related) {
                Opening::Sender { .. } => BEGAN,
                Opening::Answer => "answer",
                Opening::Unknown(_) => "unknown",
                Opening::None => "none",
            };
            assert_eq!(found, expected, "{what}");
        }
    }
}
