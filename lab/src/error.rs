//! What can go wrong while a lab is built, used or removed.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// An error of the lab itself, as opposed to an outcome of its traffic.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The lab's name cannot be part of interface and file names.
    #[error("lab name {0:?} is not 1 to 16 lower-case letters and digits that begin with a letter")]
    InvalidName(String),
    /// A pod's namespace or name is not what Kubernetes allows.
    #[error("{0:?} is no name of a namespace or pod: lower-case letters, digits, '-' and '.', at most 63")]
    InvalidPodName(String),
    /// Two pods of the same name.
    #[error("pod {0} is there already")]
    DuplicatePod(String),
    /// Two pods of one address, or an address that the lab itself uses.
    #[error("address {address} of pod {pod} is taken")]
    AddressTaken {
        /// The second pod.
        pod: String,
        /// The address.
        address: IpAddr,
    },
    /// On a bridge all pods share one subnet.
    #[error(
        "address {address} of pod {pod} is outside of the bridge's subnets 10.244.0.0/16 and fd00:10:244::/64"
    )]
    NotOnBridge {
        /// The pod.
        pod: String,
        /// The address.
        address: IpAddr,
    },
    /// All addresses of the pod network are taken.
    #[error("the pod network has no address left")]
    AddressesExhausted,
    /// No such pod.
    #[error("the lab has no pod {name:?}; it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    UnknownPod {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The place has no address of that family.
    #[error("{place} has no {family} address")]
    NoAddress {
        /// The pod, node or outside.
        place: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// Another process holds the lab.
    #[error("lab {name} is in use by process {}", owner.map_or("unknown".to_owned(), |pid| pid.to_string()))]
    InUse {
        /// The lab.
        name: String,
        /// The process that holds it, where its record tells.
        owner: Option<u32>,
    },
    /// The lab was removed or kept: nothing more can be created in it.
    #[error("lab {0} is closed")]
    Closed(String),
    /// A record that this version did not write.
    #[error("record {} of lab {name} is damaged: remove what it names by hand, then the file", path.display())]
    DamagedRecord {
        /// The lab.
        name: String,
        /// The record's file.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// `ip -batch` refused a line.
    #[error("ip {line:?} in {place}: {message}")]
    Ip {
        /// The network namespace, or `the host`.
        place: String,
        /// The line that failed.
        line: String,
        /// What `ip` said.
        message: String,
    },
    /// `nft` refused the rules of a service.
    #[error("nft for service {service}: {message}")]
    Nft {
        /// The service's address, or its node port.
        service: String,
        /// What `nft` said.
        message: String,
    },
    /// A manifest with errors.
    #[error("{}", errors.join("\n"))]
    RefusedManifest {
        /// One message for each error, with file, line and field.
        errors: Vec<String>,
    },
    /// A system call on something that has a name.
    #[error("{call} {subject}")]
    Io {
        /// What was tried, e.g. `read`.
        call: &'static str,
        /// On what.
        subject: String,
        /// The cause.
        source: io::Error,
    },
    /// A program did not end in time, and was killed.
    #[error("{program} did not end within {seconds} s")]
    CommandTimeout {
        /// The program.
        program: String,
        /// How long it was given.
        seconds: f32,
    },
    /// Some of a lab could not be removed; its record still names it.
    #[error("lab {name} was not removed completely: {}", left.join("; "))]
    Leftovers {
        /// The lab.
        name: String,
        /// One message for each thing that is left.
        left: Vec<String>,
    },
}

impl LabError {
    /// For `map_err`: what was tried, and on what.
    pub(crate) fn io(call: &'static str, subject: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let subject = subject.into();
        move |source| Self::Io { call, subject, source }
    }
}
