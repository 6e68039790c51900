//! Hubble's `FlowFilter`, compiled.
//!
//! All fields of a filter must match, any value of a field, any filter of a list. A filter without fields
//! matches everything. What can be said of an endpoint alone (identity, pod, workload, labels, cluster) is kept
//! apart, so that a [`Memo`] can decide it once for each distinct endpoint.

mod cluster;
mod direction;
mod drop_reason;
mod encrypted;
mod endpoint;
mod error;
mod event_type;
mod experimental;
mod fqdn;
mod http;
mod identity;
mod interface;
mod ip;
mod ip_version;
mod labels;
mod memo;
mod name;
mod node_name;
mod pattern;
mod pod;
mod port;
mod protocol;
mod reply;
mod service;
mod single;
mod tcp_flags;
mod trace_id;
mod uuid;
mod verdict;
mod workload;

use palomar_proto::flow::FlowFilter;

use self::endpoint::EndpointTest;
pub use self::error::InvalidFilter;
pub use self::memo::Memo;
use self::memo::{Decide, Each};
use self::single::FlowTest;
use crate::view::{FlowView, Side};

/// A white list and a black list of filters: a flow is wanted if any filter of the white list matches (or that
/// list is empty) and none of the black list.
#[derive(Debug, Default)]
pub struct Filters {
    whitelist: Vec<Filter>,
    blacklist: Vec<Filter>,
}

impl Filters {
    /// Compiles both lists. The error is that of the first wrong field, in the order in which the stock server
    /// looks at them, and in its words.
    pub fn compile(whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<Self, InvalidFilter> {
        let compile = |list: &[FlowFilter]| list.iter().map(Filter::compile).collect::<Result<Vec<_>, _>>();
        Ok(Self { whitelist: compile(whitelist)?, blacklist: compile(blacklist)? })
    }

    /// Whether every flow is wanted, because both lists are empty.
    pub fn is_unrestricted(&self) -> bool {
        self.whitelist.is_empty() && self.blacklist.is_empty()
    }

    /// Whether the flow is wanted.
    pub fn matches<V: FlowView>(&self, flow: &V) -> bool {
        self.decide(flow, &mut Each)
    }

    /// Whether the flow is wanted. The memo must have been used with these filters only, and with views whose
    /// [`endpoint_key`](FlowView::endpoint_key) always stands for the same endpoint.
    pub fn matches_with<V: FlowView>(&self, flow: &V, memo: &mut Memo) -> bool {
        self.decide(flow, memo)
    }

    fn decide<V: FlowView>(&self, flow: &V, endpoints: &mut impl Decide) -> bool {
        let mut any = |list: &[Filter], first: usize| {
            list.iter().zip(first..).any(|(filter, index)| filter.matches(flow, index, endpoints))
        };
        (self.whitelist.is_empty() || any(&self.whitelist, 0)) && !any(&self.blacklist, self.whitelist.len())
    }
}

/// One filter: every test must pass.
#[derive(Debug)]
struct Filter {
    source: Vec<EndpointTest>,
    destination: Vec<EndpointTest>,
    flow: Vec<FlowTest>,
}

impl Filter {
    fn compile(filter: &FlowFilter) -> Result<Self, InvalidFilter> {
        let mut tests = Self { source: Vec::new(), destination: Vec::new(), flow: Vec::new() };
        // the order decides which of several errors is reported
        tests.flow.extend(uuid::compile(filter));
        tests.flow.extend(event_type::compile(filter));
        tests.flow.extend(verdict::compile(filter));
        tests.flow.extend(drop_reason::compile(filter));
        tests.flow.extend(reply::compile(filter));
        tests.flow.extend(encrypted::compile(filter));
        tests.on_both(|side| Ok(identity::compile(filter, side)))?;
        tests.flow.extend(protocol::compile(filter)?);
        tests.flow.extend(ip::compile(filter)?);
        tests.on_both(|side| pod::compile(filter, side))?;
        tests.on_both(|side| Ok(workload::compile(filter, side)))?;
        tests.flow.extend(service::compile(filter)?);
        tests.flow.extend(fqdn::compile(filter)?);
        tests.on_both(|side| labels::compile(filter, side))?;
        tests.flow.extend(labels::compile_node(filter)?);
        tests.flow.extend(port::compile(filter)?);
        tests.flow.extend(http::compile(filter)?);
        tests.flow.extend(tcp_flags::compile(filter));
        tests.flow.extend(node_name::compile(filter)?);
        tests.on_both(|side| cluster::compile(filter, side))?;
        tests.flow.extend(ip_version::compile(filter));
        tests.flow.extend(trace_id::compile(filter));
        tests.flow.extend(direction::compile(filter));
        experimental::compile(filter)?;
        tests.flow.extend(interface::compile(filter));
        tests.flow.extend(trace_id::compile_ip(filter));
        Ok(tests)
    }

    fn on_both(
        &mut self,
        compile: impl Fn(Side) -> Result<Option<EndpointTest>, InvalidFilter>,
    ) -> Result<(), InvalidFilter> {
        self.source.extend(compile(Side::Source)?);
        self.destination.extend(compile(Side::Destination)?);
        Ok(())
    }

    fn matches<V: FlowView>(&self, flow: &V, index: usize, endpoints: &mut impl Decide) -> bool {
        let mut endpoint_matches = |side: Side| {
            let tests = side.of(&self.source, &self.destination);
            tests.is_empty()
                || endpoints.decide(index, side, flow.endpoint_key(side), || {
                    let endpoint = flow.endpoint(side);
                    tests.iter().all(|test| test.matches(endpoint))
                })
        };
        endpoint_matches(Side::Source)
            && endpoint_matches(Side::Destination)
            && self.flow.iter().all(|test| test.matches(flow))
    }
}
