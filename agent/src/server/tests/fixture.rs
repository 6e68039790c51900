//! A ring with flows of a small cluster, the API over it, and a naive memory of the same flows.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use palomar_flow::convert::{NodeContext, to_proto};
use palomar_flow::json;
use palomar_flow::rest::Rest;
use palomar_model::attribution::PolicyRef;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet, Labels};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};
use palomar_proto::flow as proto;
use palomar_proto::observer::observer_server::Observer;
use palomar_proto::observer::{GetFlowsRequest, GetFlowsResponse};
use palomar_proto::palomar::v1;
use tokio_stream::StreamExt;
use tonic::{Request, Status};

use crate::directory::Directory;
use crate::enrich::SeenNamespaces;
use crate::losses::Losses;
use crate::ring::{Capacity, Interface, Record, Ring, Writer};
use crate::server::observer::ObserverService;
use crate::server::{AgentFacts, Api, Served, Shared};

pub struct Facts;

impl AgentFacts for Facts {
    fn agent_status(&self) -> v1::GetAgentStatusResponse {
        v1::GetAgentStatusResponse { node_name: "node-1".into(), ..v1::GetAgentStatusResponse::default() }
    }

    fn endpoints(&self) -> v1::ListEndpointsResponse {
        v1::ListEndpointsResponse::default()
    }
}

pub struct Fixture {
    pub writer: Writer,
    pub ring: Arc<Ring>,
    pub losses: Arc<Losses>,
    pub api: Api,
    pub node: Arc<NodeContext>,
    /// Every flow that was written.
    pub flows: Vec<Flow>,
    /// Whether more is said of some flows than a record holds.
    pub says_more: bool,
    /// What was written beyond each.
    pub rests: Vec<Option<Rest>>,
    endpoints: Vec<Arc<FlowEndpoint>>,
}

pub fn fixture(capacity: u64) -> Fixture {
    fixture_for(capacity, 3)
}

pub fn fixture_for(capacity: u64, max_streams: usize) -> Fixture {
    fixture_with(capacity, max_streams, Losses::default())
}

pub fn fixture_with(capacity: u64, max_streams: usize, losses: Losses) -> Fixture {
    let (writer, ring) = Ring::new(Capacity::try_from(capacity).unwrap());
    let losses = Arc::new(losses);
    let labels = Labels::from([("zone".to_owned(), "a".to_owned())]);
    let node = Arc::new(NodeContext::new("node-1", "default", &labels, "0.1.0"));
    let directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
    let api = Api::new(Served {
        ring: Arc::clone(&ring),
        losses: Arc::clone(&losses),
        namespaces: Arc::new(SeenNamespaces::default()),
        directory: Arc::new(ArcSwap::from_pointee(directory)),
        node: Arc::clone(&node),
        facts: Arc::new(Facts),
        max_streams,
    });
    let endpoints = (0..6).map(endpoint).collect();
    Fixture {
        writer,
        ring,
        losses,
        api,
        node,
        flows: Vec::new(),
        says_more: false,
        rests: Vec::new(),
        endpoints,
    }
}

/// Five pods in two namespaces, and the world.
fn endpoint(n: u32) -> Arc<FlowEndpoint> {
    let namespace = if n < 3 { "np-demo" } else { "default" };
    let pod = (n < 5).then(|| ObjectName::new(namespace, format!("web-{n}")));
    Arc::new(FlowEndpoint {
        id: if n.is_multiple_of(2) { n + 10 } else { 0 },
        identity: if n < 5 { Identity(300 + n) } else { Identity::WORLD },
        labels: match &pod {
            Some(pod) => LabelSet::new(vec![Label::k8s("app", &pod.name)]),
            None => LabelSet::new(vec![Label::reserved("world")]),
        },
        workload: pod.is_some().then(|| Workload { name: "web".into(), kind: "Deployment".into() }),
        pod,
        cluster: Arc::from(if n < 5 { "default" } else { "" }),
    })
}

impl Fixture {
    /// Writes a flow whose every part depends on `seed`.
    pub fn write(&mut self, seed: u64, time_ns: i64) {
        let n = u32::try_from(seed % 1_000_003).unwrap();
        let byte = u8::try_from(seed % 251).unwrap();
        let end = |of: u32| Arc::clone(&self.endpoints[usize::try_from(of % 6).unwrap()]);
        let (event, verdict) = match n % 5 {
            0 => (Event::Drop(DropReason::POLICY_DENIED), Verdict::Dropped),
            1 => (Event::PolicyVerdict(MatchType::None), Verdict::Dropped),
            2 => (Event::PolicyVerdict(MatchType::L3L4), Verdict::Forwarded),
            3 => (Event::Trace(ObservationPoint::ToStack), Verdict::Forwarded),
            _ => (Event::Trace(ObservationPoint::ToEndpoint), Verdict::Forwarded),
        };
        let transport = match n % 3 {
            0 => Transport::Tcp { source: 40_000, destination: 8_080, flags: TcpFlags(TcpFlags::SYN) },
            1 => Transport::Udp { source: 40_000, destination: 53 },
            _ => Transport::Icmp { kind: 8, code: 0 },
        };
        let policy = PolicyRef::network_policy(ObjectName::new("np-demo", "web"));
        let flow = Flow {
            time_ns,
            uuid: self.ring.uuids().of(self.ring.written()),
            event,
            verdict,
            state: [ConnectionState::New, ConnectionState::Reply, ConnectionState::Unknown]
                [usize::from(byte % 3)],
            direction: if n % 7 < 3 { Direction::Ingress } else { Direction::Egress },
            source_address: if byte % 4 == 0 {
                [10, 0, 0, byte].into()
            } else {
                [0xfd, 0, 0, 0, 0, 0, 0, 9].into()
            },
            destination_address: [10, 0, 1, byte].into(),
            transport,
            source: end(n),
            destination: end(n / 6 + 1),
            source_service: None,
            destination_service: (n % 11 == 0).then(|| ObjectName::new("np-demo", "web")),
            interface: (n % 4, Arc::from("veth0")),
            policies: if n % 5 < 3 { Arc::from([policy]) } else { Arc::from([]) },
            policy_revision: 1,
        };
        let rest = self.rest(n, &flow);
        self.push(flow, rest);
    }

    /// Writes a flow like others whose source is a pod that is new with every flow.
    pub fn write_from_new_pod(&mut self, name: &str) {
        self.write(0, 0);
        let like = self.flows.last().unwrap().clone();
        let source = FlowEndpoint {
            pod: Some(ObjectName::new("np-demo", name)),
            labels: LabelSet::new(vec![Label::k8s("app", name)]),
            ..FlowEndpoint::clone(&like.source)
        };
        self.push(Flow { source: Arc::new(source), ..like }, None);
    }

    fn push(&mut self, flow: Flow, rest: Option<Rest>) {
        let mut record = self.record(&flow);
        record.rest = rest.clone().map(|rest| self.writer.rest(&Arc::new(rest)));
        self.writer.append(&[record]);
        self.flows.push(flow);
        self.rests.push(rest);
    }

    /// Of a few flows more is said than a record holds: what no filter reads, what filters read, and all of it.
    fn rest(&self, n: u32, flow: &Flow) -> Option<Rest> {
        let typed = to_proto(flow, &self.node);
        let message = match n % 17 {
            _ if !self.says_more => return None,
            3 => proto::Flow { proxy_port: 15_001, ..typed },
            8 => proto::Flow { verdict: proto::Verdict::Dropped.into(), node_name: "node-2".into(), ..typed },
            13 => {
                let text =
                    r#"{"l7":{"type":"REQUEST"},"destination":{"pod_name":"web-4","namespace":"default"}}"#;
                json::parse(text).unwrap().message
            }
            _ => return None,
        };
        Rest::of(&message, flow, &self.node)
    }

    /// The whole message of a flow that was written.
    pub fn message(&self, index: usize) -> proto::Flow {
        let flow = &self.flows[index];
        let rest = self.rests[index].as_ref();
        rest.map_or_else(|| to_proto(flow, &self.node), |rest| rest.with(flow, &self.node))
    }

    fn record(&mut self, flow: &Flow) -> Record {
        let writer = &mut self.writer;
        let (index, name) = flow.interface.clone();
        Record {
            time_ns: flow.time_ns,
            source_address: flow.source_address,
            destination_address: flow.destination_address,
            source: writer.endpoint(&flow.source),
            destination: writer.endpoint(&flow.destination),
            source_service: None,
            destination_service: flow
                .destination_service
                .clone()
                .map(|service| writer.service(&Arc::new(service))),
            interface: writer.interface(&Arc::new(Interface { index, name })),
            policies: writer.policies(&flow.policies),
            policy_revision: flow.policy_revision,
            transport: flow.transport,
            event: flow.event,
            verdict: flow.verdict,
            state: flow.state,
            direction: flow.direction,
            rest: None,
        }
    }

    /// Bytes on their way to all clients together.
    pub fn under_way(&self) -> usize {
        self.api.shared.buffers.under_way()
    }

    /// Waits until so many streams are served.
    pub async fn until_streams(&self, count: usize) {
        let Shared { served, streams, .. } = &*self.api.shared;
        while streams.available_permits() + count != served.max_streams {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn observer(&self) -> ObserverService {
        ObserverService::new(Arc::clone(&self.api.shared))
    }

    /// Begins a call inside this process.
    pub async fn open(&self, request: GetFlowsRequest) -> Result<Responses, Status> {
        Ok(Responses(self.observer().get_flows(Request::new(request)).await?.into_inner()))
    }

    /// The whole answer to a request that does not follow.
    pub async fn ask(&self, request: GetFlowsRequest) -> Result<Vec<GetFlowsResponse>, Status> {
        let mut responses = self.open(request).await?;
        let mut all = Vec::new();
        while let Some(response) = responses.next().await {
            all.push(response?);
        }
        Ok(all)
    }
}

pub struct Responses(<ObserverService as Observer>::GetFlowsStream);

impl Responses {
    /// The next response; a test fails that waits for longer than five seconds.
    pub async fn next(&mut self) -> Option<Result<GetFlowsResponse, Status>> {
        tokio::time::timeout(Duration::from_secs(5), self.0.next()).await.expect("a response within 5 s")
    }

    /// Whether nothing comes within a moment.
    pub async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(60), self.0.next()).await.is_err()
    }

    /// The times of the next flows.
    pub async fn times(&mut self, count: usize) -> Vec<i64> {
        let mut times = Vec::new();
        for _ in 0..count {
            let time = self.next().await.unwrap().unwrap().time.unwrap();
            times.push(time.seconds * 1_000_000_000 + i64::from(time.nanos));
        }
        times
    }
}
