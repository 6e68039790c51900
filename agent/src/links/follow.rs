//! The thread that follows the kernel's messages.

use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use palomar_bpf::netlink::{Netlink, messages};

use super::table::{Question, Table};
use super::{Links, LinksError, query};

// include/uapi/linux/rtnetlink.h
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;

/// Room for messages that wait; what does not fit costs a new look at everything.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Pause after a failure of rtnetlink.
const RECOVERY: Duration = Duration::from_secs(1);

/// Follows the links of the network namespace in which it was started, until it is dropped.
pub struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    links: ArcSwap<Links>,
    wake: EventFd,
    refresh: AtomicBool,
    stop: AtomicBool,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("links", &self.current()).finish_non_exhaustive()
    }
}

// === impl Follower ===

impl Follower {
    /// Takes a first look, which [`current`](Self::current) gives from then on, and starts to follow. `on_change` is told
    /// every later state on the follower's thread, one after another; it should be quick.
    pub fn start(on_change: impl FnMut(&Arc<Links>) + Send + 'static) -> Result<Self, LinksError> {
        // Before the first look, so that nothing falls between the two.
        let socket = subscribe().map_err(LinksError::netlink("follow links and addresses"))?;
        let netlink = Netlink::open().map_err(LinksError::netlink("ask for links and addresses"))?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|error| LinksError::Thread(error.into()))?;
        let shared = Arc::new(Shared {
            links: ArcSwap::default(),
            wake,
            refresh: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let mut worker =
            Worker { socket, netlink, table: Table::default(), shared: Arc::clone(&shared), on_change };
        worker.look().map_err(LinksError::netlink("list links and addresses"))?;
        worker.ask().map_err(LinksError::netlink("ask for the addresses of pods"))?;
        shared.links.store(Arc::new(worker.table.links()));
        let thread = thread::Builder::new()
            .name("links".to_owned())
            .spawn(move || worker.run())
            .map_err(LinksError::Thread)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The state that is known now.
    pub fn current(&self) -> Arc<Links> {
        self.shared.links.load_full()
    }

    /// Asks every veth for its peer's addresses, now and for the next seconds: to be called when the world names an
    /// address that no veth has. Does not wait.
    pub fn refresh(&self) {
        self.shared.refresh.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // It fails only where the counter is at its limit, and then the thread is awake already.
        let _ = self.shared.wake.write(1);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that follows links has panicked");
        }
    }
}

fn subscribe() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    socket.set_rx_buf_sz(RECEIVE_BUFFER)?;
    for group in [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR] {
        socket.add_membership(group)?;
    }
    Ok(socket)
}

// === Worker ===

struct Worker<F> {
    socket: Socket,
    netlink: Netlink,
    table: Table,
    shared: Arc<Shared>,
    on_change: F,
}

impl<F: FnMut(&Arc<Links>)> Worker<F> {
    fn run(mut self) {
        loop {
            let outcome = self.wait().and_then(|()| self.turn());
            if self.shared.stop.load(Ordering::Acquire) {
                return;
            }
            self.publish();
            if let Err(error) = outcome {
                tracing::warn!(%error, "rtnetlink failed; looking at all links again");
                thread::sleep(RECOVERY);
                if let Err(error) = self.start_over() {
                    tracing::warn!(%error, "rtnetlink fails still");
                }
            }
        }
    }

    /// Until a message comes, somebody wakes us, or an answer is due.
    fn wait(&self) -> io::Result<()> {
        let timeout = self.table.next().map_or(PollTimeout::NONE, |due| {
            let milliseconds = due.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            PollTimeout::from(u16::try_from(milliseconds).unwrap_or(u16::MAX))
        });
        let mut waited = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.shared.wake.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waited, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in what has come, then asks.
    fn turn(&mut self) -> io::Result<()> {
        let _ = self.shared.wake.read();
        if self.shared.refresh.swap(false, Ordering::AcqRel) {
            self.table.ask_all(Instant::now());
        }
        let mut addresses_changed = false;
        let mut were_lost = false;
        loop {
            match self.socket.recv_from_full() {
                // older than the new look: taken in after it they would bring back what has gone
                Ok(_) if were_lost => {}
                Ok((datagram, _)) => {
                    for message in messages(&datagram) {
                        addresses_changed |= self.take(message);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && were_lost => {
                    tracing::debug!("rtnetlink messages were lost; looking at all links again");
                    self.look()?;
                    were_lost = false;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => were_lost = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if addresses_changed {
            self.table.node_addresses = query::node_addresses(&mut self.netlink)?;
        }
        self.ask()
    }

    /// Takes in one message; `true` where an address of the node has come or gone.
    fn take(&mut self, message: &[u8]) -> bool {
        let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, "an rtnetlink message cannot be read");
                return false;
            }
        };
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => {
                if let Some(veth) = query::veth(&message) {
                    self.table.change(veth, Instant::now());
                }
                false
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message)) => {
                // A bridge says so, in its own family, of a port that leaves it.
                if message.header.interface_family == AddressFamily::Unspec {
                    self.table.remove(message.header.index);
                }
                false
            }
            NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_),
            ) => true,
            _ => false,
        }
    }

    /// Lists everything.
    fn look(&mut self) -> io::Result<()> {
        let veths = query::veths(&mut self.netlink)?;
        self.table.replace(veths, Instant::now());
        self.table.node_addresses = query::node_addresses(&mut self.netlink)?;
        Ok(())
    }

    /// Asks the veths that are due for their peers' addresses.
    fn ask(&mut self) -> io::Result<()> {
        for Question { ifindex, namespace, peer } in self.table.questions(Instant::now()) {
            // One that cannot be asked must not keep the others from being asked.
            let addresses = query::peer_addresses(&mut self.netlink, namespace, peer).or_else(|error| {
                tracing::warn!(ifindex, %error, "cannot ask for the addresses of a pod");
                self.netlink = Netlink::open()?;
                io::Result::Ok(Vec::new())
            })?;
            self.table.answer(ifindex, addresses);
        }
        Ok(())
    }

    /// With a new connection: an answer to an old question may still be on its way in the other.
    fn start_over(&mut self) -> io::Result<()> {
        self.netlink = Netlink::open()?;
        self.look()
    }

    fn publish(&mut self) {
        let links = self.table.links();
        if **self.shared.links.load() != links {
            let links = Arc::new(links);
            self.shared.links.store(Arc::clone(&links));
            (self.on_change)(&links);
        }
    }
}
