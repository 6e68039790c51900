//! Typed flows as views.

use std::borrow::Cow;

use palomar_model::flow::{Flow, FlowEndpoint};
use palomar_proto::flow as proto;

use super::{Address, EndpointView, FlowView, LabelParts, Side, Transport, Uuid};
use crate::convert::{self, NodeContext};
use crate::sighting::Sighting;

impl EndpointView for FlowEndpoint {
    fn identity(&self) -> u32 {
        self.identity.0
    }

    fn namespace(&self) -> &str {
        self.pod.as_ref().map_or("", |pod| &pod.namespace)
    }

    fn pod_name(&self) -> &str {
        self.pod.as_ref().map_or("", |pod| &pod.name)
    }

    fn cluster_name(&self) -> &str {
        &self.cluster
    }

    fn labels(&self) -> impl Iterator<Item = LabelParts<'_>> {
        self.labels.iter().map(LabelParts::from)
    }

    fn workloads(&self) -> impl Iterator<Item = (&str, &str)> {
        self.workload.iter().map(|workload| (workload.name.as_str(), workload.kind.as_str()))
    }
}

/// A typed flow and the node that saw it.
#[derive(Debug, Clone, Copy)]
pub struct TypedFlow<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// The node.
    pub node: &'a NodeContext,
}

impl FlowView for TypedFlow<'_> {
    type Endpoint = FlowEndpoint;

    fn message(&self) -> Option<Cow<'_, proto::Flow>> {
        Some(Cow::Owned(convert::to_proto(self.flow, self.node)))
    }

    fn endpoint(&self, side: Side) -> Option<&FlowEndpoint> {
        Some(side.of(&self.flow.source, &self.flow.destination))
    }

    fn service(&self, side: Side) -> Option<(&str, &str)> {
        let service = side.of(&self.flow.source_service, &self.flow.destination_service).as_ref();
        service.map(|service| (service.namespace.as_str(), service.name.as_str()))
    }

    fn address(&self, side: Side) -> Address<'_> {
        Address::Ip(side.of(self.flow.source_address, self.flow.destination_address))
    }

    fn ip_version(&self) -> i32 {
        convert::ip_version(self.flow.source_address) as i32
    }

    fn transport(&self) -> Option<Transport> {
        Transport::of_packet(self.flow.transport)
    }

    fn uuid(&self) -> Uuid<'_> {
        Uuid::Number(self.flow.uuid)
    }

    fn event_type(&self) -> Option<(i32, i32)> {
        Some(Sighting::of(self.flow).event_type())
    }

    fn verdict(&self) -> i32 {
        self.flow.verdict as i32
    }

    fn drop_reason(&self) -> i32 {
        Sighting::of(self.flow).drop_reason().into()
    }

    fn is_reply(&self) -> Option<bool> {
        Sighting::of(self.flow).is_reply()
    }

    fn traffic_direction(&self) -> i32 {
        Sighting::of(self.flow).traffic_direction() as i32
    }

    fn interface(&self) -> Option<(u32, &str)> {
        convert::interface(self.flow)
    }

    fn node_name(&self) -> &str {
        self.node.name()
    }

    fn node_labels(&self) -> impl Iterator<Item = &str> {
        self.node.labels().iter().map(String::as_str)
    }
}
