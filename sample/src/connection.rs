//! A connection and the flows that are told of it.

use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::attribution::PolicyRef;
use palomar_model::flow::{Event, Flow};
use palomar_model::packet::{Protocol, TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, ObservationPoint, Verdict};

use crate::party::Party;
use crate::plot::{Packet, Plot, Step};

/// The revision of the policies in force.
const REVISION: u32 = 7;

/// A connection, from its first flow on.
#[derive(Debug, Clone)]
pub struct Connection {
    pub client: Party,
    pub server: Party,
    pub protocol: Protocol,
    pub plot: Plot,
}

/// What is told of a packet beside its ends.
struct Told {
    event: Event,
    verdict: Verdict,
    state: ConnectionState,
    direction: Direction,
    flags: TcpFlags,
    is_reply: bool,
}

// === impl Connection ===

impl Connection {
    /// The next flow; `None` when all was told.
    pub fn next_flow(&mut self, time_ns: i64) -> Option<Flow> {
        let told = self.told(self.plot.front().copied()?);
        self.plot.pop_front();
        Some(self.flow(time_ns, &told))
    }

    fn told(&self, step: Step) -> Told {
        let first = |event, verdict, direction| Told {
            event,
            verdict,
            state: ConnectionState::New,
            direction,
            flags: TcpFlags(TcpFlags::SYN),
            is_reply: false,
        };
        match step {
            Step::Judged { direction, verdict, by } => first(Event::PolicyVerdict(by), verdict, direction),
            Step::Dropped { direction, reason } => first(Event::Drop(reason), Verdict::Dropped, direction),
            Step::Vanished => {
                first(Event::Trace(ObservationPoint::FromEndpoint), Verdict::Forwarded, Direction::Egress)
            }
            Step::Seen(Packet { is_reply, flags, state }) => {
                // told once: at delivery to a local pod, else at the source
                let receiver = if is_reply { &self.client } else { &self.server };
                let (point, direction) = if receiver.is_local() {
                    (ObservationPoint::ToEndpoint, Direction::Ingress)
                } else {
                    (ObservationPoint::ToStack, Direction::Egress)
                };
                let event = Event::Trace(point);
                Told { event, verdict: Verdict::Forwarded, state, direction, flags, is_reply }
            }
        }
    }

    fn flow(&self, time_ns: i64, told: &Told) -> Flow {
        let (source, destination) =
            if told.is_reply { (&self.server, &self.client) } else { (&self.client, &self.server) };
        let local = match told.direction {
            Direction::Ingress => destination,
            Direction::Egress => source,
        };
        let policies = policies(local, told);
        Flow {
            time_ns,
            uuid: 0,
            event: told.event,
            verdict: told.verdict,
            state: told.state,
            direction: told.direction,
            source_address: source.address,
            destination_address: destination.address,
            transport: self.transport(source, destination, told),
            source: Arc::clone(&source.endpoint),
            destination: Arc::clone(&destination.endpoint),
            source_service: source.service.clone(),
            destination_service: destination.service.clone(),
            interface: local.interface.clone().unwrap_or_else(|| (0, Arc::from(""))),
            policy_revision: if local.judges.is_some() { REVISION } else { 0 },
            policies,
        }
    }

    fn transport(&self, source: &Party, destination: &Party, told: &Told) -> Transport {
        let (source, destination) = (source.port, destination.port);
        match self.protocol {
            Protocol::Tcp => Transport::Tcp { source, destination, flags: told.flags },
            Protocol::Udp => Transport::Udp { source, destination },
            Protocol::Sctp => Transport::Sctp { source, destination },
            // echo request and reply
            Protocol::Icmp => Transport::Icmp { kind: if told.is_reply { 0 } else { 8 }, code: 0 },
            Protocol::Icmpv6 => Transport::Icmpv6 { kind: if told.is_reply { 129 } else { 128 }, code: 0 },
            Protocol::Other(number) => Transport::Other(number),
        }
    }
}

/// Those that allowed the connection, or that isolate the pod; none of a reply, which was judged the other way.
fn policies(local: &Party, told: &Told) -> Arc<[PolicyRef]> {
    match (&local.judges, told.verdict) {
        (Some(_), _) if told.is_reply => Arc::new([]),
        (Some(judges), Verdict::Forwarded) => Arc::clone(&judges.allowing),
        (Some(judges), Verdict::Dropped | Verdict::Audit) => Arc::clone(&judges.isolating),
        (None, _) => Arc::new([]),
    }
}

/// The protocol of an echo over addresses like this one.
pub const fn echo(address: IpAddr) -> Protocol {
    match address {
        IpAddr::V4(_) => Protocol::Icmp,
        IpAddr::V6(_) => Protocol::Icmpv6,
    }
}
