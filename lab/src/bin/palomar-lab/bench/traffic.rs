//! Traffic between two pods, with and without something beside it.

use std::collections::BTreeMap;

use super::configuration::{Configuration, Running};
use super::figures::{Figures, grouped};
use super::order::shuffled;
use super::site::{Site, pod};
use super::table::Table;
use super::workload::{Servers, Workload};
use crate::args::BenchArgs;
use crate::interrupt::Interrupt;
use crate::usage::{cpu_time, resident};

/// What was measured of one configuration.
#[derive(Debug, Default)]
struct Measured {
    traffic: BTreeMap<Workload, Figures>,
    /// CPU seconds of the process beside a round's traffic.
    cpu: Figures,
    /// Its resident MiB after a round's traffic.
    resident: Figures,
    /// What it has lost in all rounds.
    lost: u64,
}

/// Measures and prints.
pub fn run(args: &BenchArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    println!("## Traffic between two pods");
    let site = Site::build(args, interrupt, vec![pod("client"), pod("server")])?;
    let servers = Servers::start(&site)?;
    // the first of everything is slow
    for workload in Workload::ALL {
        workload.measure(&site, args.seconds / 3)?;
    }
    let mut measured = BTreeMap::new();
    for round in 0..args.rounds {
        for configuration in shuffled(&Configuration::ALL, round) {
            let running = configuration.start(&site)?;
            measure(&site, args, running, measured.entry(configuration).or_default(), round)?;
        }
        eprintln!("traffic: round {} of {} is done", round + 1, args.rounds);
    }
    drop(servers);
    print(args, &measured);
    site.remove()
}

fn measure(
    site: &Site<'_>,
    args: &BenchArgs,
    running: Running<'_>,
    measured: &mut Measured,
    round: u32,
) -> anyhow::Result<()> {
    let cpu = || running.pid().map(cpu_time).transpose();
    let before = cpu()?;
    for workload in shuffled(&Workload::ALL, round) {
        site.interrupt.check()?;
        measured.traffic.entry(workload).or_default().push(workload.measure(site, args.seconds)?);
    }
    if let (Some(before), Some(after), Some(pid)) = (before, cpu()?, running.pid()) {
        measured.cpu.push(after.saturating_sub(before).as_secs_f64());
        measured.resident.push(mebibytes(resident(pid)?.all));
    }
    measured.lost += running.stop()?;
    Ok(())
}

fn print(args: &BenchArgs, measured: &BTreeMap<Configuration, Measured>) {
    let (seconds, rounds) = (args.seconds.as_secs_f64(), args.rounds);
    println!(
        "{:?} pods; median (least–greatest) of {rounds} shuffled rounds of {seconds} s each, × the median ratio to bare\n\
         in the same round. CPU and memory are those of the agent or of tcpdump, for the four kinds of traffic together.\n",
        args.topology
    );
    let mut heading = vec!["configuration"];
    heading.extend(Workload::ALL.map(Workload::label));
    heading.extend(["CPU s a round", "resident MiB", "lost"]);
    let mut table = Table::new(&heading);
    let bare = measured.get(&Configuration::Bare);
    for (configuration, measured) in measured {
        let mut row = vec![configuration.label().to_owned()];
        for (workload, figures) in &measured.traffic {
            let mut cell = figures.spread(|value| workload.format(value));
            let bare = bare.and_then(|bare| bare.traffic.get(workload));
            if let (Some(bare), true) = (bare, *configuration != Configuration::Bare) {
                cell = format!("{cell} ×{:.2}", figures.over(bare).median());
            }
            row.push(cell);
        }
        if *configuration == Configuration::Bare {
            row.extend(["–".to_owned(), "–".to_owned(), "–".to_owned()]);
        } else {
            row.push(format!("{:.2}", measured.cpu.median()));
            row.push(format!("{:.1}", measured.resident.median()));
            #[expect(clippy::cast_precision_loss, reason = "a bench loses far fewer than 2^52 packets")]
            row.push(grouped(measured.lost as f64));
        }
        table.row(row);
    }
    table.print();
}

/// Bytes in MiB.
#[expect(clippy::cast_precision_loss, reason = "a process has far fewer than 2^52 bytes")]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
