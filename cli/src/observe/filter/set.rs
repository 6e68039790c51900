//! Each flag to its field.

use palomar_proto::flow::flow_filter::Experimental;
use palomar_proto::flow::{HttpHeader, IpVersion, NetworkInterface};

use super::ends::split;
use super::event_type;
use super::tracker::Tracker;
use super::values::{
    parse_direction, parse_drop_reason, parse_http_header, parse_identity, parse_ip_trace_id,
    parse_ip_version, parse_tcp_flags, parse_verdict, parse_workload,
};

/// Adds the value of a flag to the filter. The error says what is wrong with the value.
pub fn set(tracker: &mut Tracker, flag: &str, value: &str) -> Result<(), String> {
    let text = || value.to_owned();
    let (ends, what) = split(flag);
    match what {
        "pod" => tracker.add_end(ends, text(), |f| &mut f.source_pod, |f| &mut f.destination_pod),
        "service" => tracker.add_end(ends, text(), |f| &mut f.source_service, |f| &mut f.destination_service),
        "namespace" => tracker.add_namespace(ends, value),
        "all-namespaces" => tracker.add_namespace(ends, ""),
        "workload" => {
            let workload = parse_workload(value);
            tracker.add_end(ends, workload, |f| &mut f.source_workload, |f| &mut f.destination_workload);
        }
        "label" => tracker.add_end(ends, text(), |f| &mut f.source_label, |f| &mut f.destination_label),
        "ip" => tracker.add_end(ends, text(), |f| &mut f.source_ip, |f| &mut f.destination_ip),
        "port" => tracker.add_end(ends, text(), |f| &mut f.source_port, |f| &mut f.destination_port),
        "fqdn" => tracker.add_end(ends, text(), |f| &mut f.source_fqdn, |f| &mut f.destination_fqdn),
        "identity" => {
            let identity = parse_identity(value)?;
            tracker.add_end(ends, identity, |f| &mut f.source_identity, |f| &mut f.destination_identity);
        }
        "cluster" => {
            tracker.add_end(
                ends,
                text(),
                |f| &mut f.source_cluster_name,
                |f| &mut f.destination_cluster_name,
            );
        }
        _ => set_own(tracker, what, value)?,
    }
    Ok(())
}

/// Flags that do not speak of an end.
fn set_own(tracker: &mut Tracker, flag: &str, value: &str) -> Result<(), String> {
    let text = || value.to_owned();
    match flag {
        "snat-ip" => tracker.add(text(), |f| &mut f.source_ip_xlated),
        "ipv4" => tracker.add(IpVersion::IPv4 as i32, |f| &mut f.ip_version),
        "ipv6" => tracker.add(IpVersion::IPv6 as i32, |f| &mut f.ip_version),
        "ip-version" => tracker.add(parse_ip_version(value) as i32, |f| &mut f.ip_version),
        "interface" => tracker.add(NetworkInterface { index: 0, name: text() }, |f| &mut f.interface),
        "verdict" => tracker.add(parse_verdict(value)?, |f| &mut f.verdict),
        "drop-reason-desc" => tracker.add(parse_drop_reason(value)?, |f| &mut f.drop_reason_desc),
        "type" => tracker.add(event_type::parse(value)?, |f| &mut f.event_type),
        "protocol" => tracker.add(text(), |f| &mut f.protocol),
        "tcp-flags" => tracker.add(parse_tcp_flags(value)?, |f| &mut f.tcp_flags),
        "traffic-direction" => tracker.add(parse_direction(value)?, |f| &mut f.traffic_direction),
        "http-status" => tracker.add(text(), |f| &mut f.http_status_code),
        "http-method" => tracker.add(text(), |f| &mut f.http_method),
        "http-path" => tracker.add(text(), |f| &mut f.http_path),
        "http-url" => tracker.add(text(), |f| &mut f.http_url),
        "http-header" => {
            let (key, value) = parse_http_header(value)?;
            tracker.add(HttpHeader { key, value }, |f| &mut f.http_header);
        }
        "encrypted" => tracker.add(true, |f| &mut f.encrypted),
        "unencrypted" => tracker.add(false, |f| &mut f.encrypted),
        "uuid" => tracker.add(text(), |f| &mut f.uuid),
        "trace-id" => tracker.add(text(), |f| &mut f.trace_id),
        "ip-trace-id" => tracker.add(parse_ip_trace_id(value)?, |f| &mut f.ip_trace_id),
        "node-name" => tracker.add(text(), |f| &mut f.node_name),
        "node-label" => tracker.add(text(), |f| &mut f.node_labels),
        "cel-expression" => tracker
            .add(text(), |f| &mut f.experimental.get_or_insert_with(Experimental::default).cel_expression),
        _ => return Err("a filter flag that is declared and not built".to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{ADDRESSES, EVENTS, PODS};

    #[test]
    fn every_declared_filter_flag_is_built() {
        for flag in PODS.iter().chain(&ADDRESSES).chain(&EVENTS).filter(|flag| flag.long != "not") {
            let error = set(&mut Tracker::default(), flag.long, "1").err().unwrap_or_default();
            assert_ne!(error, "a filter flag that is declared and not built", "{}", flag.long);
        }
    }
}
