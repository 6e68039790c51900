//! `ip_version`.

use palomar_proto::flow::FlowFilter;

use super::test::Test;
use crate::view::FlowView;

/// IP versions of which one must be the flow's; `IP_NOT_USED` is that of a flow without IP header.
#[derive(Debug)]
pub(super) struct IpVersions(Vec<i32>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.ip_version.is_empty()).then(|| Test::IpVersion(IpVersions(filter.ip_version.clone())))
}

impl IpVersions {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.is_flow() && self.0.contains(&flow.ip_version())
    }
}
