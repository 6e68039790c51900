//! Records into the ring and out of it, and finding a moment in it.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use palomar_agent::ring::{BATCH, Capacity, Record, Ring, TimeWindow, Writer};

use crate::cpu_time::CpuTime;
use crate::site::{EVENTS, Site};

/// Records with the names of a ring of their own.
pub fn records(capacity: u64) -> (Writer, std::sync::Arc<Ring>, Vec<Record>) {
    let site = Site::full(131_071);
    let (mut writer, ring) = Ring::new(Capacity::try_from(capacity).unwrap());
    let (mut all, mut batch) = (Vec::new(), Vec::new());
    let mut at = site.ring.written() - u64::from(EVENTS);
    while at < site.ring.written() {
        let names = site.ring.read(at..u64::MAX, &mut batch).names;
        for record in &batch {
            let mut record = *record;
            record.source = writer.endpoint(names.endpoint(record.source));
            record.destination = writer.endpoint(names.endpoint(record.destination));
            record.source_service = record.source_service.map(|id| writer.service(names.service(id)));
            record.destination_service =
                record.destination_service.map(|id| writer.service(names.service(id)));
            record.interface = writer.interface(names.interface(record.interface));
            record.policies = record.policies.and_then(|id| writer.policies(names.policies(id)));
            all.push(record);
        }
        at += batch.len() as u64;
    }
    (writer, ring, all)
}

pub fn copying(criterion: &mut Criterion<CpuTime>) {
    let (mut writer, ring, mut records) = records(262_143);
    let mut group = criterion.benchmark_group("ring of 262,143");
    group.throughput(Throughput::Elements(EVENTS.into()));
    group.bench_function("write, batches of 256", |bencher| {
        bencher.iter(|| records.chunks(BATCH).for_each(|batch| writer.append(batch)));
    });
    let mut batch = Vec::with_capacity(BATCH);
    group.bench_function("read, one reader", |bencher| {
        bencher.iter(|| {
            let (mut at, end) = (ring.written() - u64::from(EVENTS), ring.written());
            while at < end {
                at = ring.read(at..end, &mut batch).first + batch.len() as u64;
                black_box(&batch);
            }
        });
    });
    group.finish();

    let (mut writer, ring, _) = self::records(Capacity::MAX.flows());
    let mut time_ns = 0;
    while ring.written() <= Capacity::MAX.flows() {
        for record in &mut records {
            time_ns += 1_000;
            record.time_ns = time_ns;
        }
        writer.append(&records);
    }
    let all = || ring.oldest()..ring.written();
    let newest = TimeWindow { since_ns: time_ns - 100_000, until_ns: i64::MAX };
    let oldest = TimeWindow { since_ns: i64::MIN, until_ns: time_ns - 16_700_000_000 };
    let mut group = criterion.benchmark_group("ring of 16,777,215");
    group.bench_function("skip to the newest tenth of a millisecond", |bencher| {
        bencher.iter(|| ring.skip_to(all(), black_box(newest)));
    });
    group.bench_function("skip back to the oldest", |bencher| {
        bencher.iter(|| ring.skip_back_to(all(), black_box(oldest)));
    });
    group.finish();
}
