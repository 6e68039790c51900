//! Names: of labs, of their network namespaces, of their interfaces.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use palomar_model::object::ObjectName;

use crate::LabError;
use crate::fnv::fnv1a;

/// The longest network namespace name before it is shortened: what still fits on a line of `ip netns list`.
const NETNS_LIMIT: usize = 60;

/// The name of a lab: 1 to 16 lower-case letters and digits, a letter first. It has no dash, so that the names built
/// from it are never those of another lab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabName(String);

// === impl LabName ===

impl LabName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The network namespace of the node.
    pub fn node_netns(&self) -> String {
        format!("{}node", self.prefix())
    }

    /// The network namespace of the world outside.
    pub fn outside_netns(&self) -> String {
        format!("{}world", self.prefix())
    }

    /// The network namespace of a pod: `plm-<lab>-<namespace>-<pod>`, with a hash at the end where that is too long or
    /// taken (`a-b/c` and `a/b-c`).
    pub(crate) fn pod_netns(&self, pod: &ObjectName, taken: &BTreeSet<String>) -> String {
        let plain = format!("{}{}-{}", self.prefix(), pod.namespace, pod.name);
        if plain.len() <= NETNS_LIMIT && !taken.contains(&plain) {
            return plain;
        }
        let kept = plain.get(..NETNS_LIMIT - 13).unwrap_or(&plain);
        format!("{kept}-{:012x}", hash(pod) >> 16)
    }

    /// What every network namespace of this lab begins with, and none of another's.
    pub(crate) fn prefix(&self) -> String {
        format!("plm-{}-", self.0)
    }
}

impl FromStr for LabName {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        let letter_first = text.starts_with(|c: char| c.is_ascii_lowercase());
        let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if letter_first && plain && text.len() <= 16 {
            Ok(Self(text.to_owned()))
        } else {
            Err(LabError::InvalidName(text.to_owned()))
        }
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host end of a pod's veth: the prefix and 40 bits of the pod's name, at most 15 characters.
pub(crate) fn host_interface(prefix: &str, pod: &ObjectName) -> String {
    format!("{prefix}{:010x}", hash(pod) >> 24)
}

/// Refuses what Kubernetes would refuse, so that a name can stand in an `ip` command and in a path.
pub(crate) fn check_pod_name(pod: &ObjectName) -> Result<(), LabError> {
    for part in [&pod.namespace, &pod.name] {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if part.len() > 63 || !part.starts_with(edge) || !part.ends_with(edge) || !part.chars().all(plain) {
            return Err(LabError::InvalidPodName(part.clone()));
        }
    }
    Ok(())
}

fn hash(pod: &ObjectName) -> u64 {
    fnv1a(pod.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lab_names() {
        for good in ["a", "demo", "lab42", "abcdefghijklmnop"] {
            assert!(good.parse::<LabName>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "a-b", "A", "../x", "a b", "abcdefghijklmnopq", "é"] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn netns_names_stay_apart() {
        let lab: LabName = "t".parse().unwrap();
        let mut taken = BTreeSet::new();
        let long = "x".repeat(63);
        for (ns, pod) in [("a-b", "c"), ("a", "b-c"), ("a", &long), ("a", &format!("{}y", &long[..62]))] {
            let name = lab.pod_netns(&ObjectName::new(ns, pod), &taken);
            assert!(name.starts_with("plm-t-a") && name.len() <= NETNS_LIMIT, "{name}");
            assert!(taken.insert(name.clone()), "{name} twice");
        }
        assert!(taken.contains("plm-t-a-b-c"));
    }

    #[test]
    fn host_interfaces_fit_the_kernel_and_stay_the_same() {
        let name = host_interface("veth", &ObjectName::new("np-demo", "web"));
        assert_eq!(name, host_interface("veth", &ObjectName::new("np-demo", "web")));
        assert_ne!(name, host_interface("veth", &ObjectName::new("np-demo", "webs")));
        assert!(name.len() <= 15, "{name}");
    }

    #[test]
    fn pod_names_that_could_break_out_are_refused() {
        for bad in ["", "a b", "../a", "a/b", "a\nlink del eth0", "-a", "a-", "A", "#"] {
            assert!(check_pod_name(&ObjectName::new("ns", bad)).is_err(), "{bad:?}");
        }
        assert!(check_pod_name(&ObjectName::new("kube-system", "web-0.a")).is_ok());
    }
}
