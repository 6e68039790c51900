//! Which of the recorded flows are replayed: as `observe` would show them.

use anyhow::Result;
use chrono::{DateTime, Utc};
use palomar_flow::filter::Filters as Compiled;
use palomar_proto::observer::GetFlowsRequest;
use prost_types::FieldMask;

use crate::arguments::Given;
use crate::observe::{Filters, Selectors};

/// The fields of a flow that a replay reads, and no others.
pub const MASK: [&str; 17] = [
    "verdict",
    "drop_reason_desc",
    "IP.source",
    "IP.destination",
    "l4",
    "source.identity",
    "source.namespace",
    "source.pod_name",
    "source.workloads",
    "destination.identity",
    "destination.namespace",
    "destination.pod_name",
    "destination.workloads",
    "event_type.type",
    "traffic_direction",
    "trace_reason",
    "is_reply",
];

/// A choice of flows; all, unless flags say otherwise.
pub struct Choice {
    /// The part of the past.
    pub selectors: Selectors,
    /// The same and the filters, for a server.
    pub request: GetFlowsRequest,
    /// The filters.
    pub filters: Compiled,
}

impl Choice {
    /// From the flags that `observe` has as well, with its errors.
    pub fn from_flags(given: &Given, filters: Filters, now: DateTime<Utc>) -> Result<Self> {
        filters.check_end()?;
        let mut selectors = Selectors::from_flags(given, now)?;
        selectors.all = selectors.last.is_none();
        let lists = filters.into_lists(given)?;
        let mut request = GetFlowsRequest {
            whitelist: lists.allow,
            blacklist: lists.deny,
            field_mask: Some(FieldMask { paths: MASK.map(str::to_owned).to_vec() }),
            ..GetFlowsRequest::default()
        };
        selectors.apply(&mut request);
        let filters = Compiled::compile(&request.whitelist, &request.blacklist)?;
        Ok(Self { selectors, request, filters })
    }
}
