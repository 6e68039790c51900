//! The requests to the exposition itself, under Hubble's names.

use std::collections::BTreeMap;
use std::time::Duration;

use super::exposition::{Exposition, Labels};

/// Upper bounds of the buckets, in milliseconds and as text in seconds: the usual ones.
const BOUNDS: [(u64, &str); 11] = [
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1_000, "1.0"),
    (2_500, "2.5"),
    (5_000, "5.0"),
    (10_000, "10.0"),
];

/// How many requests were answered, and how long that took, by status code.
#[derive(Debug, Default)]
pub struct Requests(BTreeMap<u16, Answered>);

#[derive(Debug, Default)]
struct Answered {
    /// How many took at most the bound, but more than the one before.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

// === impl Requests ===

impl Requests {
    /// Counts a request.
    pub fn add(&mut self, code: u16, took: Duration) {
        let answered = self.0.entry(code).or_default();
        answered.count += 1;
        answered.sum += took;
        if let Some(at) = BOUNDS.iter().position(|(bound_ms, _)| took <= Duration::from_millis(*bound_ms)) {
            answered.buckets[at] += 1;
        }
    }

    /// Writes the counts.
    pub fn expose(&self, out: &mut Exposition) {
        let labels = |code: &u16| Labels::default().with("code", &code.to_string());
        let mut family =
            out.counter("hubble_metrics_http_handler_requests", "Requests for metrics, by status code.");
        for (code, answered) in &self.0 {
            family.sample(&labels(code), answered.count);
        }
        let mut family = out.histogram(
            "hubble_metrics_http_handler_request_duration_seconds",
            "Time that it took to make an answer, by status code.",
        );
        for (code, answered) in &self.0 {
            family.series(&labels(code), &answered.at_most(), answered.count, answered.sum.as_secs_f64());
        }
    }
}

// === impl Answered ===

impl Answered {
    fn at_most(&self) -> Vec<(&'static str, u64)> {
        let mut sum = 0;
        let counts = self.buckets.iter().map(|count| {
            sum += count;
            sum
        });
        BOUNDS.iter().map(|(_, text)| *text).zip(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::Format;

    #[test]
    fn a_request_counts_in_every_bucket_that_it_fits() {
        let mut requests = Requests::default();
        for millis in [5, 6, 1_000, 10_001] {
            requests.add(200, Duration::from_millis(millis));
        }
        requests.add(405, Duration::ZERO);
        let mut out = Exposition::new(Format::Prometheus);
        requests.expose(&mut out);
        let text = out.finish();
        for line in [
            "hubble_metrics_http_handler_requests_total{code=\"200\"} 4",
            "hubble_metrics_http_handler_requests_total{code=\"405\"} 1",
            "hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"0.005\"} 1",
            "hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"0.01\"} 2",
            "hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"1.0\"} 3",
            "hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"10.0\"} 3",
            "hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"+Inf\"} 4",
            "hubble_metrics_http_handler_request_duration_seconds_sum{code=\"200\"} 11.012",
            "hubble_metrics_http_handler_request_duration_seconds_count{code=\"200\"} 4",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\nin\n{text}");
        }
    }
}
