//! Certificates and keys from PEM files.

use std::fs;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// All certificates of a file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text).map_while(Result::ok).collect();
    if found.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(found) }
}

/// The first private key of a file.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::NoKey(path.to_owned()))
}

/// The certificates of files as authorities; each file has at least one that can be used.
pub fn authorities<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for path in paths {
        let (added, _refused) = store.add_parsable_certificates(certificates(path)?);
        if added == 0 {
            return Err(TlsError::NoCertificate(path.to_owned()));
        }
    }
    Ok(store)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|reason| TlsError::Unreadable { path: path.to_owned(), reason })
}
