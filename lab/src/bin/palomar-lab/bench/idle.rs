//! What the agent itself takes: idle, and with its ring of flows full.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use palomar_lab::PodSpec;

use super::agent::{Agent, Mode};
use super::figures::grouped;
use super::policy::NAMESPACE;
use super::site::Site;
use super::table::Table;
use super::traffic::mebibytes;
use crate::args::BenchArgs;
use crate::interrupt::Interrupt;
use crate::usage::{Resident, cpu_time, resident};

const PODS: usize = 20;
/// A ring larger than the default one, which remembers for longer.
const LARGE_RING: u32 = 1_048_575;
const PORT: u16 = 7000;
/// After this the start is over.
const SETTLE: Duration = Duration::from_secs(2);
/// Traffic between two looks at how full the ring is.
const FILL: Duration = Duration::from_millis(500);
/// The ring must be full by then.
const FULL: Duration = Duration::from_mins(3);
const READ: Duration = Duration::from_mins(1);

/// A moment in the agent's life.
struct Moment {
    what: String,
    flows: u64,
    resident: Resident,
}

/// Measures and prints.
pub fn run(args: &BenchArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    println!("## The agent");
    let pods = (0..PODS).map(|number| PodSpec::new(NAMESPACE, format!("pod-{number}")).label("app", "x"));
    let site = Site::build(args, interrupt, pods.collect())?;
    println!("{PODS} {:?} pods, idle for {} s.\n", args.topology, args.idle.as_secs_f64());
    measure(args, interrupt, &site, None)?;
    measure(args, interrupt, &site, Some(LARGE_RING))?;
    site.remove()
}

/// One agent with a ring of so many flows, or the default ring.
fn measure(
    args: &BenchArgs,
    interrupt: &Interrupt,
    site: &Site<'_>,
    ring_capacity: Option<u32>,
) -> anyhow::Result<()> {
    let agent = Agent::start(site, Mode::Audit, ring_capacity)?;
    pause(interrupt, SETTLE)?;
    let mut moments = Vec::new();

    let share = share_of_a_core(&agent, || pause(interrupt, args.idle))?;
    moments.push(look(&agent, format!("idle, {share:.2} % of a core"))?);

    let share = share_of_a_core(&agent, || fill(site, &agent))?;
    moments.push(look(&agent, format!("ring full, after {share:.0} % of a core while it filled"))?);

    let mut reader = agent.palomar(&["observe", "--all", "-o", "compact"]).spawn()?;
    let end = reader.wait(READ)?.context("palomar observe --all does not end")?;
    ensure!(end.success(), "palomar observe --all ended with {end}");
    moments.push(look(&agent, "ring full, a client has read all of it".to_owned())?);

    let status = agent.status()?;
    agent.remove()?;
    print(ring_capacity, &moments);
    println!("Kernel memory of the maps: {}. Events lost: {}.\n", status.kernel_maps, status.lost);
    Ok(())
}

/// The agent's part of a core while something goes on, in percent.
fn share_of_a_core(agent: &Agent<'_>, meanwhile: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (before, start) = (cpu_time(agent.pid())?, Instant::now());
    meanwhile()?;
    let spent = cpu_time(agent.pid())?.saturating_sub(before);
    Ok(spent.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0)
}

/// Short connections between pods until the ring is full.
fn fill(site: &Site<'_>, agent: &Agent<'_>) -> anyhow::Result<()> {
    let deadline = Instant::now() + FULL;
    for number in (0..PODS / 2).cycle() {
        site.interrupt.check()?;
        let (client, server) =
            (site.pod(&format!("pod-{number}"))?, site.pod(&format!("pod-{}", PODS - 1 - number))?);
        let _serving = server.serve_rate(PORT, 1)?;
        client.connect_rate(SocketAddr::new(server.v4()?, PORT), 1, FILL)?;
        let status = agent.status()?;
        if status.flows == status.max_flows {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the ring holds {} of {} flows after {} s",
            status.flows,
            status.max_flows,
            FULL.as_secs()
        );
    }
    Ok(())
}

fn look(agent: &Agent<'_>, what: String) -> anyhow::Result<Moment> {
    Ok(Moment { what, flows: agent.status()?.flows, resident: resident(agent.pid())? })
}

/// Waits, unless the user wants to stop.
fn pause(interrupt: &Interrupt, duration: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        interrupt.check()?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn print(ring_capacity: Option<u32>, moments: &[Moment]) {
    let settings =
        ring_capacity.map_or_else(|| "Default settings".into(), |flows| format!("--ring-capacity {flows}"));
    println!("{settings}:\n");
    let mut table = Table::new(&["agent", "flows held", "resident MiB", "of it heap and stacks", "peak"]);
    for Moment { what, flows, resident } in moments {
        let mib = |bytes| format!("{:.1}", mebibytes(bytes));
        #[expect(clippy::cast_precision_loss, reason = "a ring holds far fewer than 2^52 flows")]
        let flows = grouped(*flows as f64);
        table.row(vec![what.clone(), flows, mib(resident.all), mib(resident.anonymous), mib(resident.peak)]);
    }
    table.print();
}
