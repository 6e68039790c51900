//! Palomar's own service: what Hubble has no call for.

use std::collections::BTreeMap;
use std::sync::Arc;

use palomar_flow::convert::timestamp;
use palomar_model::identity::Identity;
use palomar_proto::palomar::v1;
use palomar_proto::palomar::v1::palomar_server::Palomar;
use tonic::{Request, Response, Status};

use super::Shared;
use super::connection_stream::{ConnectionStream, MAX_CALLS};
use crate::connections;
use crate::directory::Directory;
use crate::losses::{Gap, GapCause, LossSource, Losses, StageCounts};

/// What the control path knows of the agent and its endpoints, as messages. Asked for each call; must not block.
pub trait AgentFacts: Send + Sync {
    /// What this agent is and how it runs.
    fn agent_status(&self) -> v1::GetAgentStatusResponse;
    /// What is watched on this node, and what cannot be: in the order that the message promises.
    fn endpoints(&self) -> v1::ListEndpointsResponse;
    /// Where tracked connections are read from; `None` where none are tracked.
    fn connections(&self) -> Option<connections::Sources> {
        None
    }
    /// The objects in force, as the messages of an answer; `None` where none are known of.
    fn objects(&self) -> Option<Vec<v1::ListObjectsResponse>> {
        None
    }
}

/// An answer to `ListObjects`, which is there as a whole.
pub type ObjectStream = tokio_stream::Iter<std::vec::IntoIter<Result<v1::ListObjectsResponse, Status>>>;

/// Answers the calls of `palomar.v1.Palomar`.
pub struct OwnService {
    shared: Arc<Shared>,
}

// === impl OwnService ===

impl OwnService {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn identities(&self) -> BTreeMap<u32, v1::Identity> {
        identities(&self.shared.served.directory.load())
    }
}

#[tonic::async_trait]
impl Palomar for OwnService {
    async fn get_agent_status(
        &self,
        _: Request<v1::GetAgentStatusRequest>,
    ) -> Result<Response<v1::GetAgentStatusResponse>, Status> {
        Ok(Response::new(self.shared.served.facts.agent_status()))
    }

    async fn get_loss(
        &self,
        _: Request<v1::GetLossRequest>,
    ) -> Result<Response<v1::GetLossResponse>, Status> {
        Ok(Response::new(loss_answer(&self.shared.served.losses)))
    }

    async fn get_identity(
        &self,
        request: Request<v1::GetIdentityRequest>,
    ) -> Result<Response<v1::GetIdentityResponse>, Status> {
        let number = request.into_inner().identity;
        let identity = self.identities().remove(&number);
        let identity =
            identity.ok_or_else(|| Status::not_found(format!("identity {number} is not known here")))?;
        Ok(Response::new(v1::GetIdentityResponse { identity: Some(identity) }))
    }

    async fn list_identities(
        &self,
        _: Request<v1::ListIdentitiesRequest>,
    ) -> Result<Response<v1::ListIdentitiesResponse>, Status> {
        let identities = self.identities().into_values().collect();
        Ok(Response::new(v1::ListIdentitiesResponse { identities }))
    }

    async fn list_endpoints(
        &self,
        _: Request<v1::ListEndpointsRequest>,
    ) -> Result<Response<v1::ListEndpointsResponse>, Status> {
        Ok(Response::new(self.shared.served.facts.endpoints()))
    }

    type ListObjectsStream = ObjectStream;

    async fn list_objects(
        &self,
        _: Request<v1::ListObjectsRequest>,
    ) -> Result<Response<ObjectStream>, Status> {
        let messages = self.shared.served.facts.objects();
        let messages = messages.ok_or_else(|| Status::failed_precondition("no objects are known of here"))?;
        let answer: Vec<_> = messages.into_iter().map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(answer)))
    }

    type ListConnectionsStream = ConnectionStream;

    async fn list_connections(
        &self,
        request: Request<v1::ListConnectionsRequest>,
    ) -> Result<Response<ConnectionStream>, Status> {
        let Shared { served, connection_calls, shutdown, .. } = &*self.shared;
        let sources = served.facts.connections();
        let sources =
            sources.ok_or_else(|| Status::failed_precondition("no connections are tracked here"))?;
        let permit = Arc::clone(connection_calls).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{MAX_CALLS} lists of connections are made at once; try again"
            ))
        })?;
        let query = connections::Query::new(request.get_ref(), sources)
            .map_err(|invalid| Status::invalid_argument(invalid.to_string()))?;
        Ok(Response::new(ConnectionStream::new(query, permit, shutdown.subscribe())))
    }
}

fn loss_answer(losses: &Losses) -> v1::GetLossResponse {
    let counter =
        |(source, count): (LossSource, u64)| v1::LossCounter { source: source.name().into(), count };
    let stages = losses.stages().map(|counts| {
        let StageCounts { stage, taken, given, left_out, lost } = counts;
        v1::StageCounts {
            stage: stage.name().into(),
            taken,
            given,
            left_out,
            lost: lost.into_iter().map(counter).collect(),
        }
    });
    v1::GetLossResponse {
        counters: losses.counts().map(counter).into(),
        stages: stages.into(),
        gaps: losses.gaps().iter().map(gap).collect(),
    }
}

fn gap(gap: &Gap) -> v1::Gap {
    let Gap { first_ns, last_ns, flows, cause } = *gap;
    let cause = match cause {
        GapCause::NothingRan => v1::GapCause::NothingRan,
        GapCause::NotSaved => v1::GapCause::NotSaved,
        GapCause::Unreadable => v1::GapCause::Unreadable,
        GapCause::Replaced => v1::GapCause::Replaced,
    };
    v1::Gap {
        first: (first_ns != i64::MIN).then(|| timestamp(first_ns)),
        last: Some(timestamp(last_ns)),
        cause: cause.into(),
        flows,
    }
}

/// Every identity of a directory and the reserved ones, by number. Two kernel identities may show one number.
fn identities(directory: &Directory) -> BTreeMap<u32, v1::Identity> {
    let reserved = Identity::all_reserved().filter_map(|(identity, _)| {
        let labels = identity.reserved_labels()?.to_strings();
        Some((identity.0, v1::Identity { identity: identity.0, labels, reserved: true, pods: 0 }))
    });
    let mut identities: BTreeMap<u32, v1::Identity> = reserved.collect();
    for (identity, labels) in directory.identities.values() {
        identities.entry(identity.0).or_insert_with(|| v1::Identity {
            identity: identity.0,
            labels: labels.to_strings(),
            reserved: false,
            pods: 0,
        });
    }
    for pod in directory.pods.values() {
        let endpoint = &pod.flow_endpoint;
        let entry = identities.entry(endpoint.identity.0).or_insert_with(|| v1::Identity {
            identity: endpoint.identity.0,
            labels: endpoint.labels.to_strings(),
            reserved: false,
            pods: 0,
        });
        entry.pods += 1;
    }
    identities
}
