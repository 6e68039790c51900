//! TLS between a client and a server of this crate, with certificates made for each test.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palomar_proto::peer::peer_client::PeerClient;
use palomar_proto::peer::peer_server::{Peer, PeerServer};
use palomar_proto::peer::{ChangeNotification, NotifyRequest};
use palomar_transport::{
    BindTlsError, ClientTls, ClientTlsOptions, ConnectError, DialError, Target, Timeouts, TlsError, TlsEvent,
    TlsFiles, TlsListener, TlsPeer, bind_tcp, connect, connect_tls, server_builder,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_stream::{Stream, once};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// Tells how many certificates the client showed.
struct Counting;

#[tonic::async_trait]
impl Peer for Counting {
    type NotifyStream = Pin<Box<dyn Stream<Item = Result<ChangeNotification, Status>> + Send>>;

    async fn notify(&self, request: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        let peer = request.extensions().get::<TlsPeer>();
        let name = peer.map_or(0, |peer| peer.certificates.len()).to_string();
        Ok(Response::new(Box::pin(once(Ok(ChangeNotification { name, ..Default::default() })))))
    }
}

/// An authority, whose certificate is in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = dir.join(format!("{name}.crt"));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// Writes a certificate and its key over the files of that name.
    fn issue(&self, dir: &Path, name: &str, subject: &str) -> (PathBuf, PathBuf) {
        let params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
        fs::write(&certificate_file, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        (certificate_file, key_file)
    }
}

type Events = Arc<Mutex<Vec<String>>>;

fn serve(files: TlsFiles) -> (SocketAddr, Events) {
    let events = Events::default();
    let told = Arc::clone(&events);
    let tell = move |event| {
        told.lock().unwrap().push(match event {
            TlsEvent::Renewed => "renewed".to_owned(),
            TlsEvent::Kept(error) => format!("kept: {error}"),
            TlsEvent::Refused { error, .. } => format!("refused: {error}"),
        });
    };
    let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), files, tell).unwrap();
    let address = listener.local_addr();
    tokio::spawn(server_builder().add_service(PeerServer::new(Counting)).serve_with_incoming(listener));
    (address, events)
}

async fn shown_to(channel: Channel) -> Result<String, Status> {
    let answer = PeerClient::new(channel).notify(NotifyRequest {}).await?;
    Ok(answer.into_inner().message().await?.unwrap().name)
}

/// How many certificates the server got to see, or what went wrong.
async fn call(address: SocketAddr, options: &ClientTlsOptions) -> Result<String, String> {
    let target: Target = address.to_string().parse().unwrap();
    let tls = ClientTls::load(options).map_err(|error| error.to_string())?;
    match connect_tls(&target, &tls, Timeouts::default()).await {
        Ok(channel) => shown_to(channel).await.map_err(|status| format!("{status:?}")),
        Err(ConnectError::Unreachable { source: DialError::Handshake { source }, .. }) => {
            Err(source.to_string())
        }
        Err(error) => Err(format!("{error:?}")),
    }
}

struct World {
    dir: TempDir,
    authority: Authority,
    files: TlsFiles,
}

fn world(subject: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "authority");
    let (certificate, key) = authority.issue(dir.path(), "server", subject);
    let files = TlsFiles { certificate, key, client_authorities: Vec::new() };
    World { dir, authority, files }
}

fn trusting(authority: &Authority) -> ClientTlsOptions {
    ClientTlsOptions { authorities: vec![authority.file.clone()], ..ClientTlsOptions::default() }
}

#[tokio::test]
async fn a_client_speaks_to_the_server_whose_authority_it_trusts_and_to_no_other() {
    let world = world("127.0.0.1");
    let (address, _) = serve(world.files);
    let other = Authority::new(world.dir.path(), "other");
    assert_eq!(call(address, &trusting(&world.authority)).await.as_deref(), Ok("0"));
    let refused = call(address, &trusting(&other)).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    let insecure = ClientTlsOptions { insecure: true, ..trusting(&other) };
    assert_eq!(call(address, &insecure).await.as_deref(), Ok("0"));
}

#[tokio::test]
async fn the_name_in_the_certificate_counts_unless_another_is_expected() {
    let world = world("relay.example.org");
    let (address, _) = serve(world.files);
    let refused = call(address, &trusting(&world.authority)).await.unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
    let named =
        |name: &str| ClientTlsOptions { server_name: Some(name.to_owned()), ..trusting(&world.authority) };
    assert_eq!(call(address, &named("relay.example.org")).await.as_deref(), Ok("0"));
    assert!(call(address, &named("else.example.org")).await.is_err());
    let wrong = call(address, &named("no name")).await.unwrap_err();
    assert_eq!(wrong, "\"no name\" is no name or address that a certificate can have");
}

#[tokio::test]
async fn a_server_with_authorities_for_clients_takes_only_those_who_show_a_certificate() {
    let World { dir, authority, files } = world("127.0.0.1");
    let clients = Authority::new(dir.path(), "clients");
    let (address, _) = serve(TlsFiles { client_authorities: vec![clients.file.clone()], ..files });
    let with = |identity| ClientTlsOptions { identity, ..trusting(&authority) };
    let known = clients.issue(dir.path(), "known", "client");
    let stranger = authority.issue(dir.path(), "stranger", "client");
    assert_eq!(call(address, &with(Some(known.clone()))).await.as_deref(), Ok("1"));
    assert!(call(address, &with(None)).await.is_err());
    assert!(call(address, &with(Some(stranger.clone()))).await.is_err());
    let mixed = call(address, &with(Some((known.0, stranger.1)))).await.unwrap_err();
    assert!(mixed.contains("cannot be used together"), "{mixed}");
}

#[tokio::test]
async fn certificates_are_read_again_when_their_files_change() {
    let World { dir, authority, files } = world("127.0.0.1");
    let (address, events) = serve(files.clone());
    let target: Target = address.to_string().parse().unwrap();
    let tls = ClientTls::load(&trusting(&authority)).unwrap();
    let standing = connect_tls(&target, &tls, Timeouts::default()).await.unwrap();

    let new = Authority::new(dir.path(), "new");
    new.issue(dir.path(), "server", "127.0.0.1");
    assert_eq!(call(address, &trusting(&new)).await.as_deref(), Ok("0"));
    assert!(call(address, &trusting(&authority)).await.is_err());
    assert_eq!(shown_to(standing).await.unwrap(), "0", "a connection that stands goes on");

    fs::write(&files.certificate, "broken").unwrap();
    for _ in 0..2 {
        assert_eq!(call(address, &trusting(&new)).await.as_deref(), Ok("0"), "the last good one stays");
    }
    let broken = format!(
        "kept: cannot process cert '{}': must be a PEM encoded certificate",
        files.certificate.display()
    );
    let told = events.lock().unwrap().clone();
    let told: Vec<&str> =
        told.iter().map(String::as_str).filter(|event| !event.starts_with("refused")).collect();
    assert_eq!(told, ["renewed", &broken], "each change is told once");
}

#[tokio::test(start_paused = true)]
async fn files_that_change_are_told_although_no_client_comes() {
    let World { dir: _dir, authority: _authority, files } = world("127.0.0.1");
    let (_address, events) = serve(files.clone());
    let after_a_while = async || {
        tokio::time::sleep(Duration::from_secs(61)).await;
        std::mem::take(&mut *events.lock().unwrap())
    };
    assert_eq!(after_a_while().await, Vec::<String>::new());
    fs::write(&files.key, "broken").unwrap();
    let shown = files.key.display();
    let broken = format!("kept: cannot process key '{shown}': must be a PEM encoded private key");
    assert_eq!(after_a_while().await, [broken]);
    assert_eq!(after_a_while().await, Vec::<String>::new(), "once");
}

#[tokio::test]
async fn plain_text_and_tls_do_not_mix() {
    let World { dir: _dir, authority, files } = world("127.0.0.1");
    let (address, _) = serve(files);
    let plain = match connect(&address.to_string().parse().unwrap(), Timeouts::default()).await {
        Ok(channel) => shown_to(channel).await.is_ok(),
        Err(_) => false,
    };
    assert!(!plain, "a port of TLS answers nobody in plain text");
    let incoming = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let open = incoming.local_addr().unwrap();
    tokio::spawn(server_builder().add_service(PeerServer::new(Counting)).serve_with_incoming(incoming));
    assert!(call(open, &trusting(&authority)).await.is_err());
}

#[tokio::test]
async fn a_client_that_says_nothing_holds_up_nobody() {
    let World { dir: _dir, authority, files } = world("127.0.0.1");
    let (address, _) = serve(files);
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let called = tokio::time::timeout(Duration::from_secs(5), call(address, &trusting(&authority))).await;
    assert_eq!(called.unwrap().as_deref(), Ok("0"));
}

#[tokio::test]
async fn an_older_protocol_is_refused() {
    let World { dir: _dir, authority, files } = world("127.0.0.1");
    let (address, _) = serve(files);
    let handshake = |version| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = "127.0.0.1".try_into().unwrap();
            tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(drop)
        }
    };
    let old: io::Result<()> = handshake(&rustls::version::TLS12).await;
    assert!(old.is_err());
    handshake(&rustls::version::TLS13).await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let World { dir, files, .. } = world("127.0.0.1");
    let missing = dir.path().join("missing.crt");
    let shown = missing.display();
    let no_file = format!("cannot load cert '{shown}': open {shown}: no such file or directory");
    let options = ClientTlsOptions { authorities: vec![missing.clone()], ..ClientTlsOptions::default() };
    assert_eq!(ClientTls::load(&options).unwrap_err().to_string(), no_file);
    let key = files.key.display();
    let options = ClientTlsOptions { authorities: vec![files.key.clone()], ..ClientTlsOptions::default() };
    let no_certificate = format!("cannot process cert '{key}': must be a PEM encoded certificate");
    assert_eq!(ClientTls::load(&options).unwrap_err().to_string(), no_certificate);
    let bind = |files| TlsListener::bind("127.0.0.1:0".parse().unwrap(), files, |_| {}).unwrap_err();
    let error = bind(TlsFiles { certificate: missing, ..files.clone() });
    assert!(matches!(&error, BindTlsError::Files(TlsError::Unreadable { .. })), "{error:?}");
    assert_eq!(error.to_string(), no_file);
    let swapped = TlsFiles { key: files.certificate.clone(), ..files };
    assert!(matches!(bind(swapped), BindTlsError::Files(TlsError::NoKey(_))));
}
