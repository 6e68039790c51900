//! How full the ring is, and what serves it.

use std::time::Duration;

use palomar_proto::observer::ServerStatusResponse;
use palomar_transport::version::HUBBLE_VERSION;

use crate::ring::Ring;

const MINUTE_NS: i64 = 60_000_000_000;

/// The answer to `ServerStatus`. Reading it changes nothing. The node counters stay absent: those are a relay's.
pub fn server_status(ring: &Ring, uptime: Duration, now_ns: i64) -> ServerStatusResponse {
    ServerStatusResponse {
        num_flows: ring.len(),
        max_flows: ring.capacity().flows(),
        seen_flows: ring.seen(),
        uptime_ns: u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX),
        version: version(),
        flows_rate: flows_rate(ring, now_ns),
        ..ServerStatusResponse::default()
    }
}

/// Both versions: ours and that of the API.
pub fn version() -> String {
    format!("palomar v{} (hubble v{HUBBLE_VERSION} compatible)", env!("CARGO_PKG_VERSION"))
}

/// Flows a second over the last minute, or over the time that the ring holds, if that is less.
fn flows_rate(ring: &Ring, now_ns: i64) -> f64 {
    let Some(oldest_ns) = ring.oldest_time_ns() else { return 0.0 };
    let span_ns = now_ns.saturating_sub(oldest_ns).min(MINUTE_NS);
    let span = Duration::from_nanos(u64::try_from(span_ns).unwrap_or(0)).as_secs_f64();
    // the ring holds far fewer flows than u32 counts
    let flows = u32::try_from(ring.count_since(now_ns.saturating_sub(MINUTE_NS))).unwrap_or(u32::MAX);
    if span > 0.0 { f64::from(flows) / span } else { 0.0 }
}
