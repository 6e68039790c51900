//! This agent as Hubble's relay knows a peer.

use std::pin::Pin;
use std::sync::Arc;

use palomar_proto::peer::peer_server::Peer;
use palomar_proto::peer::{ChangeNotification, ChangeNotificationType, NotifyRequest, Tls};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::Shared;

/// How a relay reaches this agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerAddress {
    /// `ip:port`, `[ip]:port` or `unix:///path`; empty where the agent cannot tell.
    pub address: String,
    /// The name in its certificate; `None` without TLS.
    pub server_name: Option<String>,
}

/// Answers the call of `peer.Peer`.
pub struct PeerService {
    shared: Arc<Shared>,
}

// === impl PeerAddress ===

impl PeerAddress {
    /// The name that Hubble expects in the certificate of a node: dots of both names become hyphens.
    pub fn server_name_of(node: &str, cluster: &str) -> String {
        let label = |name: &str| name.replace('.', "-");
        format!("{}.{}.hubble-grpc.cilium.io", label(node), label(cluster))
    }
}

// === impl PeerService ===

impl PeerService {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn added(&self) -> ChangeNotification {
        let Shared { served, peer, .. } = &*self.shared;
        let PeerAddress { address, server_name } = peer;
        ChangeNotification {
            name: served.node.name().to_owned(),
            address: address.clone(),
            r#type: ChangeNotificationType::PeerAdded.into(),
            tls: server_name.clone().map(|server_name| Tls { server_name }),
        }
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    type NotifyStream = Pin<Box<dyn Stream<Item = Result<ChangeNotification, Status>> + Send>>;

    /// This agent alone is known, and does not change: it is told, and the stream stays open.
    async fn notify(&self, _: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        let permit = self.shared.watcher()?;
        let mut shutdown = self.shared.shutdown.subscribe();
        let (sender, end) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                // an error means that the API has gone
                _ = shutdown.wait_for(|down| *down) => {
                    drop(sender.try_send(Err(Status::unavailable("the agent is shutting down"))));
                }
                () = sender.closed() => {}
            }
            drop(permit);
        });
        let end = tokio_stream::wrappers::ReceiverStream::new(end);
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(self.added())).chain(end))))
    }
}
