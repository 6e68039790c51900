//! TLS: certificates from PEM files, the client's end and the server's.

mod client;
mod connection;
mod pem;
mod reload;
mod server;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use thiserror::Error;

pub use client::{ClientTls, ClientTlsOptions};
pub use connection::{TlsConnection, TlsPeer};
pub use server::{BindTlsError, TlsEvent, TlsListener};

/// The protocol inside, as both ends name it in the handshake.
const ALPN: &[u8] = b"h2";

/// The files of a server's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its authority, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Authorities of clients, in PEM. Clients have to show a certificate of one of them; if there is no file, they
    /// need not show any.
    pub client_authorities: Vec<PathBuf>,
}

/// Why there is no TLS with these files.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read; worded as Hubble's CLI words it.
    #[error("cannot load cert '{}': open {}: {}", .path.display(), .path.display(), crate::errno::text(.reason))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said; in the message already.
        reason: io::Error,
    },
    /// A file without a certificate in it.
    #[error("cannot process cert '{}': must be a PEM encoded certificate", .0.display())]
    NoCertificate(PathBuf),
    /// A file without a private key in it.
    #[error("cannot process key '{}': must be a PEM encoded private key", .0.display())]
    NoKey(PathBuf),
    /// A certificate that its key does not fit, or that this TLS does not know how to use.
    #[error("certificate '{}' and private key '{}' cannot be used together: {reason}", .certificate.display(), .key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: rustls::Error,
    },
    /// None of the authorities of clients can be used.
    #[error("no certificate in {0} can be used as an authority of clients")]
    Authorities(String),
    /// This machine trusts nobody, and no file was named.
    #[error("this system has no certificate authorities; name those of the server with a PEM file")]
    NoSystemAuthorities,
    /// This build has no cipher suites for the protocol versions that it is to speak.
    #[error("TLS cannot be spoken: {0}")]
    Unsupported(rustls::Error),
    /// A name that no certificate can have.
    #[error("{0:?} is no name or address that a certificate can have")]
    ServerName(String),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
