//! A place that packets come from and go to: a pod, the node, or the world outside.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::command::NetnsCommand;
use crate::ledger::Ledger;
use crate::{LabError, Netns};

/// A pod, the node, or the world outside. [`crate::traffic`] adds what can be sent and served here.
#[derive(Debug, Clone)]
pub struct Place {
    name: String,
    netns: Netns,
    addresses: Vec<IpAddr>,
    host_interface: Option<String>,
    ledger: Arc<Ledger>,
}

// === impl Place ===

impl Place {
    pub(crate) fn new(
        name: String,
        netns: Netns,
        addresses: Vec<IpAddr>,
        host_interface: Option<String>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self { name, netns, addresses, host_interface, ledger }
    }

    /// `namespace/pod`, `node` or `outside`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part after the slash: the pod's own name.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// Its network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// All its addresses, never empty.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// A pod's interface on the node; `None` for the node and outside.
    pub fn host_interface(&self) -> Option<&str> {
        self.host_interface.as_deref()
    }

    /// Its first address.
    ///
    /// # Panics
    /// Never: a place has an address.
    pub fn address(&self) -> IpAddr {
        *self.addresses.first().expect("invariant: a place has an address")
    }

    /// Its first IPv4 address.
    ///
    /// # Errors
    /// When it has none.
    pub fn v4(&self) -> Result<IpAddr, LabError> {
        self.of_family("IPv4", IpAddr::is_ipv4)
    }

    /// Its first IPv6 address.
    ///
    /// # Errors
    /// When it has none.
    pub fn v6(&self) -> Result<IpAddr, LabError> {
        self.of_family("IPv6", IpAddr::is_ipv6)
    }

    /// `http://<first address>:<port>/`
    pub fn url(&self, port: u16) -> String {
        url(self.address(), port)
    }

    /// A program to be run here.
    pub fn command(&self, program: impl Into<OsString>) -> NetnsCommand {
        NetnsCommand::new(self.netns.clone(), Arc::clone(&self.ledger), program.into())
    }

    fn of_family(&self, family: &'static str, is: impl Fn(&IpAddr) -> bool) -> Result<IpAddr, LabError> {
        let found = self.addresses.iter().copied().find(is);
        found.ok_or_else(|| LabError::NoAddress { place: self.name.clone(), family })
    }
}

/// `http://<address>:<port>/`, with brackets around an IPv6 address.
pub fn url(address: IpAddr, port: u16) -> String {
    format!("http://{}/", SocketAddr::new(address, port))
}
