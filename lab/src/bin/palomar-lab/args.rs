//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use palomar_agent::ring::Capacity;
use palomar_lab::Topology;

use crate::flows::Listen;

/// Nodes and pods made of network namespaces, for the demo and for trying things out.
#[derive(Debug, Parser)]
#[command(name = "palomar-lab", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a node with pods, and remove it again at Ctrl-C
    Up(UpArgs),
    /// Remove labs that were kept, or whose process was killed
    Down(DownArgs),
    /// List labs
    List,
    /// Answer HTTP requests in this network namespace
    Serve(ServeArgs),
    /// Play the policy demo on a node of its own: default deny, then one allowed client
    Demo(DemoArgs),
    /// Serve the agent's API over a ring of made-up flows: for benches, client tests, and comparison with other servers
    Flows(FlowsArgs),
    /// Measure what Palomar costs: traffic between two pods, the kernel's programs, the agent
    Bench(BenchArgs),
}

/// `palomar-lab up`
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// Name of the lab: up to 16 lower-case letters and digits
    pub name: String,
    /// How pods are joined to the node
    #[arg(long, value_enum, default_value_t = Topology::Routed)]
    pub topology: Topology,
    /// Kubernetes YAML files, or directories of them, whose pods are to be built (default: three pods, pods/pod-0 to
    /// pods/pod-2); pods without status.podIPs get addresses
    #[arg(long, value_name = "PATH")]
    pub manifests: Vec<PathBuf>,
    /// Answer HTTP requests on this port in every pod, with the pod's name
    #[arg(long, value_name = "PORT")]
    pub serve: Option<u16>,
    /// Leave it up, and end; `palomar-lab down` removes it
    #[arg(long)]
    pub detach: bool,
}

/// `palomar-lab down`
#[derive(Debug, clap::Args)]
pub struct DownArgs {
    /// Names of labs (default: all that no living process holds)
    pub names: Vec<String>,
}

/// `palomar-lab serve`
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// TCP port, on all addresses
    #[arg(long)]
    pub port: u16,
    /// What to answer; a newline follows
    #[arg(long)]
    pub body: String,
}

/// `palomar-lab demo`
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Leave the node and the agent up, and say what to type next
    #[arg(long)]
    pub keep: bool,
    /// The command-line client (default: `palomar` beside this program)
    #[arg(long, value_name = "PATH")]
    pub palomar: Option<PathBuf>,
    /// The agent (default: `palomar-agent` beside this program)
    #[arg(long, value_name = "PATH")]
    pub agent: Option<PathBuf>,
    /// How pods are joined to the node
    #[arg(long, value_enum, default_value_t = Topology::Routed)]
    pub topology: Topology,
    /// How the agent attaches its programs
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = ["auto", "tcx", "clsact"])]
    pub attach: String,
    /// Name of the lab
    #[arg(long, default_value = "demo")]
    pub name: String,
}

/// `palomar-lab flows`
#[derive(Debug, clap::Args)]
pub struct FlowsArgs {
    /// Where to serve
    #[arg(
        long,
        value_name = "WHERE",
        help = "Where to serve: unix:///path, or ADDRESS:PORT in clear text (port 0: any free one, which is printed)"
    )]
    pub listen: Listen,
    /// How many flows to write before serving, as if 1,500 had come in every second until now (default: 10000; with
    /// --from all of the file, at its own times; for more than it has it is told again, each round behind the one before)
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// How many flows to write every second from then on, with the time at which they are written; 0 for none
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    pub rate: u32,
    /// How many flows the ring holds: one less than a power of two
    #[arg(long, value_name = "C", default_value_t = Capacity::DEFAULT)]
    pub capacity: Capacity,
    /// Which flows: the same number gives the same cluster and the same flows in the same order
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Serve the flows of a file instead: one JSON response a line, as `palomar observe -o jsonpb` prints them; packed by
    /// gzip or not; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    pub from: Option<String>,
}

/// `palomar-lab bench`
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// What to measure (default: everything)
    #[arg(value_enum)]
    pub parts: Vec<BenchPart>,
    /// Rounds of the traffic, and of cuts; each of the traffic runs every configuration once, in another order
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Seconds of each kind of traffic in a round
    #[arg(long, default_value = "1.5", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds that the agent is left idle
    #[arg(long, default_value = "20", value_parser = seconds)]
    pub idle: Duration,
    /// How pods are joined to the node
    #[arg(long, value_enum, default_value_t = Topology::Routed)]
    pub topology: Topology,
    /// The command-line client (default: `palomar` beside this program)
    #[arg(long, value_name = "PATH")]
    pub palomar: Option<PathBuf>,
    /// The agent (default: `palomar-agent` beside this program)
    #[arg(long, value_name = "PATH")]
    pub agent: Option<PathBuf>,
    /// Name of the lab
    #[arg(long, default_value = "bench")]
    pub name: String,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchPart {
    /// Traffic between two pods: bare, with Palomar, with tcpdump
    Traffic,
    /// Nanoseconds a run of the kernel's programs under real traffic
    Programs,
    /// How soon a policy that closes an open connection cuts it
    Cut,
    /// CPU and memory of an idle agent, and its memory with the ring of flows full
    Agent,
}

/// A positive number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no positive number of seconds");
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(wrong)
}
