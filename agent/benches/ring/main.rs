//! What the event path can do: from the kernel's event to the ring, the ring itself, its memory; with CPU time, so that a
//! busy machine counts less. What queries cost is in the bench `query`, and the whole path from the kernel's ring on in
//! the bench `kernel`.
//!
//! `cargo bench -p palomar-agent --bench ring`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod copying;
mod cpu_time;
mod enriching;
mod memory;
mod paced;
#[path = "../query/report.rs"]
#[allow(dead_code, reason = "what is shared with the bench query is used more by it")]
mod report;
mod site;
mod world;

use criterion::Criterion;

use cpu_time::CpuTime;

fn main() {
    memory::memory();
    paced::paced();
    let mut criterion = Criterion::default().with_measurement(CpuTime).sample_size(20).configure_from_args();
    enriching::enriching(&mut criterion);
    copying::copying(&mut criterion);
    criterion.final_summary();
}
