//! What the control path knows, as metrics.

use std::collections::BTreeSet;

use palomar_bpf::abi::Counter;

use super::Teller;
use crate::control::AttachState;
use crate::metrics::{Collector, Exposition, Labels};

impl Collector for Teller {
    fn collect(&self, out: &mut Exposition) {
        let facts = self.facts.load();
        let mut family =
            out.gauge("palomar_endpoints", "Observed interfaces, by how programs are attached to them.");
        for state in ["attached", "failed", "pending"] {
            let count = facts.endpoints.values().filter(|endpoint| name(&endpoint.attach) == state).count();
            family.sample(&Labels::default().with("state", state), count);
        }
        let refused: BTreeSet<&str> =
            facts.world.refused.iter().map(|refusal| refusal.error.file.as_str()).collect();
        out.gauge("palomar_refused_manifests", "Manifests that were refused, by now.")
            .sample(&Labels::NONE, refused.len());
        // what the kernel does not tell is left out
        if let Ok(maps) = self.maps.memory() {
            let bytes: u64 = maps.iter().map(|map| map.bytes).sum();
            out.gauge("palomar_kernel_map_bytes", "Memory of the maps in the kernel.")
                .sample(&Labels::NONE, bytes);
        }
        if let Ok(misses) = self.maps.counters.get(Counter::MidConnection) {
            let help = "TCP packets in mid-connection that connection tracking did not know.";
            out.counter("palomar_connection_midstream_misses", help).sample(&Labels::NONE, misses);
        }
    }
}

const fn name(attach: &AttachState) -> &'static str {
    match attach {
        AttachState::Attached { .. } => "attached",
        AttachState::Failed(_) => "failed",
        AttachState::Pending => "pending",
    }
}
