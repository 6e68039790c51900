//! The API behind a TCP port, with certificates made for each test.

mod authority;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use palomar_proto::observer::observer_client::ObserverClient;
use palomar_proto::observer::{GetFlowsRequest, GetFlowsResponse, ServerStatusRequest};
use palomar_transport::{ClientTls, ClientTlsOptions, Target, Timeouts, TlsFiles, connect, connect_tls};
use tempfile::TempDir;
use tonic::Streaming;
use tonic::transport::Channel;

use self::authority::Authority;
use super::peer_address;
use super::tcp::TcpDoor;
use crate::config::Tcp;
use crate::server::tests::fixture::{Fixture, fixture};

const PATIENCE: Duration = Duration::from_secs(10);

struct World {
    dir: TempDir,
    authority: Authority,
    files: TlsFiles,
    fixture: Fixture,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "authority");
    let (certificate, key) = authority.issue(dir.path(), "server");
    let files = TlsFiles { certificate, key, client_authorities: Vec::new() };
    World { dir, authority, files, fixture: fixture(1_023) }
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Serves the fixture's API.
async fn serve(fixture: &Fixture, tcp: Tcp) -> SocketAddr {
    let door = TcpDoor::open(&tcp).unwrap().expect("a door");
    let address = door.address().unwrap();
    let routes = fixture.api.routes().await.unwrap();
    tokio::spawn(door.serve(fixture.api.clone(), routes));
    address
}

fn trusting(authority: &Authority) -> ClientTlsOptions {
    ClientTlsOptions { authorities: vec![authority.file.clone()], ..ClientTlsOptions::default() }
}

async fn channel(address: SocketAddr, options: &ClientTlsOptions) -> Result<Channel, String> {
    let target: Target = address.to_string().parse().unwrap();
    let tls = ClientTls::load(options).unwrap();
    connect_tls(&target, &tls, Timeouts::default()).await.map_err(|error| format!("{error:?}"))
}

/// How large the ring is, or what went wrong.
async fn ask(channel: Channel) -> Result<u64, String> {
    let answer = ObserverClient::new(channel).server_status(ServerStatusRequest {}).await;
    Ok(answer.map_err(|status| format!("{status:?}"))?.into_inner().max_flows)
}

async fn ask_tls(address: SocketAddr, options: &ClientTlsOptions) -> Result<u64, String> {
    ask(channel(address, options).await?).await
}

async fn ask_in_clear_text(address: SocketAddr) -> Result<u64, String> {
    let target: Target = address.to_string().parse().unwrap();
    let connected = connect(&target, Timeouts::default()).await;
    ask(connected.map_err(|error| format!("{error:?}"))?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_tls_answers_who_trusts_its_authority_and_nobody_in_clear_text() {
    let world = world();
    let address = serve(&world.fixture, Tcp::Tls(anywhere(), world.files)).await;
    let other = Authority::new(world.dir.path(), "other");
    assert_eq!(ask_tls(address, &trusting(&world.authority)).await, Ok(1_023));
    let refused = ask_tls(address, &trusting(&other)).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert!(ask_in_clear_text(address).await.is_err());
    assert_eq!(ask_tls(address, &trusting(&world.authority)).await, Ok(1_023), "nobody else is harmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_text_is_served_where_it_was_chosen() {
    let world = world();
    let address = serve(&world.fixture, Tcp::ClearText(anywhere())).await;
    assert_eq!(ask_in_clear_text(address).await, Ok(1_023));
    assert!(ask_tls(address, &trusting(&world.authority)).await.is_err());
    assert!(TcpDoor::open(&Tcp::Off).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_authorities_for_clients_only_who_shows_their_certificate_is_served() {
    let World { dir, authority, files, fixture } = world();
    let clients = Authority::new(dir.path(), "clients");
    let files = TlsFiles { client_authorities: vec![clients.file.clone()], ..files };
    let address = serve(&fixture, Tcp::Tls(anywhere(), files)).await;
    let with = |identity| ClientTlsOptions { identity, ..trusting(&authority) };
    for (name, identity, is_served) in [
        ("a client of that authority", Some(clients.issue(dir.path(), "known")), true),
        ("a client of another authority", Some(authority.issue(dir.path(), "stranger")), false),
        ("a client without a certificate", None, false),
        ("again a client of that authority", Some(clients.issue(dir.path(), "known-2")), true),
    ] {
        assert_eq!(ask_tls(address, &with(identity)).await.is_ok(), is_served, "{name}");
    }
}

async fn next(stream: &mut Streaming<GetFlowsResponse>) -> GetFlowsResponse {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a flow in time");
    message.unwrap().expect("a follower has no end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_while_certificates_change_and_bad_ones_change_nothing() {
    let World { dir, authority, files, mut fixture } = world();
    let address = serve(&fixture, Tcp::Tls(anywhere(), files.clone())).await;
    let mut client = ObserverClient::new(channel(address, &trusting(&authority)).await.unwrap());
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut stream = client.get_flows(follow).await.unwrap().into_inner();
    fixture.write(1, 1);
    assert_eq!(next(&mut stream).await.time.unwrap().nanos, 1);

    let new = Authority::new(dir.path(), "new");
    new.issue(dir.path(), "server");
    assert_eq!(ask_tls(address, &trusting(&new)).await, Ok(1_023), "new clients see the new certificate");
    assert!(ask_tls(address, &trusting(&authority)).await.is_err());
    fixture.write(2, 2);
    assert_eq!(next(&mut stream).await.time.unwrap().nanos, 2);

    fs::write(&files.certificate, "broken").unwrap();
    assert_eq!(ask_tls(address, &trusting(&new)).await, Ok(1_023), "the last good certificate stays");
    fs::remove_file(&files.key).unwrap();
    assert_eq!(ask_tls(address, &trusting(&new)).await, Ok(1_023), "also without the files");
    fixture.write(3, 3);
    assert_eq!(next(&mut stream).await.time.unwrap().nanos, 3);

    fixture.api.shut_down();
    let ended = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an end in time");
    assert_eq!(ended.unwrap_err().message(), "the agent is shutting down");
}

#[tokio::test]
async fn a_relay_is_told_the_port_and_the_nodes_address_where_all_are_listened_on() {
    let world = world();
    let node = Some("192.0.2.1".parse().unwrap());
    let socket = Path::new("/run/palomar.sock");
    let tls = |listen: &str| Tcp::Tls(listen.parse().unwrap(), world.files.clone());
    let clear = |listen: &str| Tcp::ClearText(listen.parse().unwrap());
    for (name, tcp, node, expected, server_name) in [
        (
            "one address, with TLS",
            tls("127.0.0.1:0"),
            node,
            "127.0.0.1:PORT",
            Some("k1.default.hubble-grpc.cilium.io"),
        ),
        ("one address, in clear text", clear("127.0.0.1:0"), node, "127.0.0.1:PORT", None),
        ("all addresses", clear("0.0.0.0:0"), node, "192.0.2.1:PORT", None),
        ("all addresses of a node that knows none", clear("0.0.0.0:0"), None, "0.0.0.0:PORT", None),
        ("no TCP", Tcp::Off, node, "unix:///run/palomar.sock", None),
    ] {
        let door = TcpDoor::open(&tcp).unwrap();
        let port = door.as_ref().map_or(0, |door| door.address().unwrap().port());
        let peer = peer_address(door.as_ref(), socket, node, ("k1", "default"));
        let expected = expected.replace("PORT", &port.to_string());
        assert_eq!((peer.address, peer.server_name.as_deref()), (expected, server_name), "{name}");
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_their_flag() {
    let World { dir, files, .. } = world();
    let path = |name: &str| dir.path().join(name);
    let empty = path("empty");
    fs::write(&empty, "").unwrap();
    let other = Authority::new(dir.path(), "other").issue(dir.path(), "other-server");
    let missing = path("missing");
    let no_file = format!("open {}: no such file or directory", missing.display());
    let no_key = format!("cannot process key '{}'", empty.display());
    let no_certificate = format!("cannot process cert '{}'", empty.display());
    for (files, flag, says) in [
        (TlsFiles { certificate: missing.clone(), ..files.clone() }, "--tls-cert-file: ", no_file.as_str()),
        (TlsFiles { certificate: empty.clone(), ..files.clone() }, "--tls-cert-file: ", &no_certificate),
        (TlsFiles { key: missing.clone(), ..files.clone() }, "--tls-key-file: ", &no_file),
        (TlsFiles { key: empty.clone(), ..files.clone() }, "--tls-key-file: ", &no_key),
        (TlsFiles { key: other.1, ..files.clone() }, "--tls-cert-file: ", "cannot be used together"),
        (
            TlsFiles { client_authorities: vec![missing], ..files.clone() },
            "--tls-client-ca-files: ",
            &no_file,
        ),
        (
            TlsFiles { client_authorities: vec![empty], ..files.clone() },
            "--tls-client-ca-files: ",
            &no_certificate,
        ),
    ] {
        let error = TcpDoor::open(&Tcp::Tls(anywhere(), files)).err().expect("an error");
        let text = format!("{error:#}");
        assert!(text.starts_with(flag) && text.contains(says), "{text}");
    }
    let taken = std::net::TcpListener::bind(anywhere()).unwrap();
    let address = taken.local_addr().unwrap();
    for tcp in [Tcp::ClearText(address), Tcp::Tls(address, files)] {
        let text = format!("{:#}", TcpDoor::open(&tcp).err().expect("an error"));
        assert!(text.starts_with(&format!("--listen: cannot listen on {address}: ")), "{text}");
    }
}
