//! Which fields of a flow filter a connection can be asked for.

use palomar_flow::filter::{Filters, InvalidFilter};
use palomar_proto::flow::FlowFilter;

/// A filter that cannot be asked of connections.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConnectionFilter {
    /// A field that speaks of a single flow.
    #[error(
        "a connection has no {field} to filter by; choose from: the source_ and destination_ fields ip, pod, label, \
         service, workload, cluster_name, port, identity; protocol, ip_version"
    )]
    Field {
        /// The field's name.
        field: &'static str,
    },
    /// A value that is none.
    #[error(transparent)]
    Value(#[from] InvalidFilter),
}

/// Compiles both lists.
pub(super) fn compile(
    whitelist: &[FlowFilter],
    blacklist: &[FlowFilter],
) -> Result<Filters, InvalidConnectionFilter> {
    whitelist.iter().chain(blacklist).try_for_each(check)?;
    Ok(Filters::compile(whitelist, blacklist)?)
}

/// Refuses the first field that is set and speaks of what a connection has not.
fn check(filter: &FlowFilter) -> Result<(), InvalidConnectionFilter> {
    let FlowFilter {
        source_ip: _,
        source_pod: _,
        source_label: _,
        source_service: _,
        source_workload: _,
        source_cluster_name: _,
        source_port: _,
        source_identity: _,
        destination_ip: _,
        destination_pod: _,
        destination_label: _,
        destination_service: _,
        destination_workload: _,
        destination_cluster_name: _,
        destination_port: _,
        destination_identity: _,
        protocol: _,
        ip_version: _,
        uuid,
        source_ip_xlated,
        source_fqdn,
        destination_fqdn,
        traffic_direction,
        verdict,
        drop_reason_desc,
        interface,
        event_type,
        http_status_code,
        reply,
        dns_query,
        http_method,
        http_path,
        http_url,
        http_header,
        tcp_flags,
        node_name,
        node_labels,
        trace_id,
        ip_trace_id,
        encrypted,
        experimental,
    } = filter;
    let foreign = [
        ("uuid", uuid.is_empty()),
        ("source_ip_xlated", source_ip_xlated.is_empty()),
        ("source_fqdn", source_fqdn.is_empty()),
        ("destination_fqdn", destination_fqdn.is_empty()),
        ("traffic_direction", traffic_direction.is_empty()),
        ("verdict", verdict.is_empty()),
        ("drop_reason_desc", drop_reason_desc.is_empty()),
        ("interface", interface.is_empty()),
        ("event_type", event_type.is_empty()),
        ("http_status_code", http_status_code.is_empty()),
        ("reply", reply.is_empty()),
        ("dns_query", dns_query.is_empty()),
        ("http_method", http_method.is_empty()),
        ("http_path", http_path.is_empty()),
        ("http_url", http_url.is_empty()),
        ("http_header", http_header.is_empty()),
        ("tcp_flags", tcp_flags.is_empty()),
        ("node_name", node_name.is_empty()),
        ("node_labels", node_labels.is_empty()),
        ("trace_id", trace_id.is_empty()),
        ("ip_trace_id", ip_trace_id.is_empty()),
        ("encrypted", encrypted.is_empty()),
        ("experimental", experimental.is_none()),
    ];
    match foreign.into_iter().find(|(_, is_empty)| !is_empty) {
        Some((field, _)) => Err(InvalidConnectionFilter::Field { field }),
        None => Ok(()),
    }
}
