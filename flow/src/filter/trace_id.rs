//! `trace_id`, `ip_trace_id`.

use palomar_proto::flow::FlowFilter;

use super::test::Test;
use crate::view::FlowView;

/// Trace ids of which one must be the flow's; a flow without one has the empty id, as in Hubble.
#[derive(Debug)]
pub(super) struct TraceIds(Vec<String>);

/// IP trace ids of which one must be the flow's.
#[derive(Debug)]
pub(super) struct IpTraceIds(Vec<u64>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.trace_id.is_empty()).then(|| Test::TraceId(TraceIds(filter.trace_id.clone())))
}

pub(super) fn compile_ip(filter: &FlowFilter) -> Option<Test> {
    (!filter.ip_trace_id.is_empty()).then(|| Test::IpTraceId(IpTraceIds(filter.ip_trace_id.clone())))
}

impl TraceIds {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        self.0.iter().any(|wanted| wanted == flow.trace_id())
    }
}

impl IpTraceIds {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        self.0.contains(&flow.ip_trace_id())
    }
}
