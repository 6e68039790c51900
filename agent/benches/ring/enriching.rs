//! From the kernel's event to the ring, on one core.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::Measurement as _;
use criterion::{Criterion, Throughput};
use palomar_agent::decode::KernelEvent;
use palomar_agent::ring::BATCH;
use palomar_bpf::abi;

use crate::cpu_time::CpuTime;
use crate::site::{EVENTS, Site};

/// The default ring.
const CAPACITY: u64 = 262_143;

pub fn enriching(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("event to ring, goal 10 M/s");
    group.throughput(Throughput::Elements(EVENTS.into())).measurement_time(Duration::from_secs(8));
    let mut site = Site::full(CAPACITY);
    group.bench_function("decode alone", |bencher| {
        bencher.iter(|| {
            for batch in site.events.chunks(BATCH) {
                let events = black_box(batch).iter().filter_map(|event| KernelEvent::try_from(event).ok());
                events.for_each(|event| {
                    black_box(event);
                });
            }
        });
    });
    group.bench_function("decode, enrich, push", |bencher| bencher.iter(|| site.round(|_| {})));
    group.bench_function("the same, a pod replaced every 65,536 events", |bencher| {
        // making the directory is the control path's part
        bencher.iter_custom(|iterations| {
            (0..iterations).fold(Duration::ZERO, |sum, iteration| {
                if iteration.is_multiple_of((65_536 / EVENTS).into()) {
                    site.replace_a_pod();
                }
                let begin = CpuTime.start();
                site.round(|_| {});
                sum + CpuTime.end(begin)
            })
        });
    });
    let mut departing = Site::full(CAPACITY);
    let departures = departing.tell_departures();
    println!("{departures} of {EVENTS} flows follow their departure");
    group.bench_function("the same, connections between local pods told at their source too", |bencher| {
        bencher.iter(|| departing.round(|_| {}));
    });
    drop(departing);
    group.bench_function("the same, every second source unknown and new", |bencher| {
        let mut next = 0_u32;
        bencher.iter(|| site.round(|event| scan(event, &mut next)));
    });
    group.finish();
}

/// Gives every second event a source outside that was not seen lately.
fn scan(event: &mut abi::Event, next: &mut u32) {
    *next = next.wrapping_add(1);
    if next.is_multiple_of(2) {
        event.source = abi::address_bytes(std::net::Ipv4Addr::from_bits(0xc600_0000 | *next >> 1).into());
        event.family = 4;
        event.destination = abi::address_bytes([10, 244, 0, 10].into());
        event.source_identity = abi::IDENTITY_WORLD;
    }
}
