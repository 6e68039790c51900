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

/// What a backend sees of who connects by way of a node port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodePortSource {
    /// The client's own address, as kube-proxy leaves it for pods where `externalTrafficPolicy` is `Local`.
    Kept,
    /// An address of the node, as where it is `Cluster`, the default.
    Masked,
}

// === impl Lab ===

impl Lab {
    /// Sends TCP and UDP connections to `service`, from pods and from the node, to the backends in turn, by rewriting the
    /// destination when they pass the node; their source stays. It stays until the lab is removed. On a bridge, a kernel
    /// without bridge netfilter does not bring the answers back to pods.
    ///
    /// # Errors
    /// When there is no backend, one is of another address family than the service, or `nft` fails.
    pub fn add_service(&self, service: SocketAddr, backends: &[SocketAddr]) -> Result<(), LabError> {
        let family = family(service.is_ipv4());
        let to = format!("{family} daddr {}", service.ip());
        self.rewrite(service.to_string(), family, (&to, service.port()), backends, "")
    }

    /// The same for TCP and UDP connections to a port of the node, at each of its addresses of the backends' family.
    ///
    /// # Errors
    /// When there is no backend, they are not of one family, or `nft` fails.
    pub fn add_node_port(
        &self,
        port: u16,
        backends: &[SocketAddr],
        source: NodePortSource,
    ) -> Result<(), LabError> {
        let family = family(backends.iter().all(SocketAddr::is_ipv4));
        let mark = if source == NodePortSource::Masked { "meta mark set 0x4000" } else { "" };
        self.rewrite(format!("node port {port}"), family, ("fib daddr type local", port), backends, mark)
    }

    /// Makes the backends of every service, added before and after, see an address of the node, as kube-proxy's
    /// `--masquerade-all` does.
    ///
    /// # Errors
    /// When `nft` fails.
    pub fn masquerade_services(&self) -> Result<(), LabError> {
        for family in ["ip", "ip6"] {
            let script = format!(
                "table {family} lab_masks {{
                    chain postrouting {{ type nat hook postrouting priority srcnat; ct status dnat masquerade; }}
                }}"
            );
            self.nft(&script, "every service".to_owned())?;
        }
        Ok(())
    }

    fn rewrite(
        &self,
        service: String,
        family: &str,
        (to, port): (&str, u16),
        backends: &[SocketAddr],
        mark: &str,
    ) -> Result<(), LabError> {
        if self.topology() == Topology::Bridge {
            sysctl::apply(self.node().netns(), BRIDGED_PACKETS_PASS)?;
        }
        let elements: Vec<_> = backends
            .iter()
            .enumerate()
            .map(|(index, b)| format!("{index} : {} . {}", b.ip(), b.port()))
            .collect();
        let (count, elements) = (backends.len(), elements.join(", "));
        let rule = format!(
            "{to} meta l4proto {{ tcp, udp }} th dport {port} {mark} \
             dnat to numgen inc mod {count} map {{ {elements} }}"
        );
        let script = format!(
            "table {family} lab_services {{
                chain prerouting {{ type nat hook prerouting priority dstnat; }}
                chain output {{ type nat hook output priority -100; }}
                chain postrouting {{ type nat hook postrouting priority srcnat; }}
            }}
            flush chain {family} lab_services postrouting
            table {family} lab_services {{
                chain postrouting {{ meta mark 0x4000 masquerade; }}
            }}
            add rule {family} lab_services prerouting {rule}
            add rule {family} lab_services output {rule}"
        );
        self.nft(&script, service)
    }

    fn nft(&self, script: &str, service: String) -> Result<(), LabError> {
        let output = self.node().command("nft").arg(script).output(TIMEOUT)?;
        if output.status.success() {
            return Ok(());
        }
        Err(LabError::Nft { service, message: output.stderr.trim_end().to_owned() })
    }
}

const fn family(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "ip" } else { "ip6" }
}
