//! A client and a server of this crate, talking over each kind of transport.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::pin::Pin;
use std::time::{Duration, Instant};

use palomar_proto::peer::peer_client::PeerClient;
use palomar_proto::peer::peer_server::{Peer, PeerServer};
use palomar_proto::peer::{ChangeNotification, NotifyRequest};
use palomar_transport::{
    ConnectError, DialError, Target, Timeouts, UnixSocket, bind_tcp, connect, server_builder, unary,
};
use tokio::sync::oneshot;
use tokio_stream::{Stream, once};
use tonic::{Code, Request, Response, Status};

/// Sends one notification of the given size.
struct OnePeer(usize);

#[tonic::async_trait]
impl Peer for OnePeer {
    type NotifyStream = Pin<Box<dyn Stream<Item = Result<ChangeNotification, Status>> + Send>>;

    async fn notify(&self, _: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        let name = "n".repeat(self.0);
        Ok(Response::new(Box::pin(once(Ok(ChangeNotification { name, ..Default::default() })))))
    }
}

async fn length_of_the_name(target: &Target) -> usize {
    let channel = connect(target, Timeouts::default()).await.unwrap();
    let mut client = PeerClient::new(channel);
    let answer = unary(Duration::from_secs(5), NotifyRequest {}, |request| client.notify(request)).await;
    let mut stream = answer.unwrap().into_inner();
    stream.message().await.unwrap().unwrap().name.len()
}

#[tokio::test]
async fn a_message_larger_than_a_frame_crosses_a_unix_socket_which_is_gone_after_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("palomar.sock");
    let UnixSocket { incoming, guard } = UnixSocket::bind(&path).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let _guard = guard;
        let router = server_builder().add_service(PeerServer::new(OnePeer(3 << 20)));
        router.serve_with_incoming_shutdown(incoming, async { drop(stopped.await) }).await
    });
    assert_eq!(length_of_the_name(&Target::Unix(path.clone())).await, 3 << 20);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_message_crosses_tcp_of_either_family() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let incoming = bind_tcp(address.parse().unwrap()).unwrap();
        let target = incoming.local_addr().unwrap().to_string().parse().unwrap();
        let serving = tokio::spawn(
            server_builder().add_service(PeerServer::new(OnePeer(5))).serve_with_incoming(incoming),
        );
        assert_eq!(length_of_the_name(&target).await, 5);
        serving.abort();
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap();
    let _held = bind_tcp(taken).unwrap();
    let error = bind_tcp(taken).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {taken}"));
}

#[tokio::test]
async fn errors_name_the_target_and_keep_the_systems_reason() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Target::Unix(dir.path().join("none.sock"));
    let free = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap();
    let closed: Target = free.to_string().parse().unwrap();
    let cases = [
        ("no such socket", missing, std::io::ErrorKind::NotFound),
        ("nobody listens", closed, std::io::ErrorKind::ConnectionRefused),
    ];
    for (what, target, kind) in cases {
        let error = connect(&target, Timeouts::default()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot connect to {target}"), "{what}");
        let ConnectError::Unreachable { source: DialError::Connect { source, .. }, .. } = error else {
            panic!("{what}: {error:?}");
        };
        assert_eq!(source.kind(), kind, "{what}");
    }
}

#[tokio::test]
async fn a_server_that_never_accepts_is_given_up_after_the_dial_timeout() {
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let _queued = std::net::TcpStream::connect(address.as_socket().unwrap()).unwrap();
    let target = address.as_socket().unwrap().to_string().parse().unwrap();
    let dial = Duration::from_millis(100);
    let error = connect(&target, Timeouts { dial, ..Timeouts::default() }).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { after, .. } if after == dial), "{error:?}");
    assert_eq!(error.to_string(), format!("cannot connect to {target}: no answer within 100ms"));
}

#[tokio::test]
async fn a_unary_call_ends_at_its_deadline() {
    let started = Instant::now();
    let never = |_: Request<NotifyRequest>| std::future::pending::<Result<Response<()>, Status>>();
    let status = unary(Duration::from_millis(20), NotifyRequest {}, never).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_unary_call_tells_its_deadline_and_hands_on_the_answer() {
    let call = |request: Request<NotifyRequest>| async move {
        assert!(request.metadata().contains_key("grpc-timeout"));
        Ok(Response::new(7))
    };
    let answer = unary(Duration::from_secs(5), NotifyRequest {}, call).await.unwrap();
    assert_eq!(answer.into_inner(), 7);
}
