//! Settings of a network namespace.

use std::fs;
use std::path::Path;

use crate::{LabError, Netns};

/// A setting below `net`, with slashes, and its value.
pub(crate) type Setting = (&'static str, &'static str);

/// What every namespace of a lab gets before it has interfaces: addresses are usable at once (no duplicate address
/// detection), nobody configures by router advertisements, and asymmetric paths are let through.
pub(crate) const EVERYWHERE: &[Setting] = &[
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
];

/// What makes a node forward, and keeps the host's bridge netfilter settings out of it.
pub(crate) const NODE: &[Setting] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
];

/// Writes the settings. Those of `bridge` are left out where the kernel has no bridge netfilter, which is what they are
/// to switch off.
pub(crate) fn apply(
    netns: &Netns,
    settings: &[(impl AsRef<str> + Sync, &'static str)],
) -> Result<(), LabError> {
    netns.enter(|| {
        // /proc/sys/net shows the namespace of the thread that opens it
        settings.iter().try_for_each(|(key, value)| {
            let path = Path::new("/proc/sys/net").join(key.as_ref());
            if key.as_ref().starts_with("bridge/") && !path.exists() {
                return Ok(());
            }
            fs::write(&path, value)
                .map_err(LabError::io("write", format!("{} in {}", path.display(), netns.name())))
        })
    })?
}
