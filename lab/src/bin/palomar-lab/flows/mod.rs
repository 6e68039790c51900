//! The load server: the agent's own API over a ring that is filled here, without a kernel or a cluster.
//!
//! ```text
//! sample ─┐
//!         ├─► feed → recorder → ring → the agent's API → clients
//! file ───┘   (this thread paces)       (tokio)
//! ```

mod feed;
mod file;
mod listen;
mod pace;
mod recorder;
mod serve;
mod who;

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;

use palomar_agent::enrich::SeenNamespaces;
use palomar_agent::losses::Losses;
use palomar_agent::ring::Ring;
use palomar_agent::server::{Api, DEFAULT_MAX_STREAMS, Served};
use palomar_sample::{Cluster, Traffic};

use crate::args::FlowsArgs;
use crate::interrupt::Interrupt;
use crate::usage;
use feed::{Feed, Replay};
use file::FlowFile;
pub use listen::Listen;
use recorder::Recorder;
use serve::Server;
use who::Known;

/// How many flows of a sample are written before serving, unless said otherwise.
const DEFAULT_COUNT: u64 = 10_000;

/// Fills a ring, serves it and goes on writing, until Ctrl-C.
pub fn run(args: &FlowsArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    // what may be refused comes before what takes time
    let server = Server::bind(&args.listen)?;
    let Source { mut feed, known, count } = Source::open(args, interrupt)?;
    let (writer, ring) = Ring::new(args.capacity);
    let namespaces = Arc::new(SeenNamespaces::default());
    let mut recorder = Recorder::new(writer, Arc::clone(&namespaces));
    pace::fill(&mut recorder, &mut feed, count, interrupt)?;
    let api = Api::new(Served {
        ring: Arc::clone(&ring),
        losses: Arc::new(Losses::default()),
        namespaces,
        directory: known.directory,
        node: known.node,
        facts: known.facts,
        max_streams: DEFAULT_MAX_STREAMS,
    });
    let place = server.place().to_owned();
    let answering = server.start(api);
    tell(format_args!(
        "serving {} flows of {} written on {place}; the ring holds {} and takes {} when full",
        ring.len(),
        ring.written(),
        ring.capacity(),
        mebibytes(ring.capacity().full_bytes()),
    ));
    tell(format_args!("{}; Ctrl-C ends it", memory()?));
    let live = pace::keep_up(&mut recorder, &mut feed, args.rate, interrupt);
    answering.stop()?;
    tell(format_args!("{live}; {} in all, {}", ring.written(), memory()?));
    Ok(())
}

/// What the command line asks for.
struct Source {
    feed: Feed,
    known: Known,
    count: u64,
}

// === impl Source ===

impl Source {
    fn open(args: &FlowsArgs, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let Some(path) = &args.from else {
            let traffic = Traffic::new(Cluster::new(args.seed), args.seed);
            let known = who::of_cluster(traffic.cluster());
            let count = args.count.unwrap_or(DEFAULT_COUNT);
            return Ok(Self { feed: Feed::Sample(Box::new(traffic)), known, count });
        };
        // more than are written at first are wanted if more are to follow
        let limit = args.count.filter(|_| args.rate == 0).unwrap_or(u64::MAX);
        let file = FlowFile::read(path, limit, interrupt)?;
        for (departure, lines) in &file.departures {
            eprintln!("palomar-lab: {path}: {lines} lines with {departure}");
        }
        let count = args.count.unwrap_or(u64::try_from(file.flows.len())?);
        let known = who::of_file(&file);
        Ok(Self { feed: Feed::File(Replay::new(file.flows)), known, count })
    }
}

fn memory() -> anyhow::Result<String> {
    let resident = usage::resident(std::process::id())?;
    Ok(format!("{} resident, {} at most", mebibytes(resident.all), mebibytes(resident.peak)))
}

/// As text with one digit behind the point.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Prints a line. Nobody may be there to read it, and the server serves all the same.
fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
