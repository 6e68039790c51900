//! `event_type`.

use palomar_proto::flow::{EventTypeFilter, FlowFilter};

use super::test::Test;
use crate::view::FlowView;

/// Event types of which one must be the flow's. Type 0 is any type; a flow without an event type never matches.
#[derive(Debug)]
pub(super) struct EventTypes(Vec<EventTypeFilter>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.event_type.is_empty()).then(|| Test::EventType(EventTypes(filter.event_type.clone())))
}

impl EventTypes {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.event_type().is_some_and(|(kind, sub_type)| {
            self.0.iter().any(|wanted| {
                (wanted.r#type == 0 || wanted.r#type == kind)
                    && (!wanted.match_sub_type || wanted.sub_type == sub_type)
            })
        })
    }
}
