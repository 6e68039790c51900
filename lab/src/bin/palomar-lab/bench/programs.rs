//! What the kernel's own clock says of our programs under real traffic.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aya::programs::ProgramInfo;
use aya::sys::{Stats, enable_stats};

use super::agent::{Agent, Mode};
use super::figures::{Figures, grouped};
use super::order::shuffled;
use super::site::{Site, pod};
use super::table::Table;
use super::workload::{Servers, Workload, denied};
use crate::args::BenchArgs;
use crate::interrupt::Interrupt;

/// Rounds; more only take time.
const ROUNDS: u32 = 3;
/// The programs.
const PROGRAMS: [&str; 2] = ["from_pod", "to_pod"];

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Allowed(Workload),
    Denied,
}

/// How often a program has run, and how long in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Runs {
    count: u64,
    time: Duration,
}

/// Nanoseconds a run, and runs a second.
#[derive(Debug, Clone, Default)]
struct Measured {
    nanoseconds: Figures,
    per_second: Figures,
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 5] = [
        Self::Allowed(Workload::RoundTrips),
        Self::Allowed(Workload::Stream),
        Self::Allowed(Workload::Datagrams),
        Self::Allowed(Workload::Connections),
        Self::Denied,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Allowed(Workload::RoundTrips) => "round trips on one connection",
            Self::Allowed(Workload::Stream) => "TCP stream",
            Self::Allowed(Workload::Datagrams) => "UDP flood, 18 B",
            Self::Allowed(Workload::Connections) => "connect, ask, close",
            Self::Denied => "UDP flood, all dropped at the server",
        }
    }

    fn send(self, site: &Site<'_>, duration: Duration) -> anyhow::Result<()> {
        match self {
            Self::Allowed(workload) => workload.measure(site, duration).map(drop),
            Self::Denied => denied(site, duration).map(drop),
        }
    }
}

/// Measures and prints.
pub fn run(args: &BenchArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    println!("## Programs under real traffic");
    let site = Site::build(args, interrupt, vec![pod("client"), pod("server"), pod("stranger")])?;
    let servers = Servers::start(&site)?;
    let agent = Agent::start(&site, Mode::Enforce, None)?;
    // what kernel.bpf_stats_enabled does, for as long as this is open: nothing has to be set back
    let stats = enable_stats(Stats::RunTime).context("ask the kernel to time BPF programs")?;
    let mut measured: BTreeMap<(Kind, &str), Measured> = BTreeMap::new();
    for round in 0..ROUNDS.min(args.rounds) {
        for kind in shuffled(&Kind::ALL, round) {
            interrupt.check()?;
            let before = runs(&site.bpf)?;
            kind.send(&site, args.seconds)?;
            let after = runs(&site.bpf)?;
            for program in PROGRAMS {
                let measured = measured.entry((kind, program)).or_default();
                measured.add(before[program], after[program], args.seconds);
            }
        }
    }
    drop(stats);
    let lost = agent.status()?.lost;
    agent.remove()?;
    drop(servers);
    print(args, &measured, lost);
    site.remove()
}

// === impl Measured ===

impl Measured {
    fn add(&mut self, before: Runs, after: Runs, duration: Duration) {
        let count = u32::try_from(after.count - before.count).unwrap_or(u32::MAX);
        let time = after.time.saturating_sub(before.time);
        self.nanoseconds.push(time.as_secs_f64() * 1e9 / f64::from(count.max(1)));
        self.per_second.push(f64::from(count) / duration.as_secs_f64());
    }
}

/// The runs of the pinned programs, by name. Programs of earlier agents that are still pinned count as well.
fn runs(bpf: &Path) -> anyhow::Result<BTreeMap<&'static str, Runs>> {
    let mut runs: BTreeMap<_, _> = PROGRAMS.map(|program| (program, Runs::default())).into();
    let mut found = 0;
    for instance in fs::read_dir(bpf)? {
        let programs = instance?.path().join("programs");
        for pin in fs::read_dir(&programs).with_context(|| programs.display().to_string())? {
            let info = ProgramInfo::from_pin(pin?.path())?;
            let known = PROGRAMS.iter().find(|&&program| info.name_as_str() == Some(program));
            if let Some(runs) = known.and_then(|&program| runs.get_mut(program)) {
                runs.count += info.run_count();
                runs.time += info.run_time();
                found += 1;
            }
        }
    }
    ensure!(found >= PROGRAMS.len(), "the agent has pinned {found} programs below {}", bpf.display());
    Ok(runs)
}

fn print(args: &BenchArgs, measured: &BTreeMap<(Kind, &str), Measured>, lost: u64) {
    println!(
        "{:?} pods, enforce, both pods isolated; nanoseconds a run, the kernel's two clock reads included: median\n\
         (least–greatest) of {} rounds of {} s. from_pod judges what a pod sends, to_pod what it gets.\n\
         The dropped flood is judged for both orientations, as UDP is in a pod's first minute.\n",
        args.topology,
        ROUNDS.min(args.rounds),
        args.seconds.as_secs_f64()
    );
    let mut table = Table::new(&["traffic", "from_pod ns", "runs/s", "to_pod ns", "runs/s"]);
    for kind in Kind::ALL {
        let mut row = vec![kind.label().to_owned()];
        for program in PROGRAMS {
            let measured = measured.get(&(kind, program)).cloned().unwrap_or_default();
            row.push(measured.nanoseconds.spread(grouped));
            row.push(grouped(measured.per_second.median()));
        }
        table.row(row);
    }
    table.print();
    println!("Events lost, those left out by the rate limit of drops included: {lost}\n");
}
