//! How much one request may ask: what a client can make a server remember has a bound.

use palomar_proto::flow::FlowFilter;

use super::{InvalidFilter, MAX_CEL_EXPRESSIONS, MAX_FILTERS, MAX_REGEXPS, MAX_VALUES};

pub(super) fn check(whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<(), InvalidFilter> {
    let filters = whitelist.len() + blacklist.len();
    if filters > MAX_FILTERS {
        return Err(InvalidFilter::TooManyFilters(filters));
    }
    let (mut all, mut all_regexps) = (0, 0);
    for filter in whitelist.iter().chain(blacklist) {
        let (values, regexps) = count(filter);
        all += values;
        all_regexps += regexps;
    }
    if all > MAX_VALUES {
        return Err(InvalidFilter::TooManyValues(all));
    }
    if all_regexps > MAX_REGEXPS {
        return Err(InvalidFilter::TooManyRegexps(all_regexps));
    }
    let experimental = whitelist.iter().chain(blacklist).filter_map(|filter| filter.experimental.as_ref());
    let expressions = experimental.map(|experimental| experimental.cel_expression.len()).sum();
    if expressions > MAX_CEL_EXPRESSIONS {
        return Err(InvalidFilter::TooManyCelExpressions(expressions));
    }
    Ok(())
}

/// How many values a filter has, and how many of them are regular expressions.
fn count(filter: &FlowFilter) -> (usize, usize) {
    let FlowFilter {
        uuid,
        source_ip,
        source_ip_xlated,
        source_pod,
        source_fqdn,
        source_label,
        source_service,
        source_workload,
        source_cluster_name,
        destination_ip,
        destination_pod,
        destination_fqdn,
        destination_label,
        destination_service,
        destination_workload,
        destination_cluster_name,
        traffic_direction,
        verdict,
        drop_reason_desc,
        interface,
        event_type,
        http_status_code,
        protocol,
        source_port,
        destination_port,
        reply,
        dns_query,
        source_identity,
        destination_identity,
        http_method,
        http_path,
        http_url,
        http_header,
        tcp_flags,
        node_name,
        node_labels,
        ip_version,
        trace_id,
        ip_trace_id,
        encrypted,
        experimental,
    } = filter;
    let texts = [
        uuid,
        source_ip,
        source_ip_xlated,
        source_pod,
        source_fqdn,
        source_label,
        source_service,
        source_cluster_name,
        destination_ip,
        destination_pod,
        destination_fqdn,
        destination_label,
        destination_service,
        destination_cluster_name,
        http_status_code,
        protocol,
        source_port,
        destination_port,
        http_method,
        node_name,
        node_labels,
        trace_id,
    ];
    let numbers = [traffic_direction, verdict, drop_reason_desc, ip_version];
    let others = [
        source_workload.len(),
        destination_workload.len(),
        interface.len(),
        event_type.len(),
        reply.len(),
        source_identity.len(),
        destination_identity.len(),
        http_header.len(),
        tcp_flags.len(),
        ip_trace_id.len(),
        encrypted.len(),
        experimental.as_ref().map_or(0, |experimental| experimental.cel_expression.len()),
    ];
    let regexps = dns_query.len() + http_path.len() + http_url.len();
    let values = texts.iter().map(|values| values.len()).sum::<usize>()
        + numbers.iter().map(|values| values.len()).sum::<usize>()
        + others.iter().sum::<usize>();
    (values + regexps, regexps)
}
