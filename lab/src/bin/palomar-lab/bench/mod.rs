//! What Palomar costs, measured on real packets. Everything that is compared was measured in one run, in shuffled rounds.

mod agent;
mod configuration;
mod cut;
mod figures;
mod idle;
mod order;
mod policy;
mod programs;
mod site;
mod status;
mod table;
mod tcpdump;
mod traffic;
mod workload;

use anyhow::ensure;

use crate::args::{BenchArgs, BenchPart};
use crate::interrupt::Interrupt;
use crate::program::is_on_path;

/// Measures the parts that were asked for, and prints a table of each.
pub fn run(args: &BenchArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let wanted = |part| args.parts.is_empty() || args.parts.contains(&part);
    // before minutes are spent
    ensure!(
        !wanted(BenchPart::Traffic) || is_on_path(tcpdump::PROGRAM),
        "tcpdump is missing, and Palomar is to be compared with it: scripts/setup.sh bench installs it"
    );
    println!("Machines are noisy: compare figures of one run only, and mind the spread (least–greatest).\n");
    if wanted(BenchPart::Traffic) {
        traffic::run(args, interrupt)?;
    }
    if wanted(BenchPart::Programs) {
        programs::run(args, interrupt)?;
    }
    if wanted(BenchPart::Cut) {
        cut::run(args, interrupt)?;
    }
    if wanted(BenchPart::Agent) {
        idle::run(args, interrupt)?;
    }
    Ok(())
}
