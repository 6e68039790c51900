//! Connections with TLS, certificates of clients, and passwords.

use std::fs;
use std::path::{Path, PathBuf};

use crate::server::{Stub, flow_response};
use crate::support::{Outcome, palomar};
use palomar_transport::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Writes an authority's certificate and one that it vouches for, with its key.
fn certificates(dir: &Path, name: &str, subject: &str) -> (PathBuf, PathBuf, PathBuf) {
    let path = |kind| dir.join(format!("{name}.{kind}"));
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![subject.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(path("ca"), authority.pem()).unwrap();
    fs::write(path("crt"), certificate.pem()).unwrap();
    fs::write(path("key"), key.serialize_pem()).unwrap();
    (path("ca"), path("crt"), path("key"))
}

async fn observe(words: &[&str]) -> Outcome {
    palomar(&[&["observe", "-o", "json"], words].concat()).run_async().await
}

fn stub() -> Stub {
    Stub { flows: Ok(vec![flow_response("seen")]), ..Stub::default() }
}

#[tokio::test]
async fn a_server_is_spoken_to_in_every_way_that_says_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, certificate, key) = certificates(dir.path(), "server", "localhost");
    let stub = stub();
    let port = stub.serve_tls(TlsFiles { certificate, key, client_authorities: Vec::new() }).port();
    let (server, named) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    let prefixed = format!("tls://{named}");
    let ca = authority.to_str().unwrap();
    let table: [(&str, &[&str]); 4] = [
        ("the prefix", &["--server", &prefixed, "--tls-ca-cert-files", ca]),
        ("the flag", &["--server", &named, "--tls", "--tls-ca-cert-files", ca]),
        (
            "another name",
            &["--server", &server, "--tls", "--tls-ca-cert-files", ca, "--tls-server-name", "localhost"],
        ),
        ("any certificate", &["--server", &server, "--tls", "--tls-allow-insecure"]),
    ];
    for (what, words) in table {
        let outcome = observe(words).await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{what}");
        assert!(outcome.out.contains("seen"), "{what}");
    }
    let failed = "rpc error: code = Unavailable desc = connection error: desc = \"transport: authentication handshake failed: ";
    let wrong: [(&str, &[&str]); 2] = [
        ("another name", &["--server", &server, "--tls", "--tls-ca-cert-files", ca]),
        ("nobody vouches", &["--server", &prefixed]),
    ];
    for (what, words) in wrong {
        let outcome = observe(words).await;
        let reached = outcome.err.starts_with(failed);
        // a machine without authorities cannot even try
        let nobody = outcome.err.starts_with("this system has no certificate authorities");
        assert!(outcome.code == 1 && (reached || nobody), "{what}: {}", outcome.err);
    }
    let status = palomar(&["status", "--server", &prefixed, "--tls-ca-cert-files", ca]).run_async().await;
    assert!(status.out.starts_with(&format!("Healthcheck (via {named}): Ok\n")), "{}", status.out);
}

#[tokio::test]
async fn a_certificate_of_the_client_implies_tls_and_needs_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, certificate, key) = certificates(dir.path(), "server", "localhost");
    let (clients, own, own_key) = certificates(dir.path(), "client", "me");
    let files = TlsFiles { certificate, key, client_authorities: vec![clients] };
    let server = format!("localhost:{}", stub().serve_tls(files).port());
    let (ca, own, own_key) = (authority.to_str().unwrap(), own.to_str().unwrap(), own_key.to_str().unwrap());
    let shown = ["--server", &server, "--tls-ca-cert-files", ca];
    let pair = ["--tls-client-cert-file", own, "--tls-client-key-file", own_key];
    let outcome = observe(&[shown, pair].concat()).await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    let outcome = observe(&[&shown[..], &["--tls"]].concat()).await;
    assert_eq!(outcome.code, 1, "without it the server refuses");
    let table: [(&[&str], &str); 4] = [
        (
            &pair[..2],
            "invalid flag(s): certificate and private key are both required, but only one was provided\n",
        ),
        (
            &pair[2..],
            "invalid flag(s): certificate and private key are both required, but only one was provided\n",
        ),
        (
            &["--tls", "--tls-ca-cert-files", "/nonexistent"],
            "cannot load cert '/nonexistent': open /nonexistent: no such file or directory\n",
        ),
        (
            &["--tls", "--tls-ca-cert-files", own_key],
            "cannot process cert 'KEY': must be a PEM encoded certificate\n",
        ),
    ];
    for (words, wanted) in table {
        let outcome = observe(&[&["--server", &server], words].concat()).await;
        assert_eq!((outcome.err.replace(own_key, "KEY").as_str(), outcome.code), (wanted, 1), "{words:?}");
    }
}

#[tokio::test]
async fn a_name_and_a_password_go_with_each_call_over_tls_only() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, certificate, key) = certificates(dir.path(), "server", "localhost");
    let stub = stub();
    let port = stub.serve_tls(TlsFiles { certificate, key, client_authorities: Vec::new() }).port();
    let server = format!("tls://localhost:{port}");
    let shown = ["--server", &server, "--tls-ca-cert-files", authority.to_str().unwrap()];
    let both = ["--basic-auth-username", "Aladdin", "--basic-auth-password", "open sesame"];
    let outcome = observe(&[shown, both].concat()).await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    observe(&shown).await;
    assert_eq!(*stub.authorized.lock().unwrap(), ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ""]);
    let one = "invalid flag(s): must specify both basic-auth-username and basic-auth-password\n";
    let table: [(&[&str], &str); 3] = [
        (&both[..2], one),
        (&both[2..], one),
        (&both, "invalid flag(s): transport layer security required\n"),
    ];
    for (words, wanted) in table {
        let outcome = observe(words).await;
        assert_eq!((outcome.err.as_str(), outcome.code), (wanted, 1), "{words:?}");
    }
}
