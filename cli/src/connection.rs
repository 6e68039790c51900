//! The server that a command speaks to.

use std::future::Future;
use std::io::Write;

use anyhow::Result;
use palomar_transport::version::{HUBBLE_VERSION, RELAY_VERSION_HEADER, SERVER_VERSION_HEADER};
use palomar_transport::{Target, Timeouts, connect, default_target, unary};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::arguments::Given;
use crate::log;

/// Where the server is, and how long to wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Where it is.
    pub target: Target,
    timeouts: Timeouts,
}

impl Connection {
    /// From the flags; without `--server` the local agent's socket if it is there, else `localhost:4245`.
    pub fn from_flags(given: &Given) -> Result<Self> {
        let standard = Timeouts::default();
        Ok(Self {
            target: given.text("server").map(str::parse).transpose()?.unwrap_or_else(default_target),
            timeouts: Timeouts {
                dial: given.duration("timeout")?.unwrap_or(standard.dial),
                unary: given.duration("request-timeout")?.unwrap_or(standard.unary),
            },
        })
    }

    /// Connects.
    pub async fn connect(&self) -> Result<Channel> {
        Ok(connect(&self.target, self.timeouts).await?)
    }

    /// Makes a call that has one answer.
    pub async fn call<M, R, F>(&self, message: M, call: impl FnOnce(Request<M>) -> F) -> Result<R, Status>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        Ok(unary(self.timeouts.unary, message, call).await?.into_inner())
    }
}

/// Warns if relay or server speak a newer API than we do.
pub fn warn_of_newer(headers: &MetadataMap, err: &mut dyn Write) -> std::io::Result<()> {
    for (what, header) in [("relay", RELAY_VERSION_HEADER), ("server", SERVER_VERSION_HEADER)] {
        let theirs = headers.get(header).and_then(|version| version.to_str().ok()).unwrap_or_default();
        if minor(theirs) > minor(HUBBLE_VERSION) {
            let message =
                format!("the {what} speaks a newer API than this command, some of its flows may look wrong");
            log::line(err, log::Level::Warn, &message, &[("api-version", HUBBLE_VERSION), (header, theirs)])?;
        }
    }
    Ok(())
}

/// Major and minor number; `None`, which is less than any, for what is no version.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newer_servers_are_warned_of() {
        let table = [
            ("the same", HUBBLE_VERSION, false),
            ("a newer patch", "1.19.99", false),
            ("a newer minor", "v1.20.0", true),
            ("a newer major", "2.0.0-rc.1", true),
            ("older", "1.9.9", false),
            ("no version", "nonsense", false),
        ];
        for (what, version, warned) in table {
            let mut headers = MetadataMap::new();
            headers.insert(SERVER_VERSION_HEADER, version.parse().unwrap());
            let mut err = Vec::new();
            warn_of_newer(&headers, &mut err).unwrap();
            assert_eq!(!err.is_empty(), warned, "{what}");
        }
    }
}
