//! Which of the needed capabilities this process has.

use std::fmt;
use std::fs;

/// What loading, attaching and reading need. `CAP_SYS_ADMIN` stands for the two that came out of it.
const NEEDED: [(Capability, u32); 3] =
    [(Capability::Bpf, 39), (Capability::NetAdmin, 12), (Capability::Perfmon, 38)];
const SYS_ADMIN: u32 = 21;

/// A Linux capability that the datapath needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// To create maps and load programs.
    Bpf,
    /// To load classifiers and to attach them.
    NetAdmin,
    /// For the verifier to allow the pointers into packets that the programs use.
    Perfmon,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
        })
    }
}

/// Capabilities that the process lacks; empty where it has all, or where /proc cannot be read to tell.
pub fn missing() -> Vec<Capability> {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| missing_in(&status)).unwrap_or_default()
}

/// The same over the text of `/proc/<pid>/status`; `None` where it has no effective set.
fn missing_in(status: &str) -> Option<Vec<Capability>> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let set = u64::from_str_radix(set.trim(), 16).ok()?;
    let has = |bit: u32| set >> bit & 1 == 1;
    let lacks = |(capability, bit): &(Capability, u32)| {
        !has(*bit) && (*capability == Capability::NetAdmin || !has(SYS_ADMIN))
    };
    Some(NEEDED.iter().filter(|needed| lacks(needed)).map(|(capability, _)| *capability).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told() {
        let cases = [
            ("all", u64::MAX, vec![]),
            ("none", 0, vec![Capability::Bpf, Capability::NetAdmin, Capability::Perfmon]),
            ("the three", 1 << 39 | 1 << 12 | 1 << 38, vec![]),
            ("SYS_ADMIN stands for BPF and PERFMON", 1 << 21, vec![Capability::NetAdmin]),
            ("all but PERFMON", 1 << 39 | 1 << 12, vec![Capability::Perfmon]),
        ];
        for (name, set, expected) in cases {
            let status = format!("Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t{set:016x}\n");
            assert_eq!(missing_in(&status), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_status_without_an_effective_set_tells_nothing() {
        assert_eq!(missing_in("Name:\tx\n"), None);
    }
}
