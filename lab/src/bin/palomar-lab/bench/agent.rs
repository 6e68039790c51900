//! An agent on the node, started, asked and removed as a person would.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use palomar_lab::{NetnsCommand, Process, write_manifest};

use super::policy::{self, NAMESPACE};
use super::site::Site;
use super::status::{self, Status};
use crate::endpoint;

const COMMAND: Duration = Duration::from_secs(10);
const START: Duration = Duration::from_secs(30);

/// What the agent is to do with policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The default; there are no policies.
    Audit,
    /// The pods are isolated, and allowed what the bench sends.
    Enforce,
}

/// A running agent.
#[derive(Debug)]
pub struct Agent<'a> {
    site: &'a Site<'a>,
    process: Process,
    socket: PathBuf,
    manifests: PathBuf,
}

// === impl Agent ===

impl<'a> Agent<'a> {
    /// Starts it, with a ring of so many flows if not the default one, and waits until it watches every pod and its
    /// policies are in force.
    pub fn start(site: &'a Site<'_>, mode: Mode, ring_capacity: Option<u32>) -> anyhow::Result<Self> {
        let name = if mode == Mode::Audit { "audit" } else { "enforce" };
        let dir =
            site.files.join(ring_capacity.map_or_else(|| name.into(), |flows| format!("{name}-{flows}")));
        let (manifests, state, socket) = (dir.join("manifests"), dir.join("state"), dir.join("palomar.sock"));
        fs::create_dir_all(&manifests)?;
        write_manifest(&manifests, policy::NAMESPACE_FILE.0, policy::NAMESPACE_FILE.1)?;
        site.lab.write_manifests(&manifests)?;
        if mode == Mode::Enforce {
            write_manifest(&manifests, policy::FILE.0, policy::FILE.1)?;
        }
        let command = site.lab.node().command(&site.agent).args(["--policy-mode", name]);
        let command = command.args(["--cluster-source", "manifests", "--node-name", &site.lab.node_name()]);
        let command = command.arg("--manifests").arg(&manifests).arg("--state-dir").arg(&state);
        let command = command.arg("--socket").arg(&socket).arg("--bpf-dir").arg(&site.bpf);
        let ring = ring_capacity.map(|flows| format!("--ring-capacity={flows}"));
        let process = command.args(ring).log(dir.join("agent.log")).spawn()?;
        let agent = Self { site, process, socket, manifests };
        let pods = site.lab.pods().count();
        let ready =
            site.interrupt.poll(START, || agent.is_ready(mode, pods).map(|ready| ready.then_some(())))?;
        let log = || fs::read_to_string(dir.join("agent.log")).unwrap_or_default();
        ready.with_context(|| format!("the agent is not ready after {} s:\n{}", START.as_secs(), log()))?;
        Ok(agent)
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What `palomar status` says.
    pub fn status(&self) -> anyhow::Result<Status> {
        let output = self.palomar(&["status"]).output(COMMAND)?;
        ensure!(output.status.success(), "palomar status: {}", output.stderr.trim_end());
        status::parse(&output.stdout)
    }

    /// Puts a manifest in place.
    pub fn apply(&self, file: &str, text: &str) -> anyhow::Result<()> {
        Ok(write_manifest(&self.manifests, file, text)?)
    }

    /// The client of this agent.
    pub fn palomar(&self, args: &[&str]) -> NetnsCommand {
        let command = self.site.lab.node().command(&self.site.palomar).args(args.iter().copied());
        command.env("PALOMAR_SERVER", format!("unix://{}", self.socket.display()))
    }

    /// Ends it, and takes its programs out of the kernel.
    pub fn remove(self) -> anyhow::Result<()> {
        self.process.stop()?;
        let clean = self.site.lab.node().command(&self.site.agent).arg("clean");
        let output = clean.arg("--bpf-dir").arg(&self.site.bpf).output(COMMAND)?;
        ensure!(output.status.success(), "palomar-agent clean: {}", output.stderr.trim_end());
        Ok(())
    }

    fn is_ready(&self, mode: Mode, pods: usize) -> anyhow::Result<bool> {
        if !self.process.is_running() {
            bail!("the agent has ended");
        }
        let output = self.palomar(&["endpoint", "list", "-o", "json"]).output(COMMAND)?;
        if !output.status.success() {
            return Ok(false);
        }
        let endpoints = endpoint::parse(&output.stdout)?;
        let server = format!("{NAMESPACE}/server");
        let isolated = endpoints.iter().any(|endpoint| endpoint.is(&server) && endpoint.ingress_isolated);
        let watched = endpoints.iter().filter(|endpoint| endpoint.is_watched()).count();
        Ok(watched >= pods && (mode == Mode::Audit || isolated))
    }
}
