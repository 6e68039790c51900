//! Where it is measured: a node with pods, and files for what is started there.

use std::path::PathBuf;

use palomar_lab::{Lab, Place, PodSpec};

use super::policy::NAMESPACE;
use crate::args::BenchArgs;
use crate::interrupt::Interrupt;
use crate::program::beside;

/// The node, the programs to be measured, and where their files go.
#[derive(Debug)]
pub struct Site<'a> {
    /// The node with its pods.
    pub lab: Lab,
    /// Whether the user wants to stop.
    pub interrupt: &'a Interrupt,
    /// The command-line client.
    pub palomar: PathBuf,
    /// The agent.
    pub agent: PathBuf,
    /// For files; removed with the lab.
    pub files: PathBuf,
    /// For pins; removed with the lab.
    pub bpf: PathBuf,
}

// === impl Site ===

impl<'a> Site<'a> {
    /// Builds the node.
    pub fn build(args: &BenchArgs, interrupt: &'a Interrupt, pods: Vec<PodSpec>) -> anyhow::Result<Self> {
        let palomar = beside(args.palomar.as_deref(), "palomar")?;
        let agent = beside(args.agent.as_deref(), "palomar-agent")?;
        let lab = Lab::new(&args.name, args.topology, pods)?;
        let (files, bpf) = (lab.files_dir()?, lab.bpf_dir()?);
        Ok(Self { lab, interrupt, palomar, agent, files, bpf })
    }

    /// A pod.
    pub fn pod(&self, name: &str) -> anyhow::Result<&Place> {
        Ok(self.lab.pod(&format!("{NAMESPACE}/{name}"))?)
    }

    /// Removes everything.
    pub fn remove(self) -> anyhow::Result<()> {
        Ok(self.lab.down()?)
    }
}

/// A pod with a role, which is its name as well.
pub fn pod(role: &str) -> PodSpec {
    PodSpec::new(NAMESPACE, role).label("role", role)
}
