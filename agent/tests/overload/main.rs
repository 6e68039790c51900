//! Three times what the agent can take: everything that was offered is delivered or counted as lost, at each stage and
//! to the event, in order, and memory stays as it is. A minute; `PALOMAR_OVERLOAD_SECONDS` makes it longer.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod flood;
mod follower;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use palomar_agent::directory::Directory;
use palomar_agent::enrich::{
    self, Attribution, Attributions, Decision, EnrichThread, Enricher, SeenNamespaces, Sources,
};
use palomar_agent::losses::{LossSource, Losses, Stage, StageCounts};
use palomar_agent::ring::{Capacity, Ring};
use palomar_agent::server::{AgentFacts, Api, DEFAULT_MAX_STREAMS, Served};
use palomar_agent::source::{self, KernelLosses, SourceThread};
use palomar_flow::convert::NodeContext;
use palomar_model::labels::{LabelSet, Labels};
use palomar_proto::flow::LostEventSource;
use palomar_proto::palomar::v1;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;

use flood::flood;
use follower::{Follower, Habit, Told};

/// Flows of the ring: it is full, and memory settled, after a moment.
const FLOWS: u64 = 65_535;
/// Events of the queue between reader and enricher, as the agent has it.
const QUEUE: usize = 65_536;
/// How long the agent is given as much as can be made, to see what it takes.
const TRIAL: Duration = Duration::from_secs(3);
/// Growth of resident memory that is no leak, in bytes: allocators keep what they once had.
const SLACK: u64 = 24 << 20;

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

impl AgentFacts for Nobody {
    fn agent_status(&self) -> v1::GetAgentStatusResponse {
        v1::GetAgentStatusResponse::default()
    }

    fn endpoints(&self) -> v1::ListEndpointsResponse {
        v1::ListEndpointsResponse::default()
    }
}

/// The event path of an agent, from the kernel's ring to the socket.
struct Site {
    ring: Arc<Ring>,
    losses: Arc<Losses>,
    reading: SourceThread,
    enriching: EnrichThread,
    api: Api,
    runtime: Runtime,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

// === impl Site ===

impl Site {
    fn start(reader: flood::Reader, totals: flood::Totals) -> Self {
        let losses = Arc::new(Losses::default());
        let (writer, ring) = Ring::new(Capacity::try_from(FLOWS).unwrap());
        let directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
        let directory = Arc::new(ArcSwap::from_pointee(directory));
        let namespaces = Arc::new(SeenNamespaces::default());
        let (sender, receiver) = source::queue(QUEUE);
        let enricher = Enricher::new(
            Sources {
                directory: Arc::clone(&directory),
                attributions: Arc::new(Nobody),
                namespaces: Arc::clone(&namespaces),
            },
            writer,
        );
        let enriching = enrich::spawn(enricher, receiver, Arc::clone(&losses)).unwrap();
        let kernel = KernelLosses::from_now(totals).unwrap();
        let reading = source::spawn(reader, kernel, sender, Arc::clone(&losses)).unwrap();
        let api = Api::new(Served {
            ring: Arc::clone(&ring),
            losses: Arc::clone(&losses),
            namespaces,
            directory,
            node: Arc::new(NodeContext::new("node-1", "default", &Labels::new(), "0.1.0")),
            facts: Arc::new(Nobody),
            max_streams: DEFAULT_MAX_STREAMS,
        });
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let incoming = {
            let _entered = runtime.enter();
            UnixListenerStream::new(UnixListener::bind(&socket).unwrap())
        };
        runtime.spawn({
            let api = api.clone();
            async move { api.serve(api.routes().await.unwrap(), incoming).await.unwrap() }
        });
        Self { ring, losses, reading, enriching, api, runtime, socket, _folder: folder }
    }

    fn stage(&self, stage: Stage) -> StageCounts {
        self.losses.stages().into_iter().find(|counts| counts.stage == stage).unwrap()
    }

    /// Waits until the queries have passed everything `followers` times over, and a moment longer, because losses are
    /// told once a second.
    fn wait_for_queries(&self, followers: u64) {
        let begin = Instant::now();
        while self.stage(Stage::Queries).taken < followers * self.ring.written() {
            assert!(begin.elapsed() < Duration::from_mins(2), "{:?}", self.stage(Stage::Queries));
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_millis(2_500));
    }
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

fn overload_time() -> Duration {
    let seconds = std::env::var("PALOMAR_OVERLOAD_SECONDS").map_or(60, |text| {
        text.parse().unwrap_or_else(|_| panic!("PALOMAR_OVERLOAD_SECONDS={text:?} is no number of seconds"))
    });
    Duration::from_secs(seconds)
}

#[test]
fn what_an_overloaded_agent_is_offered_is_delivered_or_counted_as_lost_at_each_stage() {
    let (mut flood, reader, totals) = flood();
    let site = Site::start(reader, totals);
    let habits = [Habit::Eager, Habit::Slow, Habit::DropsOnly];
    let followers: Vec<Follower> =
        habits.map(|habit| Follower::start(site.socket.clone(), habit)).into_iter().collect();

    flood.run(None, TRIAL);
    let capacity = site.ring.written() / TRIAL.as_secs();
    let (offered, written) = (flood.offered(), site.ring.written());
    let time = overload_time();
    let quarter = time / 4;
    flood.run(Some(3 * capacity), quarter);
    let settled = resident_bytes();
    flood.run(Some(3 * capacity), 3 * quarter);
    let grown = resident_bytes().saturating_sub(settled);
    let (offered, written) = (flood.offered() - offered, site.ring.written() - written);
    println!(
        "takes {capacity}/s, was offered {}/s, wrote {}/s; memory grew by {} KiB",
        offered / time.as_secs(),
        written / time.as_secs(),
        grown >> 10
    );
    assert!(written < offered, "that was no overload: {offered} offered, {written} written");
    assert!(grown < SLACK, "memory grew by {grown} bytes");

    // against the flow of data, as the agent ends, but for the queries, which are to see everything
    let Site { losses, ring, .. } = &site;
    while site.stage(Stage::Reader).taken < site.stage(Stage::Kernel).given
        || site.stage(Stage::Enricher).taken < site.stage(Stage::Reader).given
        || site.stage(Stage::Enricher).in_hand() > 0
        || site.stage(Stage::Kernel).taken < flood.offered()
    {
        thread::sleep(Duration::from_millis(20));
    }
    site.wait_for_queries(followers.len() as u64);

    for counts in losses.stages() {
        let StageCounts { taken, given, left_out, .. } = counts;
        assert_eq!(taken, given + left_out + counts.all_lost(), "{counts:?}");
    }
    let [kernel, reader, enricher, queries] = Stage::ALL.map(|stage| site.stage(stage));
    assert_eq!(kernel.taken, flood.offered());
    assert_eq!(reader.taken, kernel.given);
    assert_eq!(enricher.taken, reader.given);
    assert_eq!(ring.written(), enricher.given);
    assert!(enricher.left_out > 0, "departures were followed by deliveries");
    assert!(losses.count(LossSource::FateUnknown) > 0, "and others not, while events were lost");
    assert_eq!(queries.taken, followers.len() as u64 * ring.written());
    assert_eq!(losses.count(LossSource::InvalidRecord), flood.broken);
    assert!(losses.count(LossSource::Decode) <= flood.impossible);

    site.api.shut_down();
    let told: Vec<(Habit, Told)> = followers
        .into_iter()
        .map(|follower| (follower.habit, follower))
        .map(|(h, f)| (h, f.told()))
        .collect();
    let (mut flows, mut missed) = (0, 0);
    for (habit, told) in &told {
        let lost = |source| told.lost.get(&source).copied().unwrap_or(0);
        let count = |sources: &[LossSource]| sources.iter().map(|source| losses.count(*source)).sum::<u64>();
        // what was lost before the ring is told to everyone
        assert_eq!(
            lost(LostEventSource::PerfEventRingBuffer),
            count(&[
                LossSource::KernelRingDrop,
                LossSource::KernelRingTrace,
                LossSource::KernelRingPolicyVerdict
            ]),
            "{habit:?}"
        );
        assert_eq!(lost(LostEventSource::ObserverEventsQueue), count(&[LossSource::QueueFull]), "{habit:?}");
        assert_eq!(
            lost(LostEventSource::UnknownLostEventSource),
            count(&[LossSource::InvalidRecord, LossSource::Decode, LossSource::FateUnknown]),
            "{habit:?}"
        );
        let own = lost(LostEventSource::HubbleRingBuffer);
        match habit {
            Habit::Eager | Habit::Slow => assert_eq!(told.flows + own, ring.written(), "{habit:?}"),
            Habit::DropsOnly => assert_eq!(told.flows, told.drops),
        }
        // four sources at most, each once a second at most; some seconds for the trial and the end
        let seconds = (time + TRIAL).as_secs() + 130;
        assert!(told.reports <= 4 * seconds, "{habit:?}: {} reports", told.reports);
        (flows, missed) = (flows + told.flows, missed + own);
    }
    assert_eq!((flows, missed), (queries.given, losses.count(LossSource::ReaderOvertaken)));

    let Site { reading, enriching, runtime, .. } = site;
    drop(reading);
    drop(enriching);
    runtime.shutdown_background();
}
