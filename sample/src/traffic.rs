//! Many connections at once, and the flows that a node tells of them.

use palomar_model::drop_reason::DropReason;
use palomar_model::flow::Flow;
use palomar_model::packet::Protocol;
use palomar_model::verdict::{Direction, MatchType, Verdict};

use crate::cluster::{Cluster, Outside, Pod};
use crate::connection::{Connection, echo};
use crate::party::{Family, Party};
use crate::plot::{self, Plot, Step};
use crate::random::Random;

/// Connections that are open at once.
const OPEN: usize = 256;
/// Ports that clients use.
const CLIENT_PORTS: (u16, u16) = (32_768, 60_999);
/// What allows a connection; as often as it stands here.
const MATCHES: [MatchType; 6] =
    [MatchType::L3L4, MatchType::L3L4, MatchType::L3L4, MatchType::L4Only, MatchType::L3Only, MatchType::All];

/// Flows without end. Those of one connection come in their order, between those of others.
///
/// About one in ten was dropped; one half of these are the drops, the other half the policy verdicts that led to them. One
/// in ten is a verdict that allowed. Most are TCP, some UDP (DNS, most of all), a few ICMP and SCTP; one in six is IPv6.
#[derive(Debug, Clone)]
pub struct Traffic {
    cluster: Cluster,
    random: Random,
    open: Vec<Connection>,
}

// === impl Traffic ===

impl Traffic {
    /// The traffic of a seed.
    pub fn new(cluster: Cluster, seed: u64) -> Self {
        let mut traffic = Self { cluster, random: Random::new(seed), open: Vec::new() };
        traffic.open = (0..OPEN).map(|_| traffic.connection()).collect();
        // until some connections are young and some are old: denied ones are told at their very beginning
        for _ in 0..OPEN * 16 {
            traffic.next_flow(0);
        }
        traffic
    }

    /// The cluster that it is of.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The next flow, as seen at this time (nanoseconds since the Unix epoch). Its UUID is 0: a ring gives its own.
    pub fn next_flow(&mut self, time_ns: i64) -> Flow {
        loop {
            let at = self.random.index(self.open.len());
            if let Some(flow) = self.open[at].next_flow(time_ns) {
                return flow;
            }
            self.open[at] = self.connection();
        }
    }

    fn connection(&mut self) -> Connection {
        let family = if self.random.per_mille(170) { Family::V6 } else { Family::V4 };
        match self.random.below(100) {
            0..26 => self.name_look_up(family),
            26..38 => self.ask_service(family),
            38..44 => self.asked_from_outside(family),
            44..50 => self.ask_outside(family),
            50..53 => self.probe(family),
            53..57 => self.echo(family),
            57 => self.over(Protocol::Sctp, family),
            _ => self.between_pods(family),
        }
    }

    fn between_pods(&mut self, family: Family) -> Connection {
        let (from, to) = self.two_pods();
        let client = self.client(&from, family);
        self.tcp(client, Party::pod(&to, family, to.port))
    }

    fn ask_service(&mut self, family: Family) -> Connection {
        let pod = self.local_pod();
        let client = self.client(&pod, family);
        let service = self.random.pick(self.cluster.services());
        let server = Party::service(service, self.world(), family);
        self.tcp(client, server)
    }

    fn asked_from_outside(&mut self, family: Family) -> Connection {
        let outside = self.random.pick(self.cluster.outside()).clone();
        let port = self.client_port();
        let client = Party::outside(&outside, family, port).behind(self.random.below(64));
        let pod = self.local_pod();
        self.tcp(client, Party::pod(&pod, family, pod.port))
    }

    fn ask_outside(&mut self, family: Family) -> Connection {
        let pod = self.local_pod();
        let client = self.client(&pod, family);
        let outside = self.random.pick(self.cluster.outside()).clone();
        let server = Party::outside(&outside, family, 443).behind(self.random.below(64));
        self.tcp(client, server)
    }

    /// The node asks a pod whether it lives; nothing judges that.
    fn probe(&mut self, family: Family) -> Connection {
        let port = self.client_port();
        let client = Party::outside(self.cluster.host(), family, port);
        let pod = self.local_pod();
        let server = Party { judges: None, ..Party::pod(&pod, family, pod.port) };
        let plot = plot::tcp(1, &mut self.random).collect();
        Connection { client, server, protocol: Protocol::Tcp, plot }
    }

    fn name_look_up(&mut self, family: Family) -> Connection {
        let pod = self.local_pod();
        let client = self.client(&pod, family);
        let dns = Party::service(&self.cluster.services()[0], self.world(), family);
        self.begin(client, dns, Protocol::Udp, plot::exchange().collect())
    }

    fn echo(&mut self, family: Family) -> Connection {
        let (from, to) = self.two_pods();
        let (client, server) = (Party::pod(&from, family, 0), Party::pod(&to, family, 0));
        let protocol = echo(client.address);
        self.begin(client, server, protocol, plot::exchange().collect())
    }

    fn over(&mut self, protocol: Protocol, family: Family) -> Connection {
        let (from, to) = self.two_pods();
        let (client, server) = (self.client(&from, family), Party::pod(&to, family, 3868));
        self.begin(client, server, protocol, plot::exchange().collect())
    }

    fn tcp(&mut self, client: Party, server: Party) -> Connection {
        let talk = self.random.below(5);
        let plot = match self.random.below(1_000) {
            // a packet that nobody sees again, and connections of which the node tells no more
            0..4 if client.is_local() => [Step::Vanished].into(),
            4..200 => plot::beginning().collect(),
            _ => plot::tcp(talk, &mut self.random).collect(),
        };
        self.begin(client, server, Protocol::Tcp, plot)
    }

    /// Puts what the policies of both ends say before what happens then.
    fn begin(&mut self, client: Party, server: Party, protocol: Protocol, then: Plot) -> Connection {
        let mut plot = Plot::new();
        let goes_on = if client.is_local() && self.random.per_mille(4) {
            let reason = DropReason::INVALID_SOURCE_IP;
            plot.push_back(Step::Dropped { direction: Direction::Egress, reason });
            false
        } else {
            (client.judges.is_none() || self.judge(Direction::Egress, &mut plot))
                && (server.judges.is_none() || self.judge(Direction::Ingress, &mut plot))
        };
        if goes_on {
            plot.extend(then);
        }
        Connection { client, server, protocol, plot }
    }

    /// What the policies of one end say; returns whether the packet goes on.
    fn judge(&mut self, direction: Direction, plot: &mut Plot) -> bool {
        let denied = |verdict| Step::Judged { direction, verdict, by: MatchType::None };
        match self.random.below(1_000) {
            0..365 => {
                let reason = DropReason::POLICY_DENIED;
                plot.extend([denied(Verdict::Dropped), Step::Dropped { direction, reason }]);
                return false;
            }
            365..380 => plot.push_back(denied(Verdict::Audit)),
            _ => {
                let by = *self.random.pick(&MATCHES);
                plot.push_back(Step::Judged { direction, verdict: Verdict::Forwarded, by });
            }
        }
        true
    }

    /// Two pods of which one at least is local.
    fn two_pods(&mut self) -> (Pod, Pod) {
        let (local, other) = (self.local_pod(), self.random.pick(self.cluster.pods()).clone());
        if self.random.per_mille(500) { (local, other) } else { (other, local) }
    }

    fn local_pod(&mut self) -> Pod {
        loop {
            let pod = self.random.pick(self.cluster.pods());
            if pod.is_local() {
                return pod.clone();
            }
        }
    }

    fn client(&mut self, pod: &Pod, family: Family) -> Party {
        let port = self.client_port();
        Party::pod(pod, family, port)
    }

    fn client_port(&mut self) -> u16 {
        self.random.port(CLIENT_PORTS.0, CLIENT_PORTS.1)
    }

    /// Outside, and of no CIDR that a policy names.
    fn world(&self) -> &Outside {
        self.cluster.outside().last().expect("invariant: the last is the rest of the world")
    }
}
