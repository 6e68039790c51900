//! What the agent is told on its command line, and what it makes of it.

mod metrics;
mod tcp;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
pub use metrics::{InvalidListenAddress, ListenAddress, MetricsArgs};
pub use tcp::{InvalidTcp, Tcp, TcpArgs};

/// Where manifests are looked for when no directory is named.
pub const DEFAULT_MANIFESTS: &str = "/etc/palomar/manifests";

/// palomar-agent: watches the pods of this node through eBPF, keeps their recent flows and serves them over
/// Hubble's gRPC API.
///
/// With no flags it observes every veth of this network namespace and changes no packet's fate.
#[derive(Debug, Parser)]
#[command(name = "palomar-agent", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of running the agent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the agent runs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What to do instead of running the agent.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this node can do and what is missing, before installation. Changes nothing
    Check(KernelArgs),
    /// Panic switch: from now on no packet is dropped for policy, whether an agent runs or not
    Audit(KernelArgs),
    /// Remove all that Palomar put into the kernel of this network namespace, and nothing else
    Clean(KernelArgs),
}

/// Where the kernel's side of an instance is.
#[derive(Debug, Clone, Args)]
pub struct KernelArgs {
    /// Directory in the BPF file system for pinned programs, links and maps; each network namespace has its own
    /// folder in it
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/palomar")]
    pub bpf_dir: PathBuf,
}

/// How the agent runs.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Where the kernel's side is.
    #[command(flatten)]
    pub kernel: KernelArgs,

    /// What happens to a packet that policy denies
    #[arg(long, value_enum, default_value_t = PolicyMode::Audit)]
    pub policy_mode: PolicyMode,

    /// In enforce: drop only in these namespaces, and audit the others (comma separated; default: enforce everywhere)
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub enforce_namespaces: Vec<String>,

    /// This node hides who connects to services behind its own address, as kube-proxy's flag of this name has it: where a
    /// service's backends differ under policy, connections to it are then denied, and not judged at the backend
    #[arg(long)]
    pub masquerade_all: bool,

    /// What an enforcing node does when its agent has been away for 10 minutes
    #[arg(long, value_enum, default_value_t = StalePolicy::Keep)]
    pub stale_policy: StalePolicy,

    /// Where pods, namespaces, services and policies come from (default: manifests if a directory is named or
    /// /etc/palomar/manifests is there, else none)
    #[arg(long, value_enum)]
    pub cluster_source: Option<ClusterSource>,

    /// Directory of Kubernetes YAML to watch
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,

    /// Directory for what must survive a restart: recent flows (after a clean stop), identities, last good objects,
    /// rule tables
    #[arg(long, value_name = "DIR", default_value = "/var/lib/palomar")]
    pub state_dir: PathBuf,

    /// Unix socket to serve the API on
    #[arg(long, value_name = "PATH", default_value = palomar_transport::DEFAULT_SOCKET)]
    pub socket: PathBuf,

    /// Whether it is served over TCP as well.
    #[command(flatten)]
    pub tcp: TcpArgs,

    /// What is counted.
    #[command(flatten)]
    pub metrics: MetricsArgs,

    /// This node's name in flows (default: the host name)
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node_name: Option<String>,

    /// The cluster's name in flows and identities
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub cluster_name: String,

    /// How programs are attached to interfaces
    #[arg(long, value_enum, default_value_t = Attach::Auto)]
    pub attach: Attach,

    /// How many recent flows to keep: one less than a power of two, up to 16777215; about 90 bytes each, taken as it
    /// fills
    #[arg(long, value_name = "FLOWS", alias = "event-buffer-capacity", default_value_t = 262_143)]
    pub ring_capacity: u32,

    /// How many streams of flows are served at once; more are refused. Each takes about 11 kB, and 240 kB while its client
    /// does not read
    #[arg(long, value_name = "STREAMS", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_streams: u16,

    /// How many connections the kernel tracks; about 180 bytes each, taken at once
    #[arg(long, value_name = "CONNECTIONS", default_value_t = 131_072, value_parser = clap::value_parser!(u32).range(1..))]
    pub connection_capacity: u32,

    /// Whether to tell which packets of pods others in the kernel drop: netfilter rules of any kind, routing, a missing
    /// socket. A kernel that cannot say is no error
    #[arg(long, value_enum, default_value_t = ForeignDrops::On)]
    pub foreign_drops: ForeignDrops,

    /// Bytes of the kernel's event ring: a power of two, at least 65536
    #[arg(long, value_name = "BYTES", default_value_t = 4_194_304)]
    pub kernel_ring_bytes: u32,

    /// How log lines are written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Which log lines: a level, or tracing directives such as `info,palomar_agent=debug`
    #[arg(long, value_name = "FILTER", env = "PALOMAR_LOG", default_value = "info")]
    pub log: String,
}

/// What happens to a packet that policy denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyMode {
    /// It passes; no policy is evaluated
    Off,
    /// It passes and is reported as AUDITED
    Audit,
    /// It is dropped silently in the kernel
    Enforce,
}

/// What an enforcing node does without its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StalePolicy {
    /// Keeps enforcing the last policy
    Keep,
    /// Audits
    Audit,
}

/// Where the cluster's objects come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClusterSource {
    /// A watched directory of Kubernetes YAML
    Manifests,
    /// Nobody: addresses only
    None,
}

/// How programs are attached to interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Attach {
    /// TCX where the kernel has it, else clsact
    Auto,
    /// TCX links, first in order (Linux 6.6 and later)
    Tcx,
    /// Filters on a clsact qdisc
    Clsact,
}

/// Whether drops by others in the kernel are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ForeignDrops {
    /// Where the kernel can say them
    On,
    /// Never
    Off,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}
