//! What does not run the agent: `check`, `audit` and `clean`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use palomar_bpf::{Capability, Datapath, Hook, LoadError, Options, missing_capabilities};

use crate::control::chain;
use crate::instance::{self, InstanceLock};
use crate::kernel;
use crate::links::Follower;

/// The answer of one question about this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How well it went.
    pub grade: Grade,
    /// What was asked.
    pub subject: &'static str,
    /// What was found, and what to do about it.
    pub detail: String,
}

/// How well a question went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// Palomar runs, with less.
    Less,
    /// Palomar does not run.
    Missing,
}

/// Asks everything that decides whether an agent can run here, changing nothing.
pub fn findings(bpf_dir: &Path) -> Vec<Finding> {
    let mut findings = vec![capabilities(), bpffs(bpf_dir)];
    findings.extend(programs());
    findings.push(interfaces());
    findings.push(agent());
    findings
}

/// The findings as a person reads them.
pub fn render(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { grade, subject, detail } in findings {
        let grade = match grade {
            Grade::Ok => "ok",
            Grade::Less => "less",
            Grade::Missing => "MISSING",
        };
        let _ = writeln!(text, "{grade:<8} {subject:<13} {detail}");
    }
    text
}

fn finding(grade: Grade, subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding { grade, subject, detail: detail.into() }
}

fn capabilities() -> Finding {
    let missing: Vec<String> = missing_capabilities().iter().map(Capability::to_string).collect();
    if missing.is_empty() {
        return finding(Grade::Ok, "capabilities", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are there");
    }
    finding(
        Grade::Missing,
        "capabilities",
        format!("{} missing; run as root or grant them", missing.join(", ")),
    )
}

fn bpffs(bpf_dir: &Path) -> Finding {
    match palomar_bpf::Pins::existing(bpf_dir) {
        Ok(_) => finding(Grade::Ok, "bpffs", format!("{} is on a BPF file system", bpf_dir.display())),
        Err(error) => finding(Grade::Missing, "bpffs", chain(&error)),
    }
}

fn programs() -> Vec<Finding> {
    match Datapath::load(&Options::default(), None) {
        Ok(datapath) => {
            let bytes: u64 = datapath.maps.memory().map_or(0, |maps| maps.iter().map(|map| map.bytes).sum());
            let hook = match datapath.attacher.hook() {
                Hook::Tcx => finding(Grade::Ok, "attach", "tcx links, first in order"),
                Hook::Clsact => finding(
                    Grade::Less,
                    "attach",
                    "clsact filters: this kernel has no tcx (6.6 and later have), so a filter of a lower priority can hide packets",
                ),
            };
            let loaded = format!("this kernel takes them; their maps use {} MiB", bytes >> 20);
            vec![finding(Grade::Ok, "programs", loaded), hook, foreign_drops(&datapath)]
        }
        Err(LoadError::Capability(_)) => {
            vec![finding(Grade::Missing, "programs", "cannot be tried without the capabilities")]
        }
        Err(error) => vec![finding(Grade::Missing, "programs", chain(&error))],
    }
}

fn foreign_drops(datapath: &Datapath) -> Finding {
    match kernel::foreign_drops(&datapath.maps) {
        Ok(_) => finding(
            Grade::Ok,
            "foreign drops",
            "what others in the kernel drop can be told, with its reasons",
        ),
        Err(error) => finding(Grade::Less, "foreign drops", format!("cannot be told: {error:#}")),
    }
}

fn interfaces() -> Finding {
    match Follower::start(|_| ()).map(|follower| follower.current()) {
        Ok(links) if links.veths.is_empty() => finding(
            Grade::Less,
            "interfaces",
            "no veth leads out of this network namespace: there is nothing to observe yet",
        ),
        Ok(links) => {
            let named: Vec<&str> = links.veths.values().map(|link| link.name.as_str()).take(8).collect();
            let more = if links.veths.len() > named.len() { ", …" } else { "" };
            finding(
                Grade::Ok,
                "interfaces",
                format!("{} veths: {}{more}", links.veths.len(), named.join(", ")),
            )
        }
        Err(error) => finding(Grade::Missing, "interfaces", chain(&error)),
    }
}

fn agent() -> Finding {
    match InstanceLock::take() {
        Ok(_) => finding(Grade::Ok, "agent", "none runs in this network namespace"),
        Err(error) => finding(Grade::Less, "agent", error.to_string()),
    }
}

/// `palomar-agent check`: prints what this node can do; an error if an agent cannot run.
pub fn check(bpf_dir: &Path) -> anyhow::Result<()> {
    let findings = findings(bpf_dir);
    print!("{}", render(&findings));
    let missing = findings.iter().filter(|finding| finding.grade == Grade::Missing).count();
    anyhow::ensure!(missing == 0, "an agent cannot run here: {missing} of {} checks failed", findings.len());
    Ok(())
}

/// `palomar-agent audit`: the panic switch.
pub fn audit(bpf_dir: &Path) -> anyhow::Result<()> {
    let pins = instance::pin_dir(bpf_dir).context("cannot tell this network namespace")?;
    let changed = palomar_bpf::panic_audit(&pins)?;
    println!(
        "{}",
        if changed { "no packet is dropped for policy from now on" } else { "audit was in force already" }
    );
    Ok(())
}

/// `palomar-agent clean`: removes all that is ours.
pub fn clean(bpf_dir: &Path) -> anyhow::Result<()> {
    let _lock = InstanceLock::take()?;
    let pins = instance::pin_dir(bpf_dir).context("cannot tell this network namespace")?;
    let interfaces = palomar_bpf::clean(&pins)?;
    println!(
        "removed from {} interfaces; nothing of Palomar is left in this network namespace",
        interfaces.len()
    );
    Ok(())
}
