//! What the API is asked, as metrics.

use std::sync::atomic::Ordering;

use super::Api;
use crate::metrics::{Collector, Exposition, Labels};

impl Collector for Api {
    fn collect(&self, out: &mut Exposition) {
        let max = self.shared.served.max_streams;
        let open = max.saturating_sub(self.shared.streams.available_permits());
        out.gauge("palomar_streams_open", "Streams of flows that are served.").sample(&Labels::NONE, open);
        out.gauge("palomar_streams_limit", "Streams of flows that are served at once at most.")
            .sample(&Labels::NONE, max);
        out.counter("palomar_streams_refused", "Streams of flows that were refused beyond the limit.")
            .sample(&Labels::NONE, self.shared.refused_streams.load(Ordering::Relaxed));
    }
}
