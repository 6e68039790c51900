//! What a process takes of the machine.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// All of it.
    pub all: u64,
    /// What is the process's own: heap and stacks.
    pub anonymous: u64,
    /// The most that it ever was.
    pub peak: u64,
}

/// The CPU time of all threads of a process, those that have ended included.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let number = i32::try_from(pid).context("a process number fits 31 bits")?;
    let clock = clock_getcpuclockid(Pid::from_raw(number)).context("find a process's clock")?;
    Ok(clock_gettime(clock).with_context(|| format!("read the clock of process {pid}"))?.into())
}

/// The resident memory of a process.
pub fn resident(pid: u32) -> anyhow::Result<Resident> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    parse(&text).with_context(|| format!("{path} lacks a line"))
}

fn parse(text: &str) -> Option<Resident> {
    let bytes = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Resident { all: bytes("VmRSS")?, anonymous: bytes("RssAnon")?, peak: bytes("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_status_file_are_read() {
        let text = "Name:\tx\nVmHWM:\t    30 kB\nVmRSS:\t    20 kB\nRssAnon:\t    10 kB\n";
        assert_eq!(parse(text), Some(Resident { all: 20 << 10, anonymous: 10 << 10, peak: 30 << 10 }));
        assert_eq!(parse("VmRSS: 20 kB\n"), None);
    }

    #[test]
    fn this_process_has_both() {
        assert!(cpu_time(std::process::id()).unwrap() > Duration::ZERO);
        let resident = resident(std::process::id()).unwrap();
        assert!(0 < resident.anonymous && resident.anonymous < resident.all && resident.all <= resident.peak);
    }
}
