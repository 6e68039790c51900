//! The TCP listener of the API, with TLS or in clear text.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use palomar_transport::{BindTlsError, TlsError, TlsEvent, TlsFiles, TlsListener, bind_tcp};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

use crate::config::Tcp;
use crate::server::Api;

/// How often handshakes that fail are logged as warnings.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// A TCP address that is listened on.
pub enum TcpDoor {
    /// In clear text.
    ClearText(TcpIncoming),
    /// With TLS.
    Tls(TlsListener),
}

/// Logs what becomes of the certificates and of clients that fail, the latter not more often than once a minute.
#[derive(Default)]
struct TlsLog {
    refusals: Mutex<Refusals>,
}

#[derive(Default)]
struct Refusals {
    logged_at: Option<Instant>,
    /// Since then.
    not_logged: u64,
}

// === impl TcpDoor ===

impl TcpDoor {
    /// Listens; `None` where nothing is asked for. Has to be called inside a tokio runtime.
    pub fn open(tcp: &Tcp) -> anyhow::Result<Option<Self>> {
        match tcp {
            Tcp::Off => Ok(None),
            Tcp::ClearText(address) => {
                let incoming = bind_tcp(*address).context("--listen")?;
                let local = incoming.local_addr().context("--listen")?;
                tracing::warn!(
                    address = %local,
                    "serving in clear text: whoever reaches this address reads all flows"
                );
                Ok(Some(Self::ClearText(incoming)))
            }
            Tcp::Tls(address, files) => {
                let log = TlsLog::default();
                let listener = TlsListener::bind(*address, files.clone(), move |event| log.tell(&event))
                    .map_err(|error| {
                        let flag = flag(&error, files);
                        anyhow::Error::new(error).context(flag)
                    })?;
                let address = listener.local_addr();
                if files.client_authorities.is_empty() {
                    tracing::warn!(
                        %address,
                        "serving TLS without --tls-client-ca-files: whoever reaches this address reads all flows"
                    );
                } else {
                    tracing::info!(%address, "serving TLS to clients that show a certificate");
                }
                Ok(Some(Self::Tls(listener)))
            }
        }
    }

    /// The address that is listened on.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::ClearText(incoming) => incoming.local_addr(),
            Self::Tls(listener) => Ok(listener.local_addr()),
        }
    }

    /// Whether clients have to speak TLS.
    pub const fn speaks_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Serves the API until it is shut down.
    pub async fn serve(self, api: Api, routes: Routes) -> Result<(), tonic::transport::Error> {
        match self {
            Self::ClearText(incoming) => api.serve(routes, incoming).await,
            Self::Tls(listener) => api.serve(routes, listener).await,
        }
    }
}

/// The flag that is to blame.
fn flag(error: &BindTlsError, files: &TlsFiles) -> &'static str {
    let of_file = |path: &Path| {
        if path == files.certificate {
            "--tls-cert-file"
        } else if path == files.key {
            "--tls-key-file"
        } else {
            "--tls-client-ca-files"
        }
    };
    match error {
        BindTlsError::Files(TlsError::Unreadable { path, .. } | TlsError::NoCertificate(path)) => {
            of_file(path)
        }
        BindTlsError::Files(TlsError::NoKey(_)) => "--tls-key-file",
        BindTlsError::Files(TlsError::Pair { .. }) => "--tls-cert-file",
        BindTlsError::Files(TlsError::Authorities(_)) => "--tls-client-ca-files",
        BindTlsError::Listen { .. } | BindTlsError::Files(_) => "--listen",
    }
}

// === impl TlsLog ===

impl TlsLog {
    fn tell(&self, event: &TlsEvent) {
        match event {
            TlsEvent::Renewed => tracing::info!("the TLS files changed; new clients see the new certificate"),
            TlsEvent::Kept(error) => tracing::error!(
                %error,
                "the TLS files changed and cannot be used; the last good certificate stays in use"
            ),
            TlsEvent::Refused { peer, error } => {
                tracing::debug!(%peer, %error, "a client did not get through the TLS handshake");
                if let Some(not_logged) = self.is_due(Instant::now()) {
                    tracing::warn!(
                        %peer,
                        %error,
                        others_before = not_logged,
                        "a client did not get through the TLS handshake"
                    );
                }
            }
        }
    }

    /// How many were not logged before one that is to be; `None` for one that is not.
    fn is_due(&self, now: Instant) -> Option<u64> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.logged_at.is_some_and(|at| now.saturating_duration_since(at) < LOG_EVERY) {
            refusals.not_logged += 1;
            return None;
        }
        refusals.logged_at = Some(now);
        Some(std::mem::take(&mut refusals.not_logged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_that_fail_are_logged_once_a_minute_with_the_number_of_the_others() {
        let log = TlsLog::default();
        let begin = Instant::now();
        let due = [0, 1, 59, 60, 61, 120, 121, 600].map(|s| log.is_due(begin + Duration::from_secs(s)));
        assert_eq!(due, [Some(0), None, None, Some(2), None, Some(1), None, Some(1)]);
    }
}
