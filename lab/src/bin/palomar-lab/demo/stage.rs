//! Where the story is played: a node with the three pods and an agent, and commands that are shown with what they print.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use palomar_lab::{Lab, Output, Place, PodSpec, Process, read_pods};

use super::files::{File, NAMESPACE, PODS};
use crate::args::DemoArgs;
use crate::endpoint::{self, Endpoint};
use crate::interrupt::Interrupt;
use crate::program::beside;
use crate::up::{self, addresses};

/// How long a command of the story may take.
const COMMAND: Duration = Duration::from_secs(10);
/// How long the agent may take for anything: to start, to follow a change, to show a flow.
const AGENT: Duration = Duration::from_secs(20);
/// What is shown of the agent's log.
const LOG_LINES: usize = 30;

const PODS_WATCHED: [&str; 3] = ["np-demo/web", "np-demo/frontend", "np-demo/other"];

/// The port that web serves.
pub const PORT: u16 = 8080;

/// The node, the agent on it, and where things are.
#[derive(Debug)]
pub struct Stage<'a> {
    lab: Lab,
    agent: Option<Process>,
    interrupt: &'a Interrupt,
    paths: Paths,
    attach: String,
}

/// Programs, and files below the lab's directory.
#[derive(Debug)]
struct Paths {
    palomar: PathBuf,
    agent: PathBuf,
    manifests: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    bpf: PathBuf,
}

// === impl Stage ===

impl<'a> Stage<'a> {
    /// Builds the node.
    pub fn build(args: &DemoArgs, interrupt: &'a Interrupt) -> anyhow::Result<Self> {
        let (palomar, agent) =
            (beside(args.palomar.as_deref(), "palomar")?, beside(args.agent.as_deref(), "palomar-agent")?);
        say("A node with three pods");
        let lab = Lab::new(&args.name, args.topology, read_pods(PODS.0, PODS.1)?)?;
        lab.pods().for_each(|(_, pod)| println!("{:<18} {}", pod.name(), addresses(pod)));
        let dir = lab.files_dir()?;
        let paths = Paths {
            palomar,
            agent,
            manifests: dir.join(up::MANIFESTS),
            state: dir.join("state"),
            socket: dir.join("palomar.sock"),
            log: dir.join("agent.log"),
            bpf: lab.bpf_dir()?,
        };
        Ok(Self { lab, agent: None, interrupt, paths, attach: args.attach.clone() })
    }

    /// Starts web's server and the agent, and waits until the agent sees the pods.
    pub fn start(&mut self) -> anyhow::Result<()> {
        fs::create_dir(&self.paths.manifests)?;
        fs::create_dir(&self.paths.state)?;
        self.write(NAMESPACE)?;
        self.lab.write_manifests(&self.paths.manifests)?;
        let web = self.lab.pod("np-demo/web")?;
        up::serve(web, PORT)?;
        let served = || Ok(self.lab.node().get(&web.url(PORT)).ok());
        self.interrupt.poll(AGENT, served)?.context("web does not answer")?;

        say("The agent, on the node, enforcing");
        let paths = &self.paths;
        let command = self
            .lab
            .node()
            .command(&paths.agent)
            .args(["--policy-mode", "enforce", "--cluster-source", "manifests", "--attach", &self.attach])
            .args(["--node-name", &self.lab.node_name()])
            .arg("--manifests")
            .arg(&paths.manifests)
            .arg("--state-dir")
            .arg(&paths.state)
            .arg("--socket")
            .arg(&paths.socket)
            .arg("--bpf-dir")
            .arg(&paths.bpf)
            .log(&paths.log);
        println!("node $ {}", command.line());
        self.agent = Some(command.spawn()?);
        self.wait_for("the agent to watch the three pods", |endpoints| {
            PODS_WATCHED.iter().all(|pod| endpoints.iter().any(|e| e.is(pod) && e.is_watched()))
        })
    }

    /// A pod of the story.
    pub fn pod(&self, name: &str) -> anyhow::Result<&Place> {
        Ok(self.lab.pod(&format!("np-demo/{name}"))?)
    }

    /// Applies a manifest, and shows it.
    pub fn apply(&self, file: File) -> anyhow::Result<()> {
        println!("$ cp deploy/np-demo/{} {}/", file.0, self.paths.manifests.display());
        file.1.lines().for_each(|line| println!("    {line}"));
        self.write(file)
    }

    /// Runs a client in a pod.
    pub fn in_pod(&self, name: &str, program: &str, args: &[&str]) -> anyhow::Result<Output> {
        let command = self.pod(name)?.command(program).args(args.iter().copied());
        println!("{name} $ {}", command.line());
        self.shown(command.output(COMMAND))
    }

    /// Runs the client of the agent.
    pub fn palomar(&self, args: &[&str]) -> anyhow::Result<Output> {
        println!("$ palomar {}", args.join(" "));
        self.shown(self.palomar_command(args))
    }

    /// Runs the client of the agent again and again until what it prints is as wanted, and shows it once. The last
    /// output is shown even if it never is.
    pub fn palomar_until<T>(
        &self,
        args: &[&str],
        wanted: impl Fn(&str) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        println!("$ palomar {}", args.join(" "));
        let mut last = self.palomar_command(args)?;
        let answer = self.interrupt.poll(AGENT, || {
            last = self.palomar_command(args)?;
            Ok(wanted(&last.stdout).ok())
        })?;
        self.shown(Ok(last.clone()))?;
        match answer {
            Some(answer) => Ok(answer),
            None => wanted(&last.stdout).map_err(anyhow::Error::msg),
        }
    }

    /// Waits until the agent's list of endpoints is as wanted.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&[Endpoint]) -> bool) -> anyhow::Result<()> {
        let mut last = String::new();
        let seen = self.interrupt.poll(AGENT, || {
            if !self.agent.as_ref().is_some_and(Process::is_running) {
                bail!("the agent has ended");
            }
            let output = self.palomar_command(&["endpoint", "list", "-o", "json"])?;
            // until it listens, the client cannot reach it
            if !output.status.success() {
                last = output.stderr;
                return Ok(None);
            }
            last.clone_from(&output.stdout);
            Ok(wanted(&endpoint::parse(&output.stdout)?).then_some(()))
        })?;
        seen.with_context(|| {
            format!("waited {} s for {what}; last seen: {}", AGENT.as_secs(), last.trim_end())
        })
    }

    /// Deletes a pod and makes it again from the same manifest; it gets another address.
    pub fn recreate(&mut self, name: &str) -> anyhow::Result<()> {
        let full = format!("np-demo/{name}");
        let found = self.lab.pods().find(|(_, place)| place.name() == full).map(|(spec, _)| spec.clone());
        let spec = PodSpec { addresses: Vec::new(), ..found.with_context(|| full.clone())? };
        let before = addresses(self.pod(name)?);
        self.lab.remove_pod(&full)?;
        self.lab.write_manifests(&self.paths.manifests)?;
        self.lab.add_pods(vec![spec])?;
        self.lab.write_manifests(&self.paths.manifests)?;
        println!("{full}: {before} is gone, {} is there", addresses(self.pod(name)?));
        Ok(())
    }

    /// Prints the end of the agent's log.
    pub fn show_agent_log(&self) {
        let log = fs::read_to_string(&self.paths.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        println!("\nThe agent's log, last lines:");
        lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).for_each(|line| println!("    {line}"));
    }

    /// Removes the node and the agent, or leaves them and says what can be done with them.
    pub fn finish(self, keep: bool) -> anyhow::Result<()> {
        if !keep {
            return self.remove();
        }
        println!("\nThe node and the agent are still there. Try:");
        println!("    export PALOMAR_SERVER=unix://{}", self.paths.socket.display());
        println!("    {} observe --follow", self.paths.palomar.display());
        for name in ["frontend", "other"] {
            let (client, url) = (self.pod(name)?.netns().name(), self.pod("web")?.url(PORT));
            println!("    ip netns exec {client} curl -sS -m 2 {url}");
        }
        println!("    rm {}/30-allow-frontend.yaml", self.paths.manifests.display());
        println!("    palomar-lab down {}", self.lab.name());
        Ok(self.lab.keep()?)
    }

    /// Removes the node and the agent.
    pub fn remove(self) -> anyhow::Result<()> {
        Ok(self.lab.down()?)
    }

    fn write(&self, (name, text): File) -> anyhow::Result<()> {
        Ok(palomar_lab::write_manifest(&self.paths.manifests, name, text)?)
    }

    /// On the node, like everything the node's owner types; the socket is a file, so the place does not matter to it.
    fn palomar_command(&self, args: &[&str]) -> Result<Output, palomar_lab::LabError> {
        let server = format!("unix://{}", self.paths.socket.display());
        let command = self.lab.node().command(&self.paths.palomar).args(args.iter().copied());
        command.env("PALOMAR_SERVER", server).output(COMMAND)
    }

    /// Prints what a command has printed.
    fn shown(&self, output: Result<Output, palomar_lab::LabError>) -> anyhow::Result<Output> {
        let output = output?;
        // a command that the user's Ctrl-C has ended says nothing about the story
        self.interrupt.check()?;
        print!("{}{}", output.stdout, output.stderr);
        Ok(output)
    }
}

/// A heading of the story.
pub fn say(what: &str) {
    println!("\n# {what}");
}
