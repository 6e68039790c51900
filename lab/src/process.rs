//! A process by number and start time, so that a number that was given away again is never mistaken for it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// How long a process may take to end after SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// One process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// In clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub(crate) start_ticks: u64,
}

impl ProcessId {
    /// The process that has this number now; `None` if there is none, or only its zombie.
    pub(crate) fn running(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, start_ticks: start_ticks(&stat)? })
    }

    pub(crate) fn is_running(self) -> bool {
        Self::running(self.pid) == Some(self)
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(self, signal: Signal) {
        if let (true, Ok(pid)) = (self.is_running(), i32::try_from(self.pid)) {
            // it may end in this very moment, which is as good
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// Asks all to end, then forces those that are left. Returns the ones that still run.
pub(crate) fn end_all(processes: &[ProcessId]) -> Vec<ProcessId> {
    for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
        for process in processes {
            process.signal(signal);
        }
        let deadline = Instant::now() + patience;
        while processes.iter().any(|process| process.is_running()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
    processes.iter().copied().filter(|process| process.is_running()).collect()
}

/// The start time from a line of `/proc/<pid>/stat`, unless it is a zombie's. The second field is the program's name in
/// parentheses, and may hold anything, parentheses too.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio, id};

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21";
        assert_eq!(start_ticks(&format!("12 (cat){rest}")), Some(777));
        assert_eq!(start_ticks(&format!("12 (a) Z 1 (){rest}")), Some(777));
        assert_eq!(start_ticks(&format!("12 (cat){}", rest.replace(" S ", " Z "))), None);
        assert_eq!(start_ticks("12 (cat) S 1"), None);
    }

    #[test]
    fn we_run_and_a_later_owner_of_our_number_is_not_us() {
        let us = ProcessId::running(id()).unwrap();
        assert!(us.is_running());
        assert!(!ProcessId { start_ticks: us.start_ticks + 1, ..us }.is_running());
    }

    #[test]
    fn ends_what_does_not_listen() {
        let mut stubborn = Command::new("sh")
            .args(["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 5];
        std::io::Read::read_exact(stubborn.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let process = ProcessId::running(stubborn.id()).unwrap();
        assert_eq!(end_all(&[process]), []);
        assert!(!process.is_running());
        stubborn.wait().unwrap();
    }
}
