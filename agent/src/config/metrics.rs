//! Flags about metrics.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clap::Args;

/// What is counted, and where it is told.
#[derive(Debug, Clone, Args)]
pub struct MetricsArgs {
    /// Metrics of flows to count, in Hubble's syntax, e.g. `drop
    /// flow:sourceContext=pod|ip;labelsContext=source_namespace,destination_namespace`; several separated by spaces;
    /// may be repeated (default where metrics are served: drop flow flows-to-world icmp policy port-distribution tcp,
    /// without contexts)
    #[arg(long, value_name = "LIST")]
    pub metrics: Option<Vec<String>>,

    /// Where to serve metrics over HTTP at /metrics, in clear text; without an address on every one (default: off, or
    /// :9965 if --metrics names metrics)
    #[arg(long, value_name = "[ADDRESS]:PORT")]
    pub metrics_listen: Option<ListenAddress>,

    /// How many series each metric of flows may have; what is beyond is counted under the label value __other__
    #[arg(long, value_name = "SERIES", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub metrics_max_series: u32,
}

/// A TCP address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress {
    /// `None` for every address of the node.
    pub host: Option<IpAddr>,
    /// The port; zero lets the system choose.
    pub port: u16,
}

/// A text that is no [`ListenAddress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address with a port: write 127.0.0.1:PORT, [::1]:PORT, or :PORT for every address")]
pub struct InvalidListenAddress;

// === impl ListenAddress ===

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().map_err(|_| InvalidListenAddress)?;
            return Ok(Self { host: None, port });
        }
        let address: SocketAddr = text.parse().map_err(|_| InvalidListenAddress)?;
        Ok(Self { host: Some(address.ip()), port: address.port() })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => SocketAddr::new(host, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_left_out_but_not_the_port() {
        for (text, expected) in [
            (":9965", Some(":9965")),
            ("127.0.0.1:9965", Some("127.0.0.1:9965")),
            ("[::1]:9965", Some("[::1]:9965")),
            ("[::]:0", Some("[::]:0")),
            ("", None),
            (":", None),
            (":65536", None),
            ("9965", None),
            ("127.0.0.1", None),
            ("::1:9965", None),
            ("localhost:9965", None),
        ] {
            let address: Result<ListenAddress, _> = text.parse();
            assert_eq!(address.map(|address| address.to_string()).ok().as_deref(), expected, "{text}");
        }
    }
}
