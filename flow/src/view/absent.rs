//! What a filter reads of a response that carries no flow.

use std::borrow::Cow;

use palomar_proto::flow::{Endpoint, Flow};

use super::{Address, FlowView, Side, Transport, Uuid};

/// No flow: every field reads as absent, so that only negations and filters on "unset" match. Hubble's CLI treats
/// lost events and node states in a file that way.
#[derive(Debug, Clone, Copy)]
pub struct NoFlow;

impl FlowView for NoFlow {
    type Endpoint = Endpoint;

    fn is_flow(&self) -> bool {
        false
    }

    fn message(&self) -> Option<Cow<'_, Flow>> {
        None
    }

    fn endpoint(&self, _: Side) -> Option<&Endpoint> {
        None
    }

    fn service(&self, _: Side) -> Option<(&str, &str)> {
        None
    }

    fn address(&self, _: Side) -> Address<'_> {
        Address::NONE
    }

    fn ip_version(&self) -> i32 {
        0
    }

    fn transport(&self) -> Option<Transport> {
        None
    }

    fn uuid(&self) -> Uuid<'_> {
        Uuid::Text("")
    }

    fn event_type(&self) -> Option<(i32, i32)> {
        None
    }

    fn verdict(&self) -> i32 {
        0
    }

    fn drop_reason(&self) -> i32 {
        0
    }

    fn is_reply(&self) -> Option<bool> {
        None
    }

    fn traffic_direction(&self) -> i32 {
        0
    }

    fn interface(&self) -> Option<(u32, &str)> {
        None
    }

    fn node_name(&self) -> &'static str {
        ""
    }
}
