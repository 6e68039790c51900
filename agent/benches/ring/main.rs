//! What the flow path can do: enriching, writing, scanning. Prints medians of seven runs;
//! `cargo bench -p palomar-agent --bench ring`. What queries cost is in the bench `query`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]

mod cluster;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use palomar_agent::decode::KernelEvent;
use palomar_agent::enrich::{Attribution, Attributions, Decision, Enricher, SeenNamespaces, Sources};
use palomar_agent::ring::{BATCH, Capacity, Record, Ring, Writer};
use palomar_model::labels::LabelSet;

const RUNS: usize = 7;

struct Nobody;

impl Attributions for Nobody {
    fn version(&self) -> u64 {
        0
    }

    fn attribute(&self, _: &Decision) -> Attribution {
        Attribution::Withheld
    }

    fn class_labels(&self, _: u32) -> Option<LabelSet> {
        None
    }
}

/// Seconds, the median of several runs.
fn median(mut run: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            run();
            begin.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[RUNS / 2]
}

fn rate(what: &str, count: u32, seconds: f64) {
    let per_second = f64::from(count) / seconds;
    println!("{what:<58} {:>10.3} M/s {:>9.1} ns", per_second / 1e6, 1e9 / per_second);
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

fn sources() -> Sources {
    Sources {
        directory: Arc::new(ArcSwap::from_pointee(cluster::directory())),
        attributions: Arc::new(Nobody),
        namespaces: Arc::new(SeenNamespaces::default()),
    }
}

fn filled(capacity: u64) -> (Arc<Ring>, Enricher) {
    let (writer, ring) = Ring::new(Capacity::try_from(capacity).unwrap());
    let mut enricher = Enricher::new(sources(), writer);
    let events = cluster::events();
    let rounds = usize::try_from(capacity).unwrap() / events.len() + 2;
    for _ in 0..rounds {
        events.chunks(BATCH).for_each(|batch| enricher.enrich(batch.iter().copied()));
    }
    (ring, enricher)
}

fn memory() {
    let before = resident_bytes();
    let (ring, enricher) = filled(1_048_575);
    let grown = resident_bytes() - before;
    println!("{:<58} {:>10} B", "a record", size_of::<Record>());
    println!("{:<58} {:>10} B", "a flow, by resident memory of 1,048,575", grown / ring.len());
    drop(enricher);
}

fn writing() {
    let events: Vec<KernelEvent> = cluster::events();
    let count = u32::try_from(events.len()).unwrap();
    let (_ring, mut enricher) = filled(262_143);
    let seconds = median(|| events.chunks(BATCH).for_each(|batch| enricher.enrich(batch.iter().copied())));
    rate("event to ring, batches of 256", count, seconds);

    let (writer, ring) = Ring::new(Capacity::DEFAULT);
    let mut enricher = Enricher::new(sources(), writer);
    events.chunks(BATCH).for_each(|batch| enricher.enrich(batch.iter().copied()));
    let (mut records, mut all) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < ring.written() {
        at = ring.read(at..u64::MAX, &mut records).first + records.len() as u64;
        all.extend_from_slice(&records);
    }
    let (mut writer, other) = Ring::new(Capacity::DEFAULT);
    intern_same(&mut writer, &ring, &all);
    let seconds = median(|| all.chunks(BATCH).for_each(|batch| writer.append(batch)));
    rate("ring write, batches of 256", count, seconds);
    let seconds = median(|| {
        let (mut at, mut sum) = (other.oldest(), 0_i64);
        while at < other.written() {
            let batch = other.read(at..u64::MAX, &mut records);
            sum = records.iter().fold(sum, |sum, record| sum.wrapping_add(record.time_ns));
            at = batch.first + records.len() as u64;
        }
        std::hint::black_box(sum);
    });
    rate("ring read, one reader", u32::try_from(other.len()).unwrap(), seconds);
}

/// Gives the names of one ring the same numbers in another.
fn intern_same(writer: &mut Writer, ring: &Ring, records: &[Record]) {
    let names = ring.names();
    for record in records {
        for end in [record.source, record.destination] {
            writer.endpoint(names.endpoint(end));
        }
        for service in [record.source_service, record.destination_service].into_iter().flatten() {
            writer.service(names.service(service));
        }
        writer.interface(names.interface(record.interface));
    }
}

fn main() {
    memory();
    writing();
}
