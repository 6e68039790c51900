//! Question and answer on one open connection: how many a second, and how long each takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{RateReport, TrafficError};
use crate::Place;

const QUESTION: &[u8; 16] = b"what is the time";
/// A round trip that takes longer ends the run.
const PATIENCE: Duration = Duration::from_secs(2);

// === impl Place ===

impl Place {
    /// Sends 16 bytes to an echo server ([`Self::serve_echo`]), waits for them, and begins again, for `duration`, all on
    /// one connection.
    ///
    /// # Errors
    /// When no connection comes about, it is cut, or an answer takes longer than two seconds.
    pub fn round_trips(&self, server: SocketAddr, duration: Duration) -> Result<RateReport, TrafficError> {
        let mut stream = self.netns().enter(|| TcpStream::connect_timeout(&server, PATIENCE))??;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut latencies = Vec::new();
        let start = Instant::now();
        loop {
            let begin = Instant::now();
            if begin - start >= duration {
                return Ok(RateReport::new(latencies, 0, begin - start));
            }
            stream.write_all(QUESTION)?;
            stream.read_exact(&mut [0; QUESTION.len()])?;
            latencies.push(begin.elapsed());
        }
    }
}
