//! Traffic that goes on while things happen to the agent, and what was lost of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use palomar_lab::Place;
use palomar_lab::traffic::{Connection, Packet, TcpFlags, TcpServer, TrafficError, UdpEcho};

use super::{LONG, PORT, wait_for};

/// Between two packets of a stream.
const PACE: Duration = Duration::from_millis(1);
/// How soon a thread notices that it is to stop.
const TICK: Duration = Duration::from_millis(20);
/// The TCP flag.
const SYN: u8 = 0x02;
/// Where denied packets go to: nobody listens there.
const DENIED_PORT: u16 = 9999;
const DATAGRAM: &str = "a datagram";
/// What the kernel counts when it had to send something again because no answer came in time.
const TIMEOUTS: &str = "TCPTimeouts";

/// Echo servers on [`PORT`], for TCP and UDP.
pub fn echo(place: &Place) -> (TcpServer, UdpEcho) {
    (place.serve_echo(PORT).unwrap(), place.serve_udp_echo(PORT).unwrap())
}

/// Allowed traffic from one pod to the echo servers of another: a connection that is kept open, a stream of new
/// connections in turn over both families, and datagrams. A packet is lost if an answer does not come, or if TCP had
/// to send it twice.
pub struct Load {
    client: Place,
    server: Place,
    timeouts: u64,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Our end of the connection that is kept open.
    pub open: SocketAddr,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    counts: [AtomicU64; 3],
    lost: Mutex<Vec<String>>,
}

// === impl Load ===

impl Load {
    /// Begins.
    pub fn start(client: &Place, server: &Place) -> Self {
        let shared = Arc::new(Shared::default());
        let [v4, v6] = [server.v4().unwrap(), server.v6().unwrap()].map(|address| (address, PORT).into());
        let mut open = client.connect(v4, LONG).unwrap();
        let mut load = Self {
            timeouts: timeouts(client) + timeouts(server),
            client: client.clone(),
            server: server.clone(),
            shared,
            threads: Vec::new(),
            open: open.local_address().unwrap(),
        };
        load.stream(0, "the open connection", move |_| open.ping(LONG));
        let from = client.clone();
        load.stream(1, "a new connection", move |number| {
            from.connect(if number % 2 == 0 { v4 } else { v6 }, LONG).and_then(|mut new| new.ping(LONG))
        });
        let from = client.clone();
        load.stream(2, DATAGRAM, move |number| {
            let sent = number.to_be_bytes();
            let answer = from.udp_exchange(if number % 2 == 0 { v6 } else { v4 }, &sent, LONG)?;
            if answer == sent { Ok(()) } else { Err(TrafficError::Unexpected(format!("{answer:?}"))) }
        });
        load
    }

    fn stream(
        &mut self,
        kind: usize,
        what: &'static str,
        mut exchange: impl FnMut(u64) -> Result<(), TrafficError> + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        self.threads.push(thread::spawn(move || {
            while !shared.stop.load(Ordering::Relaxed) {
                let number = shared.counts[kind].fetch_add(1, Ordering::Relaxed);
                if let Err(error) = exchange(number) {
                    shared.lost.lock().unwrap().push(format!("{what}, exchange {number}: {error}"));
                }
                thread::sleep(PACE);
            }
        }));
    }

    /// Waits until so many more exchanges of each kind were begun.
    pub fn go_on(&self, exchanges: u64) {
        let counts = || self.shared.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let before = counts();
        wait_for("the traffic goes on", || {
            counts().iter().zip(before).all(|(now, before)| *now >= before + exchanges).then_some(())
        });
    }

    /// Ends it, and panics if a packet was lost.
    pub fn nothing_was_lost(self, context: &str) {
        let (client, server) = (self.client.clone(), self.server.clone());
        let before = self.timeouts;
        let lost = self.end();
        assert!(lost.is_empty(), "{context}: lost {}: {lost:#?}", lost.len());
        let again = timeouts(&client) + timeouts(&server) - before;
        assert_eq!(again, 0, "{context}: TCP had to send {again} packets again");
    }

    /// Ends it, and panics if a connection failed: for what has to put a clsact qdisc on an interface or take it off. The
    /// kernel stops the interface for that, and loses what is sent in this moment.
    pub fn no_connection_failed(self, context: &str) {
        let mut failed = self.end();
        failed.retain(|what| !what.starts_with(DATAGRAM));
        assert!(failed.is_empty(), "{context}: {failed:#?}");
    }

    fn end(mut self) -> Vec<String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut *self.shared.lost.lock().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// How often TCP has waited in vain in this place.
fn timeouts(place: &Place) -> u64 {
    let text = place.netns().enter(|| std::fs::read_to_string("/proc/thread-self/net/netstat")).unwrap();
    let text = text.unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find(|(name, _)| *name == TIMEOUTS).unwrap().1.parse().unwrap()
}

/// SYNs that policy denies, one each millisecond, and how many arrived.
pub struct Probe {
    shared: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    stop: AtomicBool,
    sent: AtomicU64,
    arrived: AtomicU64,
}

// === impl Probe ===

impl Probe {
    /// Begins.
    pub fn start(from: &Place, to: &Place) -> Self {
        let shared = Arc::new(Counts::default());
        let (source, destination) = (from.v4().unwrap(), to.v4().unwrap());
        let packets: Vec<Packet> = (20_000..21_000)
            .map(|port| Packet::tcp((source, port), (destination, DENIED_PORT), TcpFlags(SYN), &[]))
            .collect();
        let mut listener = to.listen_to_packets().unwrap();
        let counts = Arc::clone(&shared);
        let receiving = thread::spawn(move || {
            while !counts.stop.load(Ordering::Relaxed) {
                if listener.wait_for(TICK, |packet| is_denied(packet, source)).is_ok() {
                    counts.arrived.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let (from, counts) = (from.clone(), Arc::clone(&shared));
        let sending = thread::spawn(move || {
            let paced = packets.iter().cycle().inspect(|_| {
                thread::sleep(PACE);
                counts.sent.fetch_add(1, Ordering::Relaxed);
            });
            from.inject(paced.take_while(|_| !counts.stop.load(Ordering::Relaxed))).unwrap();
        });
        Self { shared, threads: vec![receiving, sending] }
    }

    fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// How many have arrived until now; more may be on the way.
    pub fn arrived(&self) -> u64 {
        self.shared.arrived.load(Ordering::Relaxed)
    }

    /// Waits until so many more were sent.
    pub fn go_on(&self, packets: u64) {
        let before = self.sent();
        wait_for("the probe goes on", || (self.sent() >= before + packets).then_some(()));
    }

    /// Panics if one has arrived until now.
    pub fn nothing_has_passed(&self, context: &str) {
        assert!(self.sent() > 0, "{context}: the probe has sent nothing");
        assert_eq!(self.arrived(), 0, "{context}: of {} denied SYNs so many passed", self.sent());
    }

    /// Waits until some arrive.
    pub fn passes(&self, context: &str) {
        let before = self.arrived();
        wait_for(&format!("{context}: denied SYNs pass"), || (self.arrived() >= before + 20).then_some(()));
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Whether an IPv4 packet (without options) is a SYN from there to [`DENIED_PORT`].
fn is_denied(packet: &[u8], from: IpAddr) -> bool {
    let IpAddr::V4(from) = from else { return false };
    packet.len() >= 40
        && packet[9] == 6
        && packet[12..16] == from.octets()
        && packet[22..24] == DENIED_PORT.to_be_bytes()
        && packet[33] == SYN
}

/// A connection, and the port of its own end.
pub fn connect(client: &Place, server: &Place) -> Result<(Connection, u16), TrafficError> {
    let connection = client.connect((server.v4().unwrap(), PORT).into(), LONG)?;
    let port = connection.local_address()?.port();
    Ok((connection, port))
}
