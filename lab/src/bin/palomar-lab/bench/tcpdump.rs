//! The tool that people would take otherwise.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use palomar_lab::Process;

use super::site::Site;

/// Its program.
pub const PROGRAM: &str = "tcpdump";
const START: Duration = Duration::from_secs(10);

/// A tcpdump that writes whole or cut packets of the server's interface to nowhere.
#[derive(Debug)]
pub struct Tcpdump {
    process: Process,
    log: PathBuf,
}

// === impl Tcpdump ===

impl Tcpdump {
    /// Starts it on the node's end of the server's veth; `args` come first.
    pub fn start(site: &Site<'_>, args: &[&str]) -> anyhow::Result<Self> {
        let interface = site.pod("server")?.host_interface().context("a pod has an interface")?;
        let log = site.files.join("tcpdump.log");
        if log.exists() {
            fs::remove_file(&log)?;
        }
        let command = site.lab.node().command(PROGRAM).args(args.iter().copied());
        let process = command.args(["-n", "-i", interface, "-w", "/dev/null"]).log(&log).spawn()?;
        let listens =
            || Ok(fs::read_to_string(&log).unwrap_or_default().contains("listening on").then_some(()));
        let ready = site.interrupt.poll(START, listens)?;
        let text = || fs::read_to_string(&log).unwrap_or_default();
        ready.with_context(|| format!("tcpdump does not listen: {}", text().trim_end()))?;
        Ok(Self { process, log })
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it; how many packets it has missed.
    pub fn stop(self) -> anyhow::Result<u64> {
        self.process.stop()?;
        let text = fs::read_to_string(&self.log)?;
        missed(&text).with_context(|| format!("tcpdump does not say what it missed: {}", text.trim_end()))
    }
}

fn missed(text: &str) -> Option<u64> {
    let count = |line: &str| {
        let (count, what) = line.trim().split_once(' ')?;
        what.starts_with("packet").then_some(())?;
        what.ends_with("dropped by kernel").then(|| count.parse().ok())?
    };
    text.lines().find_map(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_read() {
        let text = "tcpdump: listening on x\n12 packets captured\n15 packets received by filter\n3 packets dropped by kernel\n";
        assert_eq!(missed(text), Some(3));
        assert_eq!(missed("1 packet dropped by kernel\n"), Some(1));
        assert_eq!(missed("12 packets captured\n"), None);
    }
}
