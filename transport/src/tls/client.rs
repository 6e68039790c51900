//! The client's end.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::WantsClientCert,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ALPN, TlsError, pem, provider};
use crate::dial::Link;

/// What a client expects of a server, and shows to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTlsOptions {
    /// Who may vouch for the server, in PEM; without a file, whom the system trusts.
    pub authorities: Vec<PathBuf>,
    /// Certificate and private key to show, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have; `None`: the one under which it was reached.
    pub server_name: Option<String>,
    /// Take any certificate.
    pub insecure: bool,
}

/// TLS for connections to one server.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

// === impl ClientTls ===

impl ClientTls {
    /// Reads the files. TLS 1.2 is spoken with servers that know no later one.
    pub fn load(options: &ClientTlsOptions) -> Result<Self, TlsError> {
        if let Some(name) = &options.server_name {
            parse_name(name)?;
        }
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unsupported)?;
        let builder: ConfigBuilder<ClientConfig, WantsClientCert> = if options.insecure {
            let anybody = Arc::new(Anybody { provider });
            builder.dangerous().with_custom_certificate_verifier(anybody)
        } else {
            builder.with_root_certificates(trusted(&options.authorities)?)
        };
        let mut config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let pair = builder.with_client_auth_cert(pem::certificates(certificate)?, pem::key(key)?);
                let (certificate, key) = (certificate.clone(), key.clone());
                pair.map_err(|reason| TlsError::Pair { certificate, key, reason })?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config), server_name: options.server_name.clone() })
    }

    /// The name that was set for the server.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    pub(crate) async fn handshake<L: Link>(&self, host: &str, link: L) -> io::Result<TlsStream<L>> {
        let name = parse_name(self.server_name().unwrap_or(host)).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, link).await
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

fn trusted(files: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    if !files.is_empty() {
        return pem::authorities(files.iter().map(PathBuf::as_path).collect::<Vec<&Path>>());
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err(TlsError::NoSystemAuthorities) } else { Ok(store) }
}

/// Takes every certificate; that the server has the key of the one that it shows is still checked.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
