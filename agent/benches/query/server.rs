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
/// Flows in a batch of the writer.
const BATCH: usize = 64;

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
            max_streams: DEFAULT_MAX_STREAMS,
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

/// Appends so many flows a second until told to stop; returns how many it wrote.
pub fn write_paced(
    bench: &Bench,
    mut writer: Writer,
    per_second: u64,
    stop: Arc<AtomicBool>,
) -> thread::JoinHandle<(Writer, u64)> {
    let flows = Arc::clone(&bench.flows);
    let from = bench.ring.written();
    thread::spawn(move || {
        let begin = Instant::now();
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            let due = u64::try_from(begin.elapsed().as_micros()).unwrap() * per_second / 1_000_000;
            if due > written {
                flows.write(&mut writer, from + written, due - written, BATCH);
                written = due;
            }
            thread::sleep(Duration::from_micros(500));
        }
        (writer, written)
    })
}
