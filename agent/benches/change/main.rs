//! From the text of a changed file to the kernel's tables, on the agent's own path: `cargo bench -p palomar-agent --bench
//! change`; needs root. 2,000 policies in 50 namespaces over 1,000 local pods and 10,000 of other nodes, without services and
//! with 2,000: everything at once, then one change after the other, with what each part took.
//!
//! Times are those of this thread on a processor, but for the reading of all files, which has several and is told by the
//! clock. The kernel's share of the writes is in them, and what waits is not: the
//! look at the directory once nothing has happened in it for 5 ms, and the files that other threads keep. Programs are
//! attached nowhere.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]

mod cluster;
#[expect(dead_code, reason = "the other benches need more of it")]
#[path = "../query/report.rs"]
mod report;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use palomar_agent::clock::thread_time;
use palomar_agent::control::{AttachState, Control, EnforceScope, Facts, Follows, Reporter, Steps};
use palomar_agent::directory::Directory;
use palomar_agent::durable::Keeper;
use palomar_agent::enforce::{Enforcer, GRACE};
use palomar_agent::enrich::Watched;
use palomar_agent::events::AgentEvents;
use palomar_agent::identity::Registry;
use palomar_agent::kernel::KernelTables;
use palomar_agent::links::{Follower, Links};
use palomar_agent::source::BaselineKeeper;
use palomar_agent::world::Snapshots;
use palomar_bpf::abi::Mode;
use palomar_bpf::{Datapath, Options};

use cluster::{DEPLOYMENTS, NODE, POLICIES, Pod, REPLICAS};
use report::{Goal, heading, median, row};

const SERVICES: u32 = 2_000;
/// Changes of a kind; the middle one is told.
const CHANGES: u32 = 9;
const GOAL_FULL_MS: f64 = 1_000.0;
const GOAL_CHANGE_MS: f64 = 10.0;

/// What one pass took, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Took {
    read: f64,
    world: f64,
    control: f64,
    steps: Steps,
}

struct Bench {
    snapshots: Snapshots,
    control: Control,
}

impl Bench {
    fn new(state_dir: &Path) -> Self {
        let mut datapath = Datapath::load(&Options::default(), None).expect("root is needed");
        let _events = datapath.events.take();
        let maps = Arc::clone(&datapath.maps);
        let empty = Directory::empty(NODE.into(), "default".into());
        let directory = Arc::new(ArcSwap::from_pointee(empty));
        let facts = Arc::new(ArcSwap::from_pointee(Facts::of(directory.load_full())));
        let control = Control {
            registry: Registry::open(state_dir, "default".into()).unwrap().0,
            enforcer: Enforcer::adopt(KernelTables(Arc::clone(&maps)), None).unwrap(),
            tables_keeper: Keeper::start(&state_dir.join("tables.json")),
            datapath,
            mode: Mode::Enforce,
            scope: EnforceScope::default(),
            directory: Arc::clone(&directory),
            facts,
            world: Arc::default(),
            links: Arc::new(Links::default()),
            follower: Arc::new(Follower::start(|_| {}).unwrap()),
            attached: BTreeMap::new(),
            follows: Follows::default(),
            applied_at: Instant::now(),
            is_committed: true,
            watched: Arc::new(Watched::default()),
            reporter: Reporter::new(Arc::new(AgentEvents::default()), directory.load_full()),
            losses_keeper: BaselineKeeper::start(maps, state_dir),
        };
        Self { snapshots: Snapshots::default(), control }
    }

    fn link(&mut self, links: Links) {
        let attached = AttachState::Attached {
            hook: self.control.datapath.attacher.hook(),
            ingress_first: true,
            egress_first: true,
        };
        self.control.attached = links.veths.keys().map(|ifindex| (*ifindex, attached.clone())).collect();
        self.control.links = Arc::new(links);
    }

    /// One pass: what the watcher's thread does with these texts, and what the control thread does then.
    fn apply(&mut self, texts: Vec<(String, String)>) -> Took {
        // many files are parsed by several threads: what counts is when they are done
        let (begun, many) = (Instant::now(), texts.len() > 1);
        let alone = thread_time();
        self.snapshots.read(texts);
        let read = thread_time();
        let reading = if many { begun.elapsed() } else { read.saturating_sub(alone) };
        let world = self.snapshots.next(None).expect("something has changed");
        assert!(world.refused.is_empty(), "{:?}", world.refused);
        let made = thread_time();
        self.control.take_in(world);
        drop(self.control.apply());
        let done = thread_time();
        let failure = self.control.facts.load().failure.clone();
        assert_eq!(failure, None);
        Took {
            read: milliseconds(reading),
            world: milliseconds(made.saturating_sub(read)),
            control: milliseconds(done.saturating_sub(made)),
            steps: self.control.follows.steps,
        }
    }

    fn change(&mut self, what: &str, mut texts: impl FnMut(&mut Self, u32) -> Vec<(String, String)>) {
        let (mut all, mut removed) = (Vec::new(), Vec::new());
        for number in 0..CHANGES {
            let texts = texts(self, number);
            all.push(self.apply(texts));
            // as after the grace period, so that what is removed is gone before the next change
            let begun = thread_time();
            self.control.enforcer.collect_garbage(Instant::now() + GRACE * 2).unwrap();
            removed.push(milliseconds(thread_time().saturating_sub(begun)));
        }
        tell(what, &all, GOAL_CHANGE_MS);
        println!("    later, what is no longer used is removed: {:.2}", median(removed));
    }
}

fn tell(what: &str, all: &[Took], goal: f64) {
    let middle = |figure: &dyn Fn(&Took) -> f64| median(all.iter().map(figure).collect());
    row(what, middle(&|took| took.read + took.world + took.control), "ms", Goal::AtMost(goal));
    let step = |step: fn(&Steps) -> Duration| middle(&|took| milliseconds(step(&took.steps)));
    println!(
        "    parse {:.2}, world {:.2}; control {:.2}: identities {:.2}, directory {:.2}, wanted {:.2}, compile and kernel \
         {:.2}, history {:.2}, tell {:.2}",
        middle(&|took| took.read),
        middle(&|took| took.world),
        middle(&|took| took.control),
        step(|steps| steps.identities),
        step(|steps| steps.directory),
        step(|steps| steps.wanted),
        step(|steps| steps.enforce),
        step(|steps| steps.history),
        step(|steps| steps.tell),
    );
}

fn main() {
    for services in [0, SERVICES] {
        run(services);
    }
}

fn run(services: u32) {
    let state = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(state.path());
    bench.link(cluster::links());
    let files = cluster::files(services);
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    let pods = DEPLOYMENTS * REPLICAS;
    heading(&format!(
        "{POLICIES} policies, {services} services, {pods} pods, {} of them local: {} files of {bytes} bytes",
        bench.control.links.veths.len(),
        files.len()
    ));
    let first = bench.apply(files);
    tell("all of it, from texts to the kernel", &[first], GOAL_FULL_MS);

    heading("one change after the other, each as one pass");
    bench.change("a remote pod of known labels comes", |_, number| {
        // as replica 5, which is nobody's yet
        let mut pods = cluster::pods(20 + number);
        pods.push(Pod { replica: REPLICAS, is_local: false, ..pods[0] });
        vec![cluster::deployment(20 + number, &pods)]
    });
    bench.change("a remote pod goes", |_, number| {
        vec![cluster::deployment(20 + number, &cluster::pods(20 + number))]
    });
    bench.change("a remote pod of new labels comes", |_, number| {
        let mut pods = cluster::pods(40 + number);
        pods.push(Pod { replica: REPLICAS, is_local: false, track: 1 + number, ..pods[0] });
        vec![cluster::deployment(40 + number, &pods)]
    });
    bench.change("a remote pod gets other labels", |_, number| {
        let mut pods = cluster::pods(60 + number);
        pods.iter_mut().find(|pod| !pod.is_local).unwrap().track = 100 + number;
        vec![cluster::deployment(60 + number, &pods)]
    });
    bench.change("a local pod comes, with its interface", |bench, number| {
        let mut pods = cluster::pods(80 + number);
        let pod = Pod { replica: REPLICAS, is_local: true, ..pods[0] };
        pods.push(pod);
        let mut links = Links::clone(&bench.control.links);
        links.veths.insert(pod.ifindex(), pod.link());
        bench.link(links);
        vec![cluster::deployment(80 + number, &pods)]
    });
    bench.change("a local pod goes, with its interface", |bench, number| {
        let pods = cluster::pods(80 + number);
        let mut links = Links::clone(&bench.control.links);
        links.veths.remove(&Pod { replica: REPLICAS, ..pods[0] }.ifindex());
        bench.link(links);
        vec![cluster::deployment(80 + number, &pods)]
    });
    bench.change("a local pod gets other labels", |_, number| {
        // of eleven pods in a row one is local
        let deployment = 110 + number * 11;
        let mut pods = cluster::pods(deployment);
        pods.iter_mut().find(|pod| pod.is_local).unwrap().track = 200 + number;
        vec![cluster::deployment(deployment, &pods)]
    });
    bench.change("a policy changes a port", |_, number| vec![cluster::policy(11, 9_000 + number)]);
    bench.change("a policy of a whole namespace changes a port", |_, number| {
        vec![cluster::policy(10, 9_000 + number)]
    });
    bench.change("a policy comes", |_, number| {
        // a number above those that are there: another name
        vec![cluster::policy(POLICIES + 7 * number + 1, 9_000)]
    });
    if services == 0 {
        return;
    }
    bench.change("a service changes a port", |_, number| vec![cluster::service(30, 9_000 + number)]);
    bench.change("a service comes", |_, number| vec![cluster::service(services + number, 8_000)]);
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
