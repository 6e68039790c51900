//! The API over a filled ring, on threads of its own, and what they cost.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use arc_swap::ArcSwap;
use palomar_agent::directory::Directory;
use palomar_agent::enrich::SeenNamespaces;
use palomar_agent::losses::Losses;
use palomar_agent::ring::{Capacity, Ring, Writer};
use palomar_agent::server::{AgentFacts, Api, DEFAULT_MAX_STREAMS, Served};
use palomar_proto::palomar::v1;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;

use crate::cluster::{self, Flows};

/// The names of the server's threads begin with this.
const THREADS: &str = "bench-server";
/// The name of the live writer's thread.
pub const WRITER: &str = "bench-writer";

struct NoFacts;

impl AgentFacts for NoFacts {
    fn agent_status(&self) -> v1::GetAgentStatusResponse {
        v1::GetAgentStatusResponse::default()
    }

    fn endpoints(&self) -> v1::ListEndpointsResponse {
        v1::ListEndpointsResponse::default()
    }
}

/// A server under way.
pub struct Bench {
    pub flows: Arc<Flows>,
    pub ring: Arc<Ring>,
    pub socket: PathBuf,
    api: Api,
    runtime: Option<Runtime>,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A full ring of so many flows, and its writer.
    pub fn start(capacity: u64) -> (Self, Writer) {
        Self::start_for(capacity, DEFAULT_MAX_STREAMS)
    }

    /// The same for so many streams at once.
    pub fn start_for(capacity: u64, max_streams: usize) -> (Self, Writer) {
        let flows = Arc::new(Flows::new());
        let (mut writer, ring) = Ring::new(Capacity::try_from(capacity).unwrap());
        flows.write(&mut writer, 0, capacity + capacity / 8 + 7, 256);
        let directory = Directory::empty(Arc::from("worker-01"), Arc::from("bench"));
        let api = Api::new(Served {
            ring: Arc::clone(&ring),
            losses: Arc::new(Losses::default()),
            namespaces: Arc::new(SeenNamespaces::default()),
            directory: Arc::new(ArcSwap::from_pointee(directory)),
            node: Arc::new(cluster::node()),
            facts: Arc::new(NoFacts),
            max_streams,
        });
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bench.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(THREADS)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn({
            let (api, socket) = (api.clone(), socket.clone());
            async move {
                let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
                api.serve(api.routes().await.unwrap(), incoming).await.unwrap();
            }
        });
        while !socket.exists() {
            thread::sleep(Duration::from_millis(1));
        }
        (Self { flows, ring, socket, api, runtime: Some(runtime), _folder: folder }, writer)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.api.shut_down();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// CPU time of the server's threads since they started.
pub fn server_cpu() -> Duration {
    cpu_of(THREADS)
}

/// CPU time of the threads whose names begin so, since they started.
pub fn cpu_of(name: &str) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let of_that_name = tasks.filter(|task| {
        // a thread that has just gone costs nothing any more
        fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.starts_with(name))
    });
    let nanoseconds = of_that_name.map(|task| {
        let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// How a live writer writes.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Flows a second.
    pub per_second: u64,
    /// Flows at once.
    pub batch: usize,
}

/// A writer that goes on until it is stopped.
pub struct Live {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<(Writer, u64)>,
}

impl Live {
    pub fn start(bench: &Bench, mut writer: Writer, pace: Pace) -> Self {
        let (flows, from, stop) =
            (Arc::clone(&bench.flows), bench.ring.written(), Arc::<AtomicBool>::default());
        let stopped = Arc::clone(&stop);
        let write = move || {
            let begin = Instant::now();
            let mut written = 0;
            while !stopped.load(Ordering::Relaxed) {
                let due = u64::try_from(begin.elapsed().as_micros()).unwrap() * pace.per_second / 1_000_000;
                while written + pace.batch as u64 <= due {
                    flows.write(&mut writer, from + written, pace.batch as u64, pace.batch);
                    written += pace.batch as u64;
                }
                thread::sleep(Duration::from_micros(200));
            }
            (writer, written)
        };
        Self { stop, thread: thread::Builder::new().name(WRITER.into()).spawn(write).unwrap() }
    }

    /// The writer, and how many flows it wrote.
    pub fn stop(self) -> (Writer, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Memory of this process that is in use.
pub fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
