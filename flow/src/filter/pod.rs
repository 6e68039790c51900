//! `source_pod`, `destination_pod`.

use palomar_proto::flow::FlowFilter;

use super::InvalidFilter;
use super::endpoint::Asked;
use super::name::NamePrefixes;
use super::test::Test;
use crate::view::Side;

pub(super) fn compile(filter: &FlowFilter, side: Side) -> Result<Option<Test>, InvalidFilter> {
    let pods = side.of(&filter.source_pod, &filter.destination_pod);
    if pods.is_empty() {
        return Ok(None);
    }
    let names = NamePrefixes::compile(pods).ok_or(InvalidFilter::EmptyName)?;
    Ok(Some(Asked::Pod(names).of(side)))
}
