//! Service addresses, rewritten on the node as kube-proxy does it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::sysctl::{self, Setting};
use crate::{Lab, LabError, Topology};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers between two pods on a bridge do not pass the node's IP layer, where they have to be rewritten back, unless the
/// kernel sends bridged packets through it: what every cluster with a bridge and kube-proxy switches on.
const BRIDGED_PACKETS_PASS: &[Setting] =
    &[("bridge/bridge-nf-call-iptables", "1"), ("bridge/bridge-nf-call-ip6tables", "1")];

// === impl Lab ===

impl Lab {
    /// Sends TCP and UDP connections to `service`, from pods and from the node, to the backends in turn, by rewriting the
    /// destination when they pass the node; their source stays. It stays until the lab is removed. On a bridge, a kernel
    /// without bridge netfilter does not bring the answers back to pods.
    ///
    /// # Errors
    /// When there is no backend, one is of another address family than the service, or `nft` fails.
    pub fn add_service(&self, service: SocketAddr, backends: &[SocketAddr]) -> Result<(), LabError> {
        if self.topology() == Topology::Bridge {
            sysctl::apply(self.node().netns(), BRIDGED_PACKETS_PASS)?;
        }
        let family = if service.is_ipv4() { "ip" } else { "ip6" };
        let elements: Vec<_> = backends
            .iter()
            .enumerate()
            .map(|(index, b)| format!("{index} : {} . {}", b.ip(), b.port()))
            .collect();
        let (address, port, count, elements) =
            (service.ip(), service.port(), backends.len(), elements.join(", "));
        let rule = format!(
            "{family} daddr {address} meta l4proto {{ tcp, udp }} th dport {port} \
             dnat to numgen inc mod {count} map {{ {elements} }}"
        );
        let script = format!(
            "table {family} lab_services {{
                chain prerouting {{ type nat hook prerouting priority dstnat; }}
                chain output {{ type nat hook output priority -100; }}
            }}
            add rule {family} lab_services prerouting {rule}
            add rule {family} lab_services output {rule}"
        );
        let output = self.node().command("nft").arg(&script).output(TIMEOUT)?;
        if output.status.success() {
            return Ok(());
        }
        Err(LabError::Nft { service, message: output.stderr.trim_end().to_owned() })
    }
}
