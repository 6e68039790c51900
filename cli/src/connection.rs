//! The server that a command speaks to.

mod credentials;
mod forward;
mod version;

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Error, Result, bail};
use palomar_transport::{
    ClientTls, ClientTlsOptions, Target, Timeouts, connect, connect_tls, default_target, unary,
};
use tonic::metadata::MetadataMap;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::arguments::Given;
use crate::rpc;
use credentials::Credentials;

/// How a server's address says that TLS is to be spoken.
const TLS_PREFIX: &str = "tls://";

/// What calls go over.
pub type Link = InterceptedService<Channel, Credentials>;

/// Where the server is, how to speak to it, and how long to wait for it.
#[derive(Debug)]
pub struct Connection {
    /// Where it is.
    pub target: Target,
    timeouts: Timeouts,
    tls: Option<ClientTls>,
    credentials: Credentials,
    /// What to do instead of forwarding a port, if that was asked for.
    forward: Option<String>,
    /// Whether a newer server was warned of.
    warned: Cell<bool>,
}

impl Connection {
    /// From the flags; without `--server` the local agent's socket if it is there, else `localhost:4245`. Reads the
    /// certificate files.
    pub fn from_flags(given: &Given) -> Result<Self> {
        let server = given.text("server").filter(|server| !server.is_empty());
        let (address, prefixed) = match server {
            Some(server) => match server.strip_prefix(TLS_PREFIX) {
                Some(address) => (Some(address), true),
                None => (Some(server), false),
            },
            None => (None, false),
        };
        let identity = identity(given).context("invalid flag(s)")?;
        let with_tls = given.switch("tls")? || prefixed || identity.is_some();
        let credentials = Credentials::from_flags(given, with_tls).context("invalid flag(s)")?;
        let tls = if with_tls { Some(ClientTls::load(&tls_options(given, identity)?)?) } else { None };
        let standard = Timeouts::default();
        Ok(Self {
            target: address.map(str::parse).transpose()?.unwrap_or_else(default_target),
            timeouts: Timeouts {
                dial: given.duration("timeout")?.unwrap_or(standard.dial),
                unary: given.duration("request-timeout")?.unwrap_or(standard.unary),
            },
            tls,
            credentials,
            forward: forward::instead(given, with_tls)?,
            warned: Cell::new(false),
        })
    }

    /// Whether a port was asked to be forwarded.
    pub const fn is_forwarded(&self) -> bool {
        self.forward.is_some()
    }

    /// Connects.
    pub async fn connect(&self) -> Result<Link> {
        if let Some(instead) = &self.forward {
            bail!("{instead}");
        }
        let channel = match &self.tls {
            Some(tls) => connect_tls(&self.target, tls, self.timeouts).await,
            None => connect(&self.target, self.timeouts).await,
        };
        let channel = channel.map_err(|error| rpc::unreachable(&error))?;
        Ok(InterceptedService::new(channel, self.credentials.clone()))
    }

    /// Makes a call that has one answer.
    pub async fn call<M, R, F>(
        &self,
        err: &mut dyn Write,
        message: M,
        call: impl FnOnce(Request<M>) -> F,
    ) -> Result<R, Status>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let answer = unary(self.timeouts.unary, message, call).await?;
        let warned = self.warn_of_newer(answer.metadata(), err);
        warned.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(answer.into_inner())
    }

    /// Warns, once, if relay or server speak a newer API than we do.
    pub fn warn_of_newer(&self, headers: &MetadataMap, err: &mut dyn Write) -> io::Result<()> {
        if !self.warned.get() && version::warn_of_newer(headers, err)? {
            self.warned.set(true);
        }
        Ok(())
    }
}

/// Certificate and key to show.
fn identity(given: &Given) -> Result<Option<(PathBuf, PathBuf)>> {
    let file = |flag| given.text(flag).filter(|path| !path.is_empty()).map(PathBuf::from);
    match (file("tls-client-cert-file"), file("tls-client-key-file")) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(Error::msg("certificate and private key are both required, but only one was provided")),
    }
}

fn tls_options(given: &Given, identity: Option<(PathBuf, PathBuf)>) -> Result<ClientTlsOptions> {
    Ok(ClientTlsOptions {
        authorities: given.list("tls-ca-cert-files").into_iter().map(PathBuf::from).collect(),
        identity,
        server_name: given.text("tls-server-name").filter(|name| !name.is_empty()).map(str::to_owned),
        insecure: given.switch("tls-allow-insecure")?,
    })
}
