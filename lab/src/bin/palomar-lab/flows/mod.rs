//! The load server: the agent's own API over a ring that is filled here, without a kernel or a cluster.
//!
//! ```text
//! sample → recorder → ring → the agent's API → clients
//!          (this thread paces)   (tokio)
//! ```

mod listen;
mod pace;
mod recorder;
mod serve;
mod who;

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;

use palomar_agent::clock::wall_now_ns;
use palomar_agent::enrich::SeenNamespaces;
use palomar_agent::losses::Losses;
use palomar_agent::ring::Ring;
use palomar_agent::server::{Api, DEFAULT_MAX_STREAMS, Served};
use palomar_sample::{Cluster, Traffic};

use crate::args::FlowsArgs;
use crate::interrupt::Interrupt;
use crate::usage;
pub use listen::Listen;
use recorder::Recorder;
use serve::Server;

/// Fills a ring, serves it and goes on writing, until Ctrl-C.
pub fn run(args: &FlowsArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    // what may be refused comes before what takes time
    let server = Server::bind(&args.listen)?;
    let mut traffic = Traffic::new(Cluster::new(args.seed), args.seed);
    let (writer, ring) = Ring::new(args.capacity);
    let namespaces = Arc::new(SeenNamespaces::default());
    let mut recorder = Recorder::new(writer, Arc::clone(&namespaces));
    let known = who::of_cluster(traffic.cluster());
    pace::fill(&mut recorder, args.count, wall_now_ns(), |time_ns| traffic.next_flow(time_ns), interrupt)?;
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
        "serving {} flows of {} written on {place}; the ring holds {} and takes {} MiB when full",
        ring.len(),
        ring.written(),
        ring.capacity(),
        ring.capacity().full_bytes() >> 20,
    ));
    tell(format_args!("{}; Ctrl-C ends it", memory()?));
    let live = pace::keep_up(&mut recorder, args.rate, |time_ns| traffic.next_flow(time_ns), interrupt);
    answering.stop()?;
    tell(format_args!("{live}; {} in all, {}", ring.written(), memory()?));
    Ok(())
}

fn memory() -> anyhow::Result<String> {
    let resident = usage::resident(std::process::id())?;
    Ok(format!("{} MiB resident, {} MiB at most", resident.all >> 20, resident.peak >> 20))
}

/// Prints a line. Nobody may be there to read it, and the server serves all the same.
fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
