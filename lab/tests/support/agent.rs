//! An agent on the node of a lab.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use palomar_lab::{Lab, NetnsCommand, Output, Place, Process, write_manifest};
use serde_json::Value;

use super::binaries::binary;
use super::{NAMESPACE, PATIENCE, wait_or};

/// How an agent is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// `off`, `audit` or `enforce`.
    pub mode: &'static str,
    /// `auto`, `tcx` or `clsact`.
    pub attach: &'static str,
    /// Further arguments. Drops by others in the kernel are told only if `--foreign-drops on` is among them: most tests
    /// are about what our own programs tell.
    pub args: Vec<String>,
}

/// An agent on a lab's node, watching a directory of manifests. What it was given is below the lab's directories, so
/// it goes with the lab.
#[derive(Debug)]
pub struct Agent {
    /// The lab's node.
    pub node: Place,
    /// The lab's name for the node.
    pub node_name: String,
    /// The directory that it watches.
    pub manifests: PathBuf,
    /// Its state directory.
    pub state: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// Where its log lines go.
    pub log_file: PathBuf,
    /// The directory on bpffs that it was given.
    pub bpf: PathBuf,
    /// How it is started the next time.
    pub options: Options,
    process: Option<Process>,
    starts: AtomicU32,
}

// === impl Options ===

impl Options {
    /// This mode, and everything else as without flags.
    pub fn mode(mode: &'static str) -> Self {
        Self { mode, attach: "auto", args: Vec::new() }
    }

    /// This hook.
    #[must_use]
    pub fn attach(mut self, attach: &'static str) -> Self {
        self.attach = attach;
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }
}

// === impl Agent ===

impl Agent {
    /// Makes directories and manifests for an agent: the namespace np-demo, the node and the lab's pods.
    pub fn prepare(lab: &Lab, options: Options) -> Self {
        let dir = lab.files_dir().unwrap();
        let agent = Self {
            node: lab.node().clone(),
            node_name: lab.node_name(),
            manifests: dir.join("manifests"),
            state: dir.join("state"),
            socket: dir.join("palomar.sock"),
            log_file: PathBuf::new(),
            bpf: lab.bpf_dir().unwrap(),
            options,
            process: None,
            starts: AtomicU32::new(0),
        };
        fs::create_dir_all(&agent.manifests).unwrap();
        agent.apply(NAMESPACE);
        lab.write_manifests(&agent.manifests).unwrap();
        agent
    }

    /// An agent that serves.
    pub fn start(lab: &Lab, options: Options) -> Self {
        let mut agent = Self::prepare(lab, options);
        agent.start_again();
        agent
    }

    /// Starts it, with a log of its own, and waits until it serves.
    pub fn start_again(&mut self) {
        self.spawn();
        self.wait_until_serving();
    }

    /// Starts it, and waits for nothing.
    pub fn spawn(&mut self) {
        self.spawn_as(self.command());
    }

    /// Starts it by another command, which must run it in the foreground.
    pub fn spawn_as(&mut self, command: NetnsCommand) {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        self.log_file = self.state.with_file_name(format!("agent-{number}.log"));
        self.process = Some(command.log(&self.log_file).spawn().unwrap());
    }

    /// The command that runs it in the foreground.
    pub fn command(&self) -> NetnsCommand {
        self.node.command(binary("palomar-agent")).args(self.arguments())
    }

    /// The command that has another program, such as `setpriv`, run it in the foreground.
    pub fn command_under(&self, program: &str, args: &[&str]) -> NetnsCommand {
        let command = self.node.command(program).args(args.iter().copied());
        command.arg(binary("palomar-agent")).args(self.arguments())
    }

    fn arguments(&self) -> Vec<OsString> {
        let Options { mode, attach, args } = &self.options;
        let text = ["--policy-mode", mode, "--attach", attach, "--node-name", &self.node_name];
        let paths = [
            ("--manifests", &self.manifests),
            ("--state-dir", &self.state),
            ("--socket", &self.socket),
            ("--bpf-dir", &self.bpf),
        ];
        let paths = paths.into_iter().flat_map(|(flag, path)| [flag.into(), path.clone().into_os_string()]);
        let foreign_drops = "--foreign-drops";
        let is_asked_for = args.iter().any(|arg| arg == foreign_drops);
        let quiet = if is_asked_for { &[][..] } else { &[foreign_drops, "off"] };
        let text = text.iter().chain(quiet);
        text.map(OsString::from).chain(paths).chain(args.iter().map(OsString::from)).collect()
    }

    /// Waits until the log says so; panics with the log if the agent ends.
    pub fn wait_until_serving(&self) {
        self.wait_for_log("serving");
    }

    /// Waits for a line of the present log with this text.
    pub fn wait_for_log(&self, text: &str) {
        let seen = || {
            assert!(self.is_running(), "the agent has ended:\n{}", self.log());
            self.log().contains(text).then_some(())
        };
        wait_or(seen, || format!("no {text:?} in the log:\n{}", self.log()));
    }

    /// The log of the last start, without the codes that colour it.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.log_file).unwrap_or_default();
        let mut plain = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        plain + rest
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the agent was not started").pid()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_running)
    }

    /// Ends it as a crash would.
    pub fn kill9(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait_for_end();
    }

    /// Ends it as systemd would, and gives its exit status.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_for_end()
    }

    /// SIGTERM, then a new one that serves.
    pub fn restart(&mut self) {
        assert!(self.terminate().success(), "{}", self.log());
        self.start_again();
    }

    /// Waits until it has ended by itself or by a signal.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the agent was not started");
        let status = process.wait(PATIENCE).unwrap();
        status.unwrap_or_else(|| panic!("the agent does not end:\n{}", self.log()))
    }

    fn signal(&self, signal: Signal) {
        // a child that was not waited for keeps its number
        let pid = i32::try_from(self.pid()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Puts a manifest into the directory that it watches.
    pub fn apply(&self, (file, text): (&str, &str)) {
        write_manifest(&self.manifests, file, text).unwrap();
    }

    /// Puts manifests into the directory that it watches.
    pub fn apply_all(&self, manifests: &[(&str, &str)]) {
        for manifest in manifests {
            self.apply(*manifest);
        }
    }

    /// Takes a manifest away.
    pub fn delete(&self, (file, _): (&str, &str)) {
        fs::remove_file(self.manifests.join(file)).unwrap();
    }

    /// `palomar-agent check`, `audit` or `clean`, on the node.
    pub fn tool(&self, command: &str) -> Output {
        let tool = self.node.command(binary("palomar-agent")).arg(command);
        tool.arg("--bpf-dir").arg(&self.bpf).output(PATIENCE).unwrap()
    }

    /// Runs `palomar` against it, whatever comes of that.
    pub fn palomar_output(&self, args: &[&str]) -> Output {
        let server = format!("unix://{}", self.socket.display());
        let command = self.node.command(binary("palomar")).args(args.iter().copied());
        command.env("PALOMAR_SERVER", server).output(PATIENCE).unwrap()
    }

    /// What `palomar` prints, when it succeeds.
    pub fn palomar(&self, args: &[&str]) -> String {
        let output = self.palomar_output(args);
        assert!(output.status.success(), "palomar {args:?}: {}\n{}", output.stderr, self.log());
        output.stdout
    }

    /// The flows of `palomar observe --all` with these filters, oldest first.
    pub fn flows(&self, filters: &[&str]) -> Vec<Value> {
        let args = [&["observe", "--all", "-o", "json"], filters].concat();
        let text = self.palomar(&args);
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line.get("flow").cloned()).collect()
    }

    /// Waits until `wanted` finds what it looks for among the flows with these filters.
    pub fn wait_for_flows<T>(
        &self,
        what: &str,
        filters: &[&str],
        wanted: impl Fn(&[Value]) -> Option<T>,
    ) -> T {
        let mut last = Vec::new();
        let found = std::cell::RefCell::new(&mut last);
        wait_or(
            || {
                let flows = self.flows(filters);
                let answer = wanted(&flows);
                **found.borrow_mut() = flows;
                answer
            },
            || {
                let lines: Vec<String> = found.borrow().iter().map(ToString::to_string).collect();
                format!("no flows for: {what}; there are\n{}\n{}", lines.join("\n"), self.log())
            },
        )
    }

    /// The answer of `palomar endpoint list`.
    pub fn endpoint_list(&self) -> Value {
        serde_json::from_str(&self.palomar(&["endpoint", "list", "-o", "json"])).unwrap()
    }

    /// An endpoint by `namespace/name` of its pod.
    pub fn endpoint(&self, pod: &str) -> Option<Value> {
        let is = |endpoint: &&Value| {
            let text = |key: &str| endpoint[key].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", text("namespace"), text("pod_name")) == pod
        };
        self.endpoint_list()["endpoints"].as_array()?.iter().find(is).cloned()
    }

    /// Waits until a pod's endpoint is attached in both directions and as `wanted`.
    pub fn wait_for_endpoint(&self, pod: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let attached = |endpoint: &Value, direction: &str| endpoint[direction]["attach_error"] == "";
        let seen = || {
            self.endpoint(pod)
                .filter(|e| attached(e, "ingress") && attached(e, "egress"))
                .filter(|endpoint| wanted(endpoint))
        };
        wait_or(seen, || format!("{pod} is not {what}: {}\n{}", self.endpoint_list(), self.log()))
    }

    /// Applies policies that isolate web for packets to it, and waits until the kernel holds exactly these.
    pub fn isolate_web(&self, policies: &[(&str, &str)]) {
        self.apply_all(policies);
        self.wait_for_endpoint("np-demo/web", "isolated", |web| {
            web["ingress_policies"].as_array().is_some_and(|names| names.len() == policies.len())
        });
    }

    /// The files that are pinned, relative to the directory on bpffs; folders without files are left out.
    pub fn pins(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(&self.bpf, &mut files);
        files.sort();
        files.iter().map(|file| file.strip_prefix(&self.bpf).unwrap().to_owned()).collect()
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}
