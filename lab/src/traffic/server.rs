//! TCP servers: accept, hand over, stop.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::TrafficError;
use crate::Place;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_mins(1);
const BACKLOG: i32 = 4096;

/// A server that stops, and cuts its open connections, when it is dropped.
#[derive(Debug)]
#[must_use = "a server serves until it is dropped"]
pub struct TcpServer {
    listener: TcpListener,
    open: Arc<Open>,
    accepting: Vec<JoinHandle<()>>,
}

/// On which threads connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// One for each connection.
    PerConnection,
    /// The accepting ones themselves, this many: for short exchanges at a high rate.
    Fixed(usize),
}

/// The connections that are being served.
#[derive(Debug, Default)]
struct Open {
    streams: Mutex<HashMap<SocketAddr, TcpStream>>,
    stopped: AtomicBool,
}

// === impl TcpServer ===

impl TcpServer {
    /// Serves every connection to `port` of any of the place's addresses.
    pub(super) fn start(
        place: &Place,
        port: u16,
        threads: Threads,
        serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Result<Self, TrafficError> {
        let listener = place.netns().enter(|| listen(port))??;
        let open = Arc::new(Open::default());
        let serve = Arc::new(serve);
        let count = if let Threads::Fixed(count) = threads { count } else { 1 };
        let mut accepting = Vec::new();
        for _ in 0..count {
            let (listener, open, serve) = (listener.try_clone()?, Arc::clone(&open), Arc::clone(&serve));
            accepting.push(thread::spawn(move || accept_all(&listener, &open, &serve, threads)));
        }
        Ok(Self { listener, open, accepting })
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.open.stopped.store(true, Ordering::Release);
        // wakes every accept with an error
        let _ = socket2::SockRef::from(&self.listener).shutdown(Shutdown::Both);
        self.open.cut();
        for thread in self.accepting.drain(..) {
            let _ = thread.join();
        }
        // one that was accepted meanwhile
        self.open.cut();
    }
}

// === impl Open ===

impl Open {
    fn cut(&self) {
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).values() {
            // one that the peer has ended needs no cutting
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<SocketAddr, TcpStream>) -> T) -> T {
        change(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A listening socket of both families, in the namespace of the calling thread.
pub(super) fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn accept_all<F>(listener: &TcpListener, open: &Arc<Open>, serve: &Arc<F>, threads: Threads)
where
    F: Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
{
    while !open.stopped.load(Ordering::Acquire) {
        let Ok((stream, peer)) = listener.accept() else { continue };
        if threads != Threads::PerConnection {
            // the exchange is the client's to judge
            let _ = prepare(&stream).and_then(|()| serve(stream));
            continue;
        }
        let Ok(copy) = stream.try_clone() else { continue };
        open.with(|streams| streams.insert(peer, copy));
        let (open, serve) = (Arc::clone(open), Arc::clone(serve));
        thread::spawn(move || {
            let _ = prepare(&stream).and_then(|()| serve(stream));
            open.with(|streams| streams.remove(&peer));
        });
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))
}
