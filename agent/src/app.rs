//! Wires the process, in the order in which data flows.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use palomar_bpf::abi::Mode;
use palomar_bpf::{Adoption, Datapath, Hooks, LayoutChange, Maps, Options, Pins, RingBytes};
use palomar_flow::convert::NodeContext;

use crate::clock::wall_now_ns;
use crate::cluster::ClusterWorld;
use crate::config::{Attach, PolicyMode, RunArgs, StalePolicy};
use crate::control::{Control, EnforceScope, Facts, Follows, Reporter, SharedFacts, Signal};
use crate::directory::Directory;
use crate::door::Door;
use crate::durable::{self, Keeper};
use crate::enforce::{Enforcer, Saved};
use crate::enrich::{self, Attributions, Enricher, Hits, SeenNamespaces, Sources, Watched};
use crate::events::{AgentEvent, AgentEvents};
use crate::identity::Registry;
use crate::instance::{self, InstanceLock};
use crate::kernel::{Foreign, KernelTables};
use crate::links::Follower;
use crate::losses::Losses;
use crate::metrics::{self, Collector, MetricsDoor, MetricsThread};
use crate::ring::saved::files::{FlowFiles, Kept, Programs, Recalled};
use crate::ring::{Capacity, Ring, Writer};
use crate::server::{AgentFacts, Api, Served};
use crate::source::{self, Baseline, BaselineKeeper, InOrder, KernelLosses, KernelTotals as _};
use crate::tell::Teller;

/// How long an enforcing node may be without its agent under `--stale-policy audit`.
const STALE_AFTER: Duration = Duration::from_mins(10);
/// Events between the kernel's reader and the enricher, 7 MiB: at a million a second, 65 ms in which a busy node may run
/// something else.
const QUEUE: usize = 65_536;

/// Runs the agent until SIGTERM or SIGINT. The datapath stays as it is afterwards.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    // This network namespace is ours alone.
    let _lock = InstanceLock::take()?;
    make_state_dir(&args.state_dir)?;
    let _state_lock = instance::lock_state_dir(&args.state_dir)?;

    // What may be refused comes before anything touches the kernel, because an error ends it here.
    let capacity = capacity(args)?;
    let options = datapath_options(args)?;
    let node_name: Arc<str> = node_name(args)?.into();
    let cluster: Arc<str> = args.cluster_name.as_str().into();
    let door = Door::open(args)?;
    let metrics_door = MetricsDoor::open(&args.metrics)?;
    // The memory of an earlier agent is read while the kernel's side is brought into force.
    let flow_files = FlowFiles::of(&args.state_dir);
    let recalling = spawn_recall(&flow_files, capacity)?;
    // Where the cluster's objects come from.
    let cluster_world = ClusterWorld::start(args)?;

    let registry = registry(&args.state_dir, &cluster)?;
    let saved = saved_tables(&args.state_dir)?;

    // What this agent does is told from here on.
    let agent_events = Arc::new(AgentEvents::default());
    agent_events.tell(wall_now_ns(), [AgentEvent::Started]);

    // The kernel's side: an earlier agent's programs and maps go on meanwhile.
    let mut datapath = load(args, &options)?;
    let programs = programs(&datapath);
    let maps = Arc::clone(&datapath.maps);
    let events = datapath.events.take().context("the datapath has no event ring")?;
    let retired_events = datapath.retired_events.take();
    settle(&maps, args.stale_policy);

    // The control path: world + interfaces → directory → kernel maps.
    let directory =
        Arc::new(ArcSwap::from_pointee(Directory::empty(Arc::clone(&node_name), Arc::clone(&cluster))));
    let (signals, heard) = mpsc::channel();
    let links = Follower::start({
        let signals = signals.clone();
        move |links| drop(signals.send(Signal::Links(Arc::clone(links))))
    })
    .context("cannot follow the interfaces of this network namespace")?;
    let links = Arc::new(links);
    let enforcer = Enforcer::adopt(KernelTables(Arc::clone(&maps)), saved)?;
    let tables_keeper = Keeper::start(&tables_path(&args.state_dir));
    let attributions: Arc<dyn Attributions> = Arc::new(enforcer.attributions());
    let facts: SharedFacts = Arc::new(ArcSwap::from_pointee(Facts::of(directory.load_full())));
    let hook = datapath.attacher.hook();
    let (watched, hits) = (Arc::new(Watched::default()), Arc::new(Hits::default()));
    let mut control = Control {
        registry,
        enforcer,
        tables_keeper,
        datapath,
        mode: mode(args.policy_mode),
        scope: scope(args),
        directory: Arc::clone(&directory),
        facts: Arc::clone(&facts),
        world: cluster_world.newest(),
        links: links.current(),
        follower: Arc::clone(&links),
        attached: BTreeMap::new(),
        follows: Follows::default(),
        applied_at: Instant::now(),
        is_committed: false,
        watched: Arc::clone(&watched),
        reporter: Reporter::new(Arc::clone(&agent_events), directory.load_full()),
        losses_keeper: BaselineKeeper::start(Arc::clone(&maps), &args.state_dir),
    };
    control.start().context("cannot bring the datapath into force")?;
    let forward = cluster_world.forward(signals.clone()).context("cannot start a thread")?;
    let control = spawn_control(control, heard)?;

    // The event path: kernel ring → queue → enrich → recent flows, behind those of the earlier agent.
    let Memory { writer, ring, losses, namespaces } = memory(recalling, &flow_files, capacity, programs);
    let first_counted = ring.written();
    let (sender, receiver) = source::queue(QUEUE);
    let foreign = Foreign::start(args.foreign_drops, &maps);
    let sources = sources(&directory, &attributions, &namespaces);
    let enricher = in_words(&foreign, Enricher::new(sources, writer)).with_watched(watched).with_hits(&hits);
    let enriching =
        enrich::spawn(enricher, receiver, Arc::clone(&losses)).context("cannot start a thread")?;
    let stream = InOrder::new(retired_events, events);
    let counters = kernel_losses(&maps, &stream, &args.state_dir)?;
    let reading =
        source::spawn(stream, counters, sender, Arc::clone(&losses)).context("cannot start a thread")?;

    // The API, until a signal, and the metrics beside it.
    let instance = instance::network_namespace()?.to_string();
    let (source, masks) = (cluster_world.kind(), args.masquerade_all);
    let teller = Arc::new(Teller { facts, maps, attributions, instance, source, hook, masks, foreign, hits });
    let served = Served {
        ring: Arc::clone(&ring),
        losses: Arc::clone(&losses),
        namespaces,
        directory,
        node: Arc::new(NodeContext::new(&node_name, &cluster, &BTreeMap::new(), env!("CARGO_PKG_VERSION"))),
        facts: Arc::clone(&teller) as Arc<dyn AgentFacts>,
        max_streams: args.max_streams.into(),
    };
    let peer = door.peer_address((&node_name, &cluster), node_address(&served.directory.load()));
    let api = Api::new(served.clone()).telling(agent_events).reached_at(peer);
    let metrics = serve_metrics(metrics_door, served, first_counted, vec![Arc::new(api.clone()), teller])?;
    let served = door.serve(&api);

    // The end, against the flow of data; the datapath stays.
    drop(metrics);
    drop(signals.send(Signal::Stop));
    drop(control.join());
    drop(links);
    drop(forward);
    drop(reading);
    let until_ns = wall_now_ns();
    drop(enriching);
    save(&flow_files, &ring, &losses, until_ns);
    served?;
    tracing::info!("stopped; the datapath stays as it is (palomar-agent clean removes it)");
    Ok(())
}

/// Where this node is reached: by its first address in the world, else by the first one that its interfaces have.
fn node_address(directory: &Directory) -> Option<IpAddr> {
    let is_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    };
    let node = directory.world.nodes.get(&*directory.node_name);
    let told = node.and_then(|node| node.addresses.first());
    told.or_else(|| directory.node_addresses.iter().find(|address| !is_local(address))).copied()
}

/// In the kernel's own words, where drops by others are told.
fn in_words(foreign: &Foreign, enricher: Enricher) -> Enricher {
    match foreign {
        Foreign::Told(drops) => enricher.with_kernel_words(Arc::clone(drops) as _),
        _ => enricher,
    }
}

/// Where the names in flows come from.
fn sources(
    directory: &Arc<ArcSwap<Directory>>,
    attributions: &Arc<dyn Attributions>,
    namespaces: &Arc<SeenNamespaces>,
) -> Sources {
    Sources {
        directory: Arc::clone(directory),
        attributions: Arc::clone(attributions),
        namespaces: Arc::clone(namespaces),
    }
}

fn make_state_dir(state_dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(state_dir)
        .with_context(|| format!("cannot make the state directory {}", state_dir.display()))
}

/// Counts the flows from this sequence number on, if metrics are asked for.
fn serve_metrics(
    door: Option<MetricsDoor>,
    served: Served,
    first: u64,
    collectors: Vec<Arc<dyn Collector>>,
) -> anyhow::Result<Option<MetricsThread>> {
    let Served { ring, losses, directory, .. } = served;
    let sources = metrics::Sources { ring, first, losses, directory, collectors };
    door.map(|door| door.serve(sources)).transpose()
}

fn capacity(args: &RunArgs) -> anyhow::Result<Capacity> {
    let capacity = Capacity::try_from(u64::from(args.ring_capacity)).context("--ring-capacity")?;
    let mib_when_full = capacity.full_bytes() >> 20;
    tracing::info!(flows = %capacity, mib_when_full, "the ring of recent flows takes memory as it fills");
    Ok(capacity)
}

/// What became of an earlier agent's programs; asked before the heartbeat and the events are taken.
fn programs(datapath: &Datapath) -> Programs {
    let cannot_be_read = |changes: &[LayoutChange]| {
        datapath.retired_events.is_none() && changes.iter().any(|change| change.map == "events")
    };
    match datapath.adoption() {
        Adoption::Fresh => Programs::Gone,
        Adoption::Replaced(changes) if cannot_be_read(changes) => Programs::Replaced,
        Adoption::Adopted | Adoption::Replaced(_) => {
            Programs::Stayed { beat_ns: datapath.maps.settings.heartbeat() }
        }
    }
}

/// What is remembered, with what an earlier agent left of it.
struct Memory {
    writer: Writer,
    ring: Arc<Ring>,
    losses: Arc<Losses>,
    namespaces: Arc<SeenNamespaces>,
}

/// The memory to go on with, now that events are about to be read.
fn memory(
    recalling: JoinHandle<Recalled>,
    files: &FlowFiles,
    capacity: Capacity,
    programs: Programs,
) -> Memory {
    let recalled = recalling.join().unwrap_or_else(|_| Recalled::nothing(capacity));
    let now_ns = wall_now_ns();
    let losses = Arc::new(recalled.losses(now_ns, programs));
    let Recalled { writer, ring, .. } = recalled;
    let namespaces = Arc::new(SeenNamespaces::default());
    namespaces.learn(&ring, now_ns);
    files.begin();
    Memory { writer, ring, losses, namespaces }
}

/// Reads what an earlier agent remembered, in a thread of its own.
fn spawn_recall(files: &FlowFiles, capacity: Capacity) -> anyhow::Result<JoinHandle<Recalled>> {
    let files = files.clone();
    thread::Builder::new()
        .name("recall".into())
        .spawn(move || files.recall(capacity))
        .context("cannot start a thread")
}

fn save(files: &FlowFiles, ring: &Ring, losses: &Losses, until_ns: i64) {
    let begun = Instant::now();
    match files.save(ring, losses, until_ns) {
        Ok(Kept { flows, left_out }) => {
            let took_ms = begun.elapsed().as_millis();
            tracing::info!(flows, took_ms, "saved the flows for the next agent");
            if left_out > 0 {
                tracing::warn!(left_out, "there was no time to save the oldest flows");
            }
        }
        Err(error) => tracing::warn!(%error, "cannot save the flows: the next agent will not have them"),
    }
}

/// The kernel's losses, those of the time without an agent included.
fn kernel_losses(
    maps: &Arc<Maps>,
    stream: &InOrder,
    state_dir: &Path,
) -> anyhow::Result<KernelLosses<Arc<Maps>>> {
    let context = "cannot read the kernel's counters";
    let read_before = stream.read_before(maps).context(context)?;
    let (known, at_ns) = match Baseline::load(state_dir) {
        Some(baseline) => (baseline.known(), baseline.at_ns),
        None => (maps.totals().context(context)?, wall_now_ns()),
    };
    Ok(KernelLosses::since(Arc::clone(maps), known, at_ns, read_before))
}

fn scope(args: &RunArgs) -> EnforceScope {
    let namespaces = args.enforce_namespaces.iter().cloned().collect();
    EnforceScope { namespaces, masquerade_all: args.masquerade_all }
}

fn mode(mode: PolicyMode) -> Mode {
    match mode {
        PolicyMode::Off => Mode::Off,
        PolicyMode::Audit => Mode::Audit,
        PolicyMode::Enforce => Mode::Enforce,
    }
}

fn node_name(args: &RunArgs) -> anyhow::Result<String> {
    if let Some(name) = &args.node_name {
        anyhow::ensure!(!name.is_empty(), "--node-name is empty; leave it out for the host name");
        return Ok(name.clone());
    }
    let name = nix::unistd::gethostname().context("cannot tell the host name; give --node-name")?;
    name.into_string().ok().context("the host name is not text; give --node-name")
}

fn datapath_options(args: &RunArgs) -> anyhow::Result<Options> {
    Ok(Options {
        ring: RingBytes::try_from(args.kernel_ring_bytes).context("--kernel-ring-bytes")?,
        connections: args.connection_capacity,
        hooks: match args.attach {
            Attach::Auto => Hooks::Auto,
            Attach::Tcx => Hooks::Tcx,
            Attach::Clsact => Hooks::Clsact,
        },
        ..Options::default()
    })
}

fn load(args: &RunArgs, options: &Options) -> anyhow::Result<Datapath> {
    let missing = palomar_bpf::missing_capabilities();
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
        anyhow::bail!("missing capability: {}; run as root or grant them", names.join(", "));
    }
    let pins = Pins::create(&instance::pin_dir(&args.kernel.bpf_dir)?)?;
    let datapath = Datapath::load(options, Some(pins)).context("cannot load the datapath")?;
    match datapath.adoption() {
        Adoption::Fresh => tracing::info!("loaded the datapath"),
        Adoption::Adopted => {
            tracing::info!("loaded the datapath; adopted what an earlier agent left in force");
        }
        Adoption::Replaced(changes) => {
            let changes: Vec<String> =
                changes.iter().map(|change| format!("{}: {}", change.map, change.why)).collect();
            tracing::warn!(
                changes = changes.join("; "),
                "loaded the datapath; maps of an earlier agent are replaced"
            );
        }
    }
    Ok(datapath)
}

fn settle(maps: &Maps, stale: StalePolicy) {
    maps.settings.set_stale_after(match stale {
        StalePolicy::Keep => None,
        StalePolicy::Audit => Some(STALE_AFTER),
    });
}

fn registry(state_dir: &Path, cluster: &Arc<str>) -> anyhow::Result<Registry> {
    let (registry, damaged) = Registry::open(state_dir, Arc::clone(cluster))?;
    if let Some(damaged) = damaged {
        tracing::error!(error = %damaged, "the kept identities are damaged");
    }
    Ok(registry)
}

fn tables_path(state_dir: &Path) -> PathBuf {
    state_dir.join("tables.json")
}

/// What an earlier agent knew of the tables in the kernel.
fn saved_tables(state_dir: &Path) -> anyhow::Result<Option<Saved>> {
    let path = tables_path(state_dir);
    let loaded = durable::load(&path, |bytes| {
        serde_json::from_slice::<Saved>(bytes).map_err(|error| error.to_string())
    })
    .with_context(|| format!("cannot read {}", path.display()))?;
    if let Some(damage) = loaded.damage {
        tracing::error!(error = %damage, "the kept policy tables are damaged");
    }
    Ok(loaded.value)
}

fn spawn_control(control: Control, heard: Receiver<Signal>) -> anyhow::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("control".into())
        .spawn(move || control.run(&heard))
        .context("cannot start a thread")
}
