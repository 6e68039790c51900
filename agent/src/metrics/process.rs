//! What this process is and what it uses, under the usual names.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use palomar_transport::version::HUBBLE_VERSION;

use super::exposition::{Exposition, Labels};
use crate::clock::wall_now_ns;

/// What does not change while the process runs.
#[derive(Debug)]
pub struct Process {
    /// Seconds since the Unix epoch; `None` where the kernel does not tell.
    started_at: Option<f64>,
}

// === impl Process ===

impl Process {
    /// This process.
    pub fn this() -> Self {
        Self { started_at: started_at() }
    }

    /// Writes what it is and uses. What the kernel does not tell is left out.
    pub fn expose(&self, out: &mut Exposition) {
        let labels = Labels::default()
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("hubble_version", HUBBLE_VERSION);
        out.info("palomar_build", "The version of the agent, and of Hubble's API that it serves.", &labels);
        if let Some(seconds) = cpu_time() {
            out.counter("process_cpu_seconds", "User and system time of the process.")
                .sample(&Labels::NONE, seconds.as_secs_f64());
        }
        if let Some(started_at) = self.started_at {
            out.gauge("process_start_time_seconds", "When the process started, since the Unix epoch.")
                .sample(&Labels::NONE, started_at);
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = status_bytes(&status, "VmRSS:") {
            out.gauge("process_resident_memory_bytes", "Resident memory of the process.")
                .sample(&Labels::NONE, bytes);
        }
        if let Some(bytes) = status_bytes(&status, "VmSize:") {
            out.gauge("process_virtual_memory_bytes", "Virtual memory of the process.")
                .sample(&Labels::NONE, bytes);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            out.gauge("process_open_fds", "Open file descriptors of the process.")
                .sample(&Labels::NONE, open.count());
        }
    }
}

fn cpu_time() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok().map(Duration::from)
}

/// A size of `/proc/self/status`, which the kernel tells in kB of 1,024 bytes (`fs/proc/task_mmu.c`).
fn status_bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

/// The kernel tells when a process started in clock ticks since the boot (`man 5 proc_pid_stat`).
fn started_at() -> Option<f64> {
    let ticks: u32 = start_ticks(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let ticks_a_second = u32::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let since_boot = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
    let now = Duration::from_nanos(u64::try_from(wall_now_ns()).ok()?);
    Some((now.checked_sub(since_boot)?).as_secs_f64() + f64::from(ticks) / f64::from(ticks_a_second))
}

/// Field 22 of `/proc/self/stat`. Field 2, the name, stands in brackets and may hold anything.
fn start_ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::Format;

    #[test]
    fn the_start_is_read_behind_a_name_that_looks_like_fields() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(start_ticks(stat), Some(4_711));
        assert_eq!(start_ticks("42 (a"), None);
    }

    #[test]
    fn sizes_are_told_in_bytes() {
        assert_eq!(status_bytes("VmPeak:\t  9 kB\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12_288));
        assert_eq!(status_bytes("VmRSS:\t 12 MB\n", "VmRSS:"), None);
    }

    #[test]
    fn this_process_is_told_and_started_not_long_ago() {
        let process = Process::this();
        let mut out = Exposition::new(Format::Prometheus);
        process.expose(&mut out);
        let text = out.finish();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        let now = Duration::from_nanos(u64::try_from(wall_now_ns()).unwrap()).as_secs_f64();
        let age = now - value("process_start_time_seconds ");
        assert!((-1.0..3_600.0).contains(&age), "{age} s");
        assert!(value("process_resident_memory_bytes ") > 100_000.0);
        assert!(value("process_cpu_seconds_total ") >= 0.0);
        assert!(value("process_open_fds ") >= 3.0);
    }
}
