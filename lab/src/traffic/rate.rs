//! Connect, ask, close: how many a second, and how long each takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::TrafficError;
use super::server::{TcpServer, Threads};
use crate::Place;
use crate::sysctl::{self, Setting};

/// Without these the search for a free port is what is measured: many ports, few remembered closed connections.
const MANY_CONNECTIONS: &[Setting] =
    &[("ipv4/ip_local_port_range", "1024 65535"), ("ipv4/tcp_max_tw_buckets", "500")];
const QUESTION: &[u8; 16] = b"what is the time";
/// An exchange that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a run of exchanges has measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateReport {
    /// Exchanges that came to their end.
    pub completed: usize,
    /// Exchanges that failed.
    pub failed: usize,
    /// How long the run took.
    pub elapsed: Duration,
    /// How long each completed exchange took, sorted.
    latencies: Vec<Duration>,
}

// === impl Place ===

impl Place {
    /// Answers the exchanges of [`Self::connect_rate`] on `port`, on `threads` threads.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn serve_rate(&self, port: u16, threads: usize) -> Result<TcpServer, TrafficError> {
        sysctl::apply(self.netns(), MANY_CONNECTIONS)?;
        TcpServer::start(self, port, Threads::Fixed(threads.max(1)), |mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut question = [0; QUESTION.len()];
            stream.read_exact(&mut question)?;
            stream.write_all(&question)
        })
    }

    /// Opens a connection, exchanges 16 bytes with [`Self::serve_rate`], closes it, and begins again, for `duration`, on
    /// `threads` threads.
    ///
    /// # Errors
    /// When the namespace cannot be entered; exchanges that fail are counted.
    pub fn connect_rate(
        &self,
        server: SocketAddr,
        threads: usize,
        duration: Duration,
    ) -> Result<RateReport, TrafficError> {
        sysctl::apply(self.netns(), MANY_CONNECTIONS)?;
        let start = Instant::now();
        let run = || self.netns().enter(|| exchanges(server, start + duration));
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let elapsed = start.elapsed();
        let (mut latencies, mut failed) = (Vec::new(), 0);
        for result in results {
            let (some_latencies, some_failed) = result?;
            latencies.extend(some_latencies);
            failed += some_failed;
        }
        Ok(RateReport::new(latencies, failed, elapsed))
    }
}

// === impl RateReport ===

impl RateReport {
    pub(super) fn new(mut latencies: Vec<Duration>, failed: usize, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        Self { completed: latencies.len(), failed, elapsed, latencies }
    }

    /// Completed exchanges a second.
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 exchanges")]
    pub fn per_second(&self) -> f64 {
        self.completed as f64 / self.elapsed.as_secs_f64()
    }

    /// The time that `percent` of the completed exchanges did not exceed; `None` if none completed.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let last = self.latencies.len().checked_sub(1)?;
        self.latencies.get(last * percent.min(100) / 100).copied()
    }
}

/// The latencies of completed exchanges, and the number of failed ones.
fn exchanges(server: SocketAddr, deadline: Instant) -> (Vec<Duration>, usize) {
    let (mut latencies, mut failed) = (Vec::new(), 0);
    loop {
        let begin = Instant::now();
        if begin >= deadline {
            return (latencies, failed);
        }
        match exchange(server) {
            Ok(()) => latencies.push(begin.elapsed()),
            Err(_) => failed += 1,
        }
    }
}

fn exchange(server: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(QUESTION)?;
    let mut answer = [0; QUESTION.len()];
    stream.read_exact(&mut answer)
}
