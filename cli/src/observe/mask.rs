//! Which fields a server is asked for.

use anyhow::{Context, Result};
use palomar_flow::mask::{self, STOCK_DEFAULT};
use prost_types::FieldMask;

/// What the text formats print beyond the fields that Hubble's CLI asks for; it prints them as well, and forgets them.
const PRINTED_AS_WELL: [&str; 11] = [
    "traffic_direction",
    "policy_match_type",
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
    "auth_type",
    "source_names",
    "destination_names",
    "sock_xlate_point",
    "debug_capture_point",
];

/// The mask of the text formats: all that they print.
pub fn default_mask() -> FieldMask {
    FieldMask { paths: STOCK_DEFAULT.into_iter().chain(PRINTED_AS_WELL).map(str::to_owned).collect() }
}

/// The mask that a user asked for. A path that no flow has is an error.
pub fn custom_mask(paths: Vec<String>) -> Result<FieldMask> {
    mask::FieldMask::compile(&paths).context("failed to construct field mask")?;
    Ok(FieldMask { paths })
}
