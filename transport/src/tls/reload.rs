//! A server's certificates, read again when their files change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::{ALPN, TlsError, TlsFiles, pem, provider};

/// Tells one state of the files from another; links are followed, as Kubernetes swaps what they lead to.
type Stamp = Vec<Option<(u64, u64, i64, i64, u64)>>;

/// What a server shows to its clients at the moment.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stamp: Stamp,
    config: Arc<ServerConfig>,
}

/// What looking at the files brought.
#[derive(Debug)]
pub enum Look {
    /// They are as they were.
    Same,
    /// They changed, and their new content is in use.
    Renewed,
    /// They changed and cannot be used; what was in use stays. Told once for each change.
    Kept(TlsError),
}

// === impl Certificates ===

impl Certificates {
    /// Reads the files for the first time.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let stamp = stamp(&files);
        let config = Arc::new(load(&files)?);
        Ok(Self { files, state: Mutex::new(State { stamp, config }) })
    }

    /// The configuration to use for a connection that comes now.
    pub fn current(&self) -> (Arc<ServerConfig>, Look) {
        // a thread that died in here left a whole configuration behind
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.files);
        let look = if stamp == state.stamp {
            Look::Same
        } else {
            state.stamp = stamp;
            match load(&self.files) {
                Ok(config) => {
                    state.config = Arc::new(config);
                    Look::Renewed
                }
                Err(error) => Look::Kept(error),
            }
        };
        (Arc::clone(&state.config), look)
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    let TlsFiles { certificate, key, client_authorities } = files;
    [certificate, key]
        .into_iter()
        .chain(client_authorities)
        .map(|path| {
            let metadata = fs::metadata(path).ok()?;
            let (time, nanos) = (metadata.mtime(), metadata.mtime_nsec());
            Some((metadata.dev(), metadata.ino(), time, nanos, metadata.len()))
        })
        .collect()
}

/// TLS 1.3 alone, as Hubble's servers.
fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let TlsFiles { certificate, key, client_authorities } = files;
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Unsupported)?;
    let builder = if client_authorities.is_empty() {
        builder.with_no_client_auth()
    } else {
        let paths: Vec<&Path> = client_authorities.iter().map(PathBuf::as_path).collect();
        let authorities = Arc::new(pem::authorities(paths)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider).build();
        builder.with_client_cert_verifier(verifier.map_err(|_| {
            let shown: Vec<String> =
                client_authorities.iter().map(|path| path.display().to_string()).collect();
            TlsError::Authorities(shown.join(", "))
        })?)
    };
    let pair = builder.with_single_cert(pem::certificates(certificate)?, pem::key(key)?);
    let (certificate, key) = (certificate.clone(), key.clone());
    let mut config = pair.map_err(|reason| TlsError::Pair { certificate, key, reason })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}
