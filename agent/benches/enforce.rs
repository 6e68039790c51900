//! Policy into the kernel's real tables: `cargo bench -p palomar-agent --bench enforce`; needs root. 2,000 policies in 50
//! namespaces over 1,000 local pods and 10,000 of other nodes: everything at once, then one change after the other, with
//! what each wrote, and the memory of it.
//!
//! Times are those of this thread on a processor: the kernel's share of the writes is in them.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "enforce/cluster.rs"]
mod cluster;
#[path = "enforce/memory.rs"]
mod memory;
#[expect(dead_code, reason = "the other benches need more of it")]
#[path = "query/report.rs"]
mod report;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use palomar_agent::enforce::{Applied, DesiredAddress, Enforcer, GRACE};
use palomar_agent::kernel::KernelTables;
use palomar_bpf::{Datapath, Options};
use palomar_model::netpol::Ports;
use palomar_policy::{PolicySet, select_subject};

use cluster::{Cluster, FIRST_IDENTITY, REMOTE};
use memory::{heap, kernel_bytes};
use report::{Goal, heading, median, row};

/// Changes of a kind; the middle one is told.
const CHANGES: u32 = 9;
const GOAL_FULL_MS: f64 = 1_000.0;
const GOAL_CHANGE_MS: f64 = 10.0;

struct Bench {
    enforcer: Enforcer<KernelTables>,
    now: Instant,
}

impl Bench {
    /// One pass, as the control path makes it, in milliseconds.
    fn apply(&mut self, cluster: &Cluster) -> (f64, Applied) {
        self.now += GRACE * 2;
        let began = thread_time();
        // another thread makes a file of what is to be kept
        let applied = self.enforcer.apply(&cluster.desired, self.now, 0, drop).unwrap();
        let took = milliseconds(thread_time().saturating_sub(began));
        self.enforcer.collect_garbage(self.now).unwrap();
        (took, applied)
    }

    /// Makes a change several times over.
    fn change(&mut self, what: &str, cluster: &mut Cluster, mut change: impl FnMut(&mut Cluster, u32)) {
        let (mut times, mut last) = (Vec::new(), Applied::default());
        for number in 0..CHANGES {
            change(cluster, number);
            let (took, applied) = self.apply(cluster);
            times.push(took);
            last = applied;
        }
        row(what, median(times), "ms", Goal::AtMost(GOAL_CHANGE_MS));
        let Applied { revision: _, endpoints_changed, rules_written, addresses_changed } = last;
        println!(
            "    wrote {rules_written} rules, {addresses_changed} addresses, {endpoints_changed} of 1000 endpoints"
        );
    }
}

fn main() {
    let mut cluster = Cluster::new();
    let selecting = thread_time();
    cluster.select();
    let selecting = milliseconds(thread_time().saturating_sub(selecting));
    let mut datapath = Datapath::load(&Options::default(), None).expect("root is needed");
    let _events = datapath.events.take();
    let before = (heap(), kernel_bytes());
    let tables = KernelTables(Arc::clone(&datapath.maps));
    let mut bench = Bench { enforcer: Enforcer::adopt(tables, None).unwrap(), now: Instant::now() };

    let sets = cluster.distinct_sets();
    heading(&format!(
        "{} policies, {} local pods with {sets} sets of policies, {REMOTE} remote ones, {} identities",
        cluster.world.policies.len(),
        cluster.desired.endpoints.len(),
        cluster.desired.identities.len(),
    ));
    row("policies of every local pod", selecting, "ms", Goal::None);
    let (first, applied) = bench.apply(&cluster);
    row("all of it, compiled and in the kernel", first, "ms", Goal::None);
    row("both", selecting + first, "ms", Goal::AtMost(GOAL_FULL_MS));
    println!("    wrote {} rules, {} addresses", applied.rules_written, applied.addresses_changed);
    let heap = heap().saturating_sub(before.0) as f64;
    let kernel = kernel_bytes();
    let rules = applied.rules_written as f64;
    let addresses = applied.addresses_changed as f64;
    row("kernel memory of a rule", (kernel.rules - before.1.rules) as f64 / rules, "bytes", Goal::None);
    row(
        "kernel memory of an address",
        (kernel.addresses - before.1.addresses) as f64 / addresses,
        "bytes",
        Goal::None,
    );
    row("memory of the agent for a rule, all told", heap / rules, "bytes", Goal::None);
    row("  for an identity", heap / cluster.desired.identities.len() as f64, "bytes", Goal::None);

    heading("one change after the other, each as one pass");
    bench.change("nothing", &mut cluster, |_, _| {});
    bench.change("a remote pod of a known identity comes", &mut cluster, |cluster, number| {
        cluster.desired.addresses.insert(new_address(number), remote(FIRST_IDENTITY + number));
    });
    bench.change("a remote pod of a new identity comes", &mut cluster, |cluster, number| {
        let identity = cluster.new_identity();
        cluster.desired.addresses.insert(new_address(100 + number), remote(identity));
    });
    bench.change("a remote pod goes", &mut cluster, |cluster, number| {
        cluster.desired.addresses.remove(&new_address(number));
    });
    bench.change("a policy changes a port", &mut cluster, |cluster, number| {
        cluster.change_policy(11, |policy| {
            let rule = &mut policy.ingress.as_mut().unwrap()[0];
            rule.ports[0].ports = Ports::Range(9_000, 9_000 + u16::try_from(number).unwrap());
        });
    });
    bench.change("a policy of a whole namespace changes a port", &mut cluster, |cluster, number| {
        cluster.change_policy(10, |policy| {
            let rule = &mut policy.ingress.as_mut().unwrap()[0];
            rule.ports[0].ports = Ports::Range(9_000, 9_000 + u16::try_from(number).unwrap());
        });
    });
    bench.change("a local pod has other labels", &mut cluster, |cluster, number| {
        let identity = cluster.new_identity();
        let labels = cluster.desired.identities[&identity].clone();
        let set: PolicySet = select_subject(&cluster.world, labels.subject());
        let endpoint = cluster.desired.endpoints.values_mut().nth(number as usize).unwrap();
        (endpoint.identity, endpoint.policies) = (identity, set);
        let id = endpoint.id;
        let address = cluster.desired.addresses.values_mut().find(|address| address.endpoint == id).unwrap();
        address.identity = identity;
    });
}

fn new_address(number: u32) -> IpAddr {
    IpAddr::from((0x0afe_0000 + number).to_be_bytes())
}

fn remote(identity: u32) -> DesiredAddress {
    DesiredAddress { identity, endpoint: 0, node: false }
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
