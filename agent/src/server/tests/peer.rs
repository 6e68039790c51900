//! The agent as a relay's peer.

use std::time::Duration;

use palomar_proto::peer::peer_client::PeerClient;
use palomar_proto::peer::{ChangeNotification, NotifyRequest, Tls};
use tonic::Code;

use super::calls::serve;
use super::fixture::fixture;
use crate::server::PeerAddress;

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_is_told_as_added_and_the_stream_stays_open_until_it_stops() {
    for (name, peer, address, tls) in [
        ("nothing is known", PeerAddress::default(), "", None),
        (
            "with TLS",
            PeerAddress { address: "192.0.2.1:4244".into(), server_name: Some("a.b".into()) },
            "192.0.2.1:4244",
            Some(Tls { server_name: "a.b".into() }),
        ),
    ] {
        let mut fixture = fixture(15);
        fixture.api = fixture.api.reached_at(peer);
        let (channel, _folder, _server) = serve(&fixture).await;
        let mut stream = PeerClient::new(channel).notify(NotifyRequest {}).await.unwrap().into_inner();
        let expected = ChangeNotification { name: "node-1".into(), address: address.into(), r#type: 1, tls };
        assert_eq!(stream.message().await.unwrap(), Some(expected), "{name}");
        let quiet = tokio::time::timeout(Duration::from_millis(100), stream.message()).await;
        assert!(quiet.is_err(), "{name}: the stream stays open");
        fixture.api.shut_down();
        let end = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an end in time");
        assert_eq!(end.unwrap_err().code(), Code::Unavailable, "{name}");
    }
}

#[test]
fn dots_in_names_of_nodes_and_clusters_are_no_dots_of_the_server_name() {
    for (node, cluster, expected) in [
        ("k1", "default", "k1.default.hubble-grpc.cilium.io"),
        ("k1.example.com", "eu.west", "k1-example-com.eu-west.hubble-grpc.cilium.io"),
    ] {
        assert_eq!(PeerAddress::server_name_of(node, cluster), expected);
    }
}
