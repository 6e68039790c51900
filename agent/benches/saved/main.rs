//! What it costs to save a ring at the stop and to restore it at the start, the disk of the temporary directory
//! included. Prints medians of five runs; `cargo bench -p palomar-agent --bench saved`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nix::time::{ClockId, clock_gettime};
use palomar_agent::enrich::SeenNamespaces;
use palomar_agent::losses::Losses;
use palomar_agent::ring::saved::files::{FlowFiles, Recalled};
use palomar_agent::ring::{Capacity, Interface, Record, Ring, Writer};
use palomar_model::flow::{Flow, FlowEndpoint};
use palomar_model::object::ObjectName;
use palomar_sample::{Cluster, Traffic};

const RUNS: usize = 5;

/// Wall clock and processor time of some work, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: f64,
    processor: f64,
}

fn processor_ms() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    std::time::Duration::from(time).as_secs_f64() * 1e3
}

fn cost<T>(work: impl FnOnce() -> T) -> (Cost, T) {
    let (begun, before) = (Instant::now(), processor_ms());
    let done = work();
    (Cost { wall: begun.elapsed().as_secs_f64() * 1e3, processor: processor_ms() - before }, done)
}

fn median(mut costs: Vec<Cost>) -> Cost {
    let mut middle = |of: fn(&Cost) -> f64| {
        costs.sort_by(|one, other| of(one).total_cmp(&of(other)));
        of(&costs[costs.len() / 2])
    };
    Cost { wall: middle(|cost| cost.wall), processor: middle(|cost| cost.processor) }
}

fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    (statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096) >> 20
}

fn record(writer: &mut Writer, flow: &Flow) -> Record {
    let mut service = |name: &Option<ObjectName>| name.clone().map(|name| writer.service(&Arc::new(name)));
    let (source_service, destination_service) =
        (service(&flow.source_service), service(&flow.destination_service));
    let (index, name) = flow.interface.clone();
    Record {
        time_ns: flow.time_ns,
        source_address: flow.source_address,
        destination_address: flow.destination_address,
        source: writer.endpoint(&flow.source),
        destination: writer.endpoint(&flow.destination),
        source_service,
        destination_service,
        interface: writer.interface(&Arc::new(Interface { index, name })),
        policies: writer.policies(&flow.policies),
        policy_revision: flow.policy_revision,
        transport: flow.transport,
        event: flow.event,
        verdict: flow.verdict,
        state: flow.state,
        direction: flow.direction,
        rest: None,
    }
}

/// A full ring. With `churn`, each source is a pod of its own.
fn full(flows: u64, churn: bool) -> Arc<Ring> {
    let (mut writer, ring) = Ring::new(Capacity::try_from(flows).unwrap());
    let mut traffic = Traffic::new(Cluster::new(1), 1);
    for n in 0..flows {
        let mut flow = traffic.next_flow(1_767_225_600_000_000_000 + i64::try_from(n).unwrap() * 20_000);
        if churn && let Some(pod) = &flow.source.pod {
            let pod = Some(ObjectName::new(&pod.namespace, format!("{}-{n}", pod.name)));
            flow.source = Arc::new(FlowEndpoint { pod, ..(*flow.source).clone() });
        }
        let record = record(&mut writer, &flow);
        writer.append(&[record]);
    }
    ring
}

fn measure(what: &str, flows: u64, churn: bool, folder: &Path) {
    let files = FlowFiles::of(folder);
    let ring = full(flows, churn);
    let before = resident_mib();
    let save = || cost(|| files.save(&ring, &Losses::default(), 0).unwrap()).0;
    let saving = median((0..RUNS).map(|_| save()).collect());
    let more = resident_mib().saturating_sub(before);
    let bytes = std::fs::metadata(folder.join("flows.saved")).unwrap().len();
    let bytes = f64::from(u32::try_from(bytes).unwrap());
    drop(ring);
    let recall = || {
        let (cost, Recalled { ring, .. }) = cost(|| {
            let recalled = files.recall(Capacity::try_from(flows).unwrap());
            Arc::new(SeenNamespaces::default()).learn(&recalled.ring, 0);
            recalled
        });
        assert_eq!(ring.len(), flows);
        cost
    };
    let recalling = median((0..RUNS).map(|_| recall()).collect());
    println!(
        "{what:<24} {flows:>9} flows {:>7.1} MB {:>6.1} B a flow   save {:>6.0} ms, {:>5.0} ms processor, {more} MiB more   \
         restore {:>6.0} ms, {:>5.0} ms processor",
        bytes / 1e6,
        bytes / f64::from(u32::try_from(flows).unwrap()),
        saving.wall,
        saving.processor,
        recalling.wall,
        recalling.processor,
    );
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    for flows in [262_143, 1_048_575, 4_194_303] {
        measure("a cluster", flows, false, folder.path());
    }
    measure("a pod of its own a flow", 1_048_575, true, folder.path());
}
