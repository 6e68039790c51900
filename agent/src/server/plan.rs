//! A `GetFlowsRequest`, checked and typed.

use palomar_flow::filter::{Filters, InvalidFilter};
use palomar_flow::mask::{FieldMask, InvalidFieldMask};
use palomar_proto::observer::GetFlowsRequest;
use prost::Message;
use prost_types::Timestamp;
use tonic::{Code, Status};

use crate::ring::TimeWindow;

/// Bytes of a request that is read in a moment.
const SHORT: usize = 2_048;

/// Where a query begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest flow of the window.
    Oldest,
    /// So that this many flows match before the newest; with the oldest if there are fewer.
    LastMatching(u64),
    /// Behind the newest flow.
    Newest,
}

/// Which part of what is remembered is asked for; all streaming calls share its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// Where to begin.
    pub start: Start,
    /// How many at most; `None` for no limit.
    pub limit: Option<u64>,
    /// Only what is of this time.
    pub window: TimeWindow,
    /// Whether the query goes on with what is new.
    pub follow: bool,
}

/// What is asked for.
#[derive(Debug)]
pub struct Plan {
    /// Where to begin.
    pub start: Start,
    /// How many flows at most; `None` for no limit.
    pub limit: Option<u64>,
    /// Only flows of this time.
    pub window: TimeWindow,
    /// Whether the query goes on with new flows.
    pub follow: bool,
    /// Only flows that match.
    pub filters: Filters,
    /// Only these fields.
    pub mask: FieldMask,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRequest {
    /// Both ends at once.
    #[error("first cannot be specified with follow")]
    FirstWithFollow,
    /// A filter is wrong.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// A path of the mask leads nowhere.
    #[error("{}", InvalidFieldMask::SERVER_TEXT)]
    Mask(#[source] InvalidFieldMask),
}

// === impl Plan ===

impl Plan {
    /// Whether reading a request may take more than a moment: long lists, regular expressions and CEL.
    pub fn takes_time(request: &GetFlowsRequest) -> bool {
        let mut filters = request.whitelist.iter().chain(&request.blacklist);
        request.encoded_len() > SHORT
            || filters.any(|filter| {
                !(filter.dns_query.is_empty() && filter.http_path.is_empty() && filter.http_url.is_empty())
                    || filter.experimental.is_some()
            })
    }

    /// Reads a request. Flows of the window count towards `number`, also from the end: the stock server counts
    /// those outside as well, and may give none.
    pub fn new(request: &GetFlowsRequest) -> Result<Self, InvalidRequest> {
        let GetFlowsRequest {
            number,
            first,
            follow,
            blacklist,
            whitelist,
            since,
            until,
            field_mask,
            experimental: _,
            extensions: _,
        } = request;
        let selection = Selection::new(*number, *first, *follow, since.as_ref(), until.as_ref())?;
        let Selection { start, limit, window, follow } = selection;
        let paths = field_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        Ok(Self {
            start,
            limit,
            window,
            follow,
            filters: Filters::compile(whitelist, blacklist)?,
            mask: FieldMask::compile(paths).map_err(InvalidRequest::Mask)?,
        })
    }
}

// === impl Selection ===

impl Selection {
    /// Reads the fields that select. What is in the window counts towards `number`.
    pub fn new(
        number: u64,
        first: bool,
        follow: bool,
        since: Option<&Timestamp>,
        until: Option<&Timestamp>,
    ) -> Result<Self, InvalidRequest> {
        check_selection(first, follow)?;
        let number = (number != 0).then_some(number);
        let start = match (first, follow, number, since) {
            (true, ..) | (_, false, None, _) | (_, true, None, Some(_)) => Start::Oldest,
            (_, true, None, None) => Start::Newest,
            (_, _, Some(number), _) => Start::LastMatching(number),
        };
        Ok(Self {
            start,
            limit: number.filter(|_| first),
            window: TimeWindow {
                since_ns: since.map_or(i64::MIN, nanoseconds),
                until_ns: until.map_or(i64::MAX, nanoseconds),
            },
            follow,
        })
    }
}

/// The rule that all streaming calls share.
pub fn check_selection(first: bool, follow: bool) -> Result<(), InvalidRequest> {
    if first && follow { Err(InvalidRequest::FirstWithFollow) } else { Ok(()) }
}

fn nanoseconds(time: &Timestamp) -> i64 {
    let ns = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

// === impl InvalidRequest ===

impl From<InvalidRequest> for Status {
    /// Clients print the bare text of an unknown code.
    fn from(error: InvalidRequest) -> Self {
        let code = match error {
            InvalidRequest::FirstWithFollow => Code::InvalidArgument,
            InvalidRequest::Filter(ref filter) if filter.is_too_much() => Code::InvalidArgument,
            InvalidRequest::Filter(_) | InvalidRequest::Mask(_) => Code::Unknown,
        };
        Self::new(code, error.to_string())
    }
}
