//! Programs inside a network namespace of the lab.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::ledger::Ledger;
use crate::process::{self, ProcessId};
use crate::{LabError, Netns};

/// Waits on its standard input until its number has been written down, then becomes the program (with the same number
/// and start time). If the lab dies first, the input ends and nothing is started.
const WAIT_THEN_EXEC: &str = r#"IFS= read -r go || exit 125; exec "$0" "$@" </dev/null"#;

/// A program to be run in a network namespace. Only the network differs from the host: files and mounts, bpffs among
/// them, are the host's.
#[derive(Debug)]
pub struct NetnsCommand {
    netns: Netns,
    ledger: Arc<Ledger>,
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log: Option<PathBuf>,
}

/// What a program has printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

/// A program that runs in the background. It is ended with the lab, or by [`Process::stop`]; dropping this alone does
/// not end it.
#[derive(Debug)]
pub struct Process {
    id: ProcessId,
    child: Child,
    ledger: Arc<Ledger>,
}

// === impl NetnsCommand ===

impl NetnsCommand {
    pub(crate) fn new(netns: Netns, ledger: Arc<Ledger>, program: OsString) -> Self {
        Self { netns, ledger, program, args: Vec::new(), env: Vec::new(), log: None }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment; the rest is inherited.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Where [`Self::spawn`] appends its standard output and error; without it they are thrown away.
    #[must_use]
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// The program's name and its arguments, for people to read.
    pub fn line(&self) -> String {
        let args = self.args.iter().map(|arg| arg.to_string_lossy().into_owned());
        std::iter::once(self.name()).chain(args).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end and returns what it has printed. It has no standard input.
    ///
    /// # Errors
    /// When it cannot be started, or does not end within `timeout`; it is killed then. An exit status that is not zero
    /// is no error.
    pub fn output(&self, timeout: Duration) -> Result<Output, LabError> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.netns.enter(|| command.spawn())?.map_err(self.io("start"))?;
        let stdout = read_in_background(child.stdout.take());
        let stderr = read_in_background(child.stderr.take());
        let Some(status) = wait_until(&mut child, Instant::now() + timeout).map_err(self.io("wait for"))?
        else {
            // killed or ended by itself in this moment; its children may hold the pipes, so their text is not awaited
            let _ = child.kill();
            let _ = child.wait();
            return Err(LabError::CommandTimeout { program: self.name(), seconds: timeout.as_secs_f32() });
        };
        let text = |reader: JoinHandle<String>| reader.join().unwrap_or_default();
        Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Starts it in the background, in a process group of its own (a Ctrl-C at the terminal does not reach it). Its
    /// number is in the lab's record before it runs.
    ///
    /// # Errors
    /// When the log cannot be opened, or no process be started. A program that is not there is not noticed here: it
    /// ends at once with status 127 and a line in the log.
    pub fn spawn(&self) -> Result<Process, LabError> {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(WAIT_THEN_EXEC)
            .arg(&self.program)
            .args(&self.args)
            .envs(self.env.iter().cloned());
        command.stdin(Stdio::piped()).stdout(self.log_stdio()?).stderr(self.log_stdio()?).process_group(0);
        let child = self.netns.enter(|| command.spawn())?.map_err(self.io("start"))?;
        let Some(id) = ProcessId::running(child.id()) else {
            let gone = std::io::Error::other("its shell was killed");
            return Err(self.io("start")(gone));
        };
        let mut process = Process { id, child, ledger: Arc::clone(&self.ledger) };
        let mut input = process.child.stdin.take();
        let go = self.ledger.add_process(id).and_then(|()| {
            input.as_mut().map_or(Ok(()), |input| input.write_all(b"go\n")).map_err(self.io("start"))
        });
        drop(input);
        match go {
            Ok(()) => Ok(process),
            Err(error) => process.stop().and(Err(error)),
        }
    }

    fn log_stdio(&self) -> Result<Stdio, LabError> {
        let Some(path) = &self.log else { return Ok(Stdio::null()) };
        let file = File::options().create(true).append(true).open(path);
        file.map(Stdio::from).map_err(LabError::io("open", path.display().to_string()))
    }

    fn name(&self) -> String {
        Path::new(&self.program).file_name().unwrap_or(&self.program).to_string_lossy().into_owned()
    }

    fn io(&self, call: &'static str) -> impl FnOnce(std::io::Error) -> LabError {
        LabError::io(call, self.program.to_string_lossy())
    }
}

// === impl Process ===

impl Process {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.id.pid
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.id.is_running()
    }

    /// Waits for its end; `None` if it still runs after `timeout`.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>, LabError> {
        wait_until(&mut self.child, Instant::now() + timeout)
            .map_err(LabError::io("wait for", format!("process {}", self.id.pid)))
    }

    /// Ends it: SIGTERM, and after three seconds SIGKILL.
    ///
    /// # Errors
    /// When it is left over even so, or the record cannot be written.
    pub fn stop(mut self) -> Result<(), LabError> {
        let left = process::end_all(&[self.id]);
        self.finish(&left)
    }

    /// Ends it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// See [`Self::stop`].
    pub fn kill(mut self) -> Result<(), LabError> {
        self.id.signal(nix::sys::signal::Signal::SIGKILL);
        let left = process::end_all(&[self.id]);
        self.finish(&left)
    }

    fn finish(&mut self, left: &[ProcessId]) -> Result<(), LabError> {
        if left.is_empty() {
            // it has ended: this only takes the zombie away
            let _ = self.child.wait();
            return self.ledger.strike_process(self.id);
        }
        let left = vec![format!("process {} still runs", self.id.pid)];
        Err(LabError::Leftovers { name: self.ledger.name().to_string(), left })
    }
}

fn read_in_background(source: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // a pipe that breaks ends the text
        let _ = source.map(|mut source| source.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait_until(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}
