//! What it costs to count a flow, and to tell the counts: `cargo bench -p palomar-agent --bench metrics`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]

#[path = "ring/cluster.rs"]
mod cluster;

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use palomar_agent::enrich::{Attribution, Attributions, Decision, Enricher, SeenNamespaces, Sources};
use palomar_agent::metrics::{Exposition, FlowMetrics, Format, Selection};
use palomar_agent::ring::{BATCH, Capacity, Names, Record, Ring};
use palomar_model::labels::LabelSet;

const MAX_SERIES: usize = 10_000;
const NAMESPACES: &str = "flow:labelsContext=source_namespace,destination_namespace \
                          drop:labelsContext=source_namespace,destination_namespace tcp policy port-distribution";
const PODS: &str = "flow:sourceContext=pod;destinationContext=pod drop:sourceContext=pod;destinationContext=pod \
                    tcp:sourceContext=pod;destinationContext=pod policy port-distribution";
const ADDRESSES: &str = "flow:sourceContext=ip;destinationContext=ip";

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

/// The records of 65,536 flows of the sample's cluster, and their names.
fn records() -> (Vec<Record>, Arc<Names>) {
    let (writer, ring) = Ring::new(Capacity::try_from(131_071).unwrap());
    let sources = Sources {
        directory: Arc::new(ArcSwap::from_pointee(cluster::directory())),
        attributions: Arc::new(Nobody),
        namespaces: Arc::new(SeenNamespaces::default()),
    };
    let mut enricher = Enricher::new(sources, writer);
    for batch in cluster::events().chunks(BATCH) {
        enricher.enrich(batch.iter().copied());
    }
    let (mut batch, mut all, mut at) = (Vec::new(), Vec::new(), 0);
    while at < ring.written() {
        at = ring.read(at..u64::MAX, &mut batch).first + batch.len() as u64;
        all.extend_from_slice(&batch);
    }
    (all, ring.names())
}

fn counting(criterion: &mut Criterion) {
    let (records, names) = records();
    let mut group = criterion.benchmark_group("count");
    group.throughput(Throughput::Elements(records.len() as u64));
    for (name, selection, max_series) in [
        ("the default set", Selection::DEFAULT, MAX_SERIES),
        ("by namespaces", NAMESPACES, MAX_SERIES),
        ("by pods, within the bound", PODS, 1_000_000),
        ("by pods, far beyond the bound", PODS, MAX_SERIES),
        ("by addresses, far beyond the bound", ADDRESSES, MAX_SERIES),
    ] {
        group.bench_function(name, |bencher| {
            let mut metrics = FlowMetrics::new(Selection::parse(&[selection]).unwrap(), max_series);
            metrics.count(&records, &names);
            bencher.iter(|| records.chunks(BATCH).for_each(|batch| metrics.count(batch, &names)));
        });
    }
    group.bench_function("the default set, from nothing", |bencher| {
        bencher.iter_batched(
            || FlowMetrics::new(Selection::parse(&[Selection::DEFAULT]).unwrap(), MAX_SERIES),
            |mut metrics| metrics.count(&records, &names),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn telling(criterion: &mut Criterion) {
    let (records, names) = records();
    let mut metrics = FlowMetrics::new(Selection::parse(&[PODS]).unwrap(), MAX_SERIES);
    metrics.count(&records, &names);
    let mut group = criterion.benchmark_group("tell");
    for format in [Format::Prometheus, Format::OpenMetrics] {
        group.bench_function(format!("30,000 series, {format:?}"), |bencher| {
            bencher.iter(|| {
                let mut out = Exposition::new(format);
                metrics.expose(&mut out);
                black_box(out.finish().len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, counting, telling);
criterion_main!(benches);
