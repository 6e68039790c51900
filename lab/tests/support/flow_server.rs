//! `palomar-lab flows` with a client.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::binaries::binary;

/// A load server that answers. Dropping it kills it.
#[derive(Debug)]
pub struct FlowServer {
    process: Child,
    stdout: BufReader<ChildStdout>,
    /// What it said before it answered.
    pub said: String,
    /// Where it serves, as clients take it.
    pub place: String,
    _directory: tempfile::TempDir,
}

// === impl FlowServer ===

impl FlowServer {
    /// One on a socket of its own.
    pub fn start(args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("flows.sock");
        Self::start_on(&format!("unix://{}", socket.display()), args, directory)
    }

    /// One on a free port of this host.
    pub fn start_tcp(args: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", args, tempfile::tempdir().unwrap())
    }

    fn start_on(listen: &str, args: &[&str], directory: tempfile::TempDir) -> Self {
        let mut process = Self::command(&[&["--listen", listen], args].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("Ctrl-C ends it") {
            assert!(stdout.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        let (_, place) = said.split_once(" on ").unwrap();
        let place = place.split(';').next().unwrap().to_owned();
        Self { process, stdout, said, place, _directory: directory }
    }

    /// The command with these arguments.
    pub fn command(args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_palomar-lab"));
        command.arg("flows").args(args);
        command
    }

    /// The command line against it.
    pub fn palomar(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("palomar"));
        command.args(args).env("PALOMAR_SERVER", &self.place);
        command
    }

    /// What `palomar` prints; panics where it fails.
    pub fn ask(&self, args: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.palomar(args).output().unwrap();
        assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// The flows that `palomar observe` prints with these arguments.
    pub fn flows(&self, args: &[&str]) -> Vec<Value> {
        let text = self.ask(&[&["observe", "-o", "json"], args].concat());
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["flow"].take()).collect()
    }

    /// The socket's file, where it serves on one.
    pub fn socket(&self) -> Option<PathBuf> {
        self.place.strip_prefix("unix://").map(PathBuf::from)
    }

    /// Ends it as Ctrl-C does, and returns what it said at the end.
    pub fn interrupt(mut self) -> String {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        assert!(self.process.wait().unwrap().success());
        let mut last = String::new();
        self.stdout.read_line(&mut last).unwrap();
        last
    }
}

impl Drop for FlowServer {
    fn drop(&mut self) {
        // an error means that it has ended already
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
