//! `experimental.cel_expression`: refused, since a filter that is not evaluated must not seem to be.

use palomar_proto::flow::FlowFilter;

use super::InvalidFilter;

pub(super) fn compile(filter: &FlowFilter) -> Result<(), InvalidFilter> {
    let expressions =
        filter.experimental.as_ref().map_or(&[][..], |experimental| &experimental.cel_expression);
    expressions.first().map_or(Ok(()), |expression| Err(InvalidFilter::Cel(expression.clone())))
}
