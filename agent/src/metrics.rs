//! Metrics in Prometheus and `OpenMetrics` form: Hubble's of flows, under Hubble's names, and our own of each stage.
//!
//! ```text
//! ring → follower → flow metrics (shape, ends → series) ┐
//! losses, ring, process, other collectors ──────────────┴→ exposition → HTTP
//! ```
//!
//! All of it runs on one thread of its own. The follower reads the ring as any reader does, so that the event path
//! never waits for it; if it is overtaken, what it missed is counted. A scrape first counts what is in the ring, and
//! so tells everything up to its moment. Only flows of this run count, not those that a ring brought from an earlier
//! one.
//!
//! A metric has at most so many series. Beyond that, flows are counted under the same labels with the ones that can
//! grow (contexts, ports, ICMP types) folded to [`FOLDED`], so that sums stay right, and the overflow is counted.
//! Series that name a pod go a minute after the pod.

mod door;
mod ends;
mod exporter;
mod exposition;
mod flow_metrics;
mod follower;
mod http;
mod negotiation;
mod process;
mod requests;
mod sample;
mod selection;
mod series;
mod shape;
mod stages;

#[cfg(test)]
mod tests;

pub use door::{MetricsDoor, MetricsThread};
pub use exporter::{Collector, Sources};
pub use exposition::{Exposition, Family, Format, Histogram, Labels, Number};
pub use flow_metrics::{FOLDED, FlowMetrics};
pub use selection::{InvalidSelection, Selection};
