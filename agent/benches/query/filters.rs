//! One filter of every field that a `FlowFilter` has.

use palomar_proto::flow::{
    EventTypeFilter, FlowFilter, IpVersion, TcpFlags, TrafficDirection, Verdict, Workload,
};

use crate::cluster::Known;

/// Each with the name of its field. Those of HTTP and DNS never match here: this server has no such flows.
pub fn every_field(known: &Known) -> Vec<(&'static str, FlowFilter)> {
    let base = FlowFilter::default;
    let one = |text: &str| vec![text.to_owned()];
    let Known { pod, service, interface } = known;
    let end = &pod.destination;
    let pod_name = end.pod.as_ref().expect("a pod").to_string();
    let label = end.labels.iter().next().expect("labels").to_string();
    let workload = end.workload.as_ref().expect("a workload");
    let workload = Workload { name: workload.name.clone(), kind: String::new() };
    let service = service.to_string();
    vec![
        ("uuid", FlowFilter { uuid: one("01234567-89ab-4def-8123-456789abcdef"), ..base() }),
        (
            "source_ip, an address",
            FlowFilter { source_ip: one(&pod.destination_address.to_string()), ..base() },
        ),
        ("destination_ip, a prefix", FlowFilter { destination_ip: one("10.244.0.0/29"), ..base() }),
        ("source_ip_xlated", FlowFilter { source_ip_xlated: one("10.0.0.1"), ..base() }),
        ("source_pod", FlowFilter { source_pod: one(&pod_name), ..base() }),
        ("destination_pod", FlowFilter { destination_pod: one(&pod_name), ..base() }),
        ("source_fqdn", FlowFilter { source_fqdn: one("*.example.com"), ..base() }),
        ("destination_label", FlowFilter { destination_label: one(&label), ..base() }),
        ("source_service", FlowFilter { source_service: one(&service), ..base() }),
        ("destination_service", FlowFilter { destination_service: one(&service), ..base() }),
        ("source_workload", FlowFilter { source_workload: vec![workload], ..base() }),
        ("source_cluster_name", FlowFilter { source_cluster_name: one("other"), ..base() }),
        (
            "traffic_direction",
            FlowFilter { traffic_direction: vec![TrafficDirection::Unknown.into()], ..base() },
        ),
        ("verdict", FlowFilter { verdict: vec![Verdict::Audit.into()], ..base() }),
        ("drop_reason_desc", FlowFilter { drop_reason_desc: vec![132], ..base() }),
        ("interface", FlowFilter { interface: vec![interface.clone()], ..base() }),
        (
            "event_type",
            FlowFilter {
                event_type: vec![EventTypeFilter { r#type: 4, match_sub_type: true, sub_type: 9 }],
                ..base()
            },
        ),
        ("http_status_code", FlowFilter { http_status_code: one("404"), ..base() }),
        ("protocol", FlowFilter { protocol: one("sctp"), ..base() }),
        ("source_port", FlowFilter { source_port: one("40000"), ..base() }),
        ("reply", FlowFilter { reply: vec![true], destination_port: one("1"), ..base() }),
        ("dns_query", FlowFilter { dns_query: one("^example"), ..base() }),
        ("source_identity", FlowFilter { source_identity: vec![end.identity.0], ..base() }),
        ("http_method", FlowFilter { http_method: one("get"), ..base() }),
        ("http_path", FlowFilter { http_path: one("^/items"), ..base() }),
        ("http_url", FlowFilter { http_url: one("id=1"), ..base() }),
        (
            "tcp_flags",
            FlowFilter { tcp_flags: vec![TcpFlags { rst: true, ..TcpFlags::default() }], ..base() },
        ),
        ("node_name", FlowFilter { node_name: one("sample/other-*"), ..base() }),
        ("node_labels", FlowFilter { node_labels: one("kubernetes.io/arch=arm64"), ..base() }),
        ("ip_version", FlowFilter { ip_version: vec![IpVersion::IpNotUsed.into()], ..base() }),
        ("trace_id", FlowFilter { trace_id: one("0af7651916cd43dd8448eb211c80319c"), ..base() }),
        ("ip_trace_id", FlowFilter { ip_trace_id: vec![7], ..base() }),
        ("encrypted", FlowFilter { encrypted: vec![true], ..base() }),
    ]
}

/// So many filters that differ, in every field that depends on an end, and on addresses and ports.
pub fn many(count: u32) -> Vec<FlowFilter> {
    let base = FlowFilter::default;
    let filter = |n: u32| match n % 5 {
        0 => FlowFilter { source_pod: vec![format!("nobody/pod-{n}")], ..base() },
        1 => FlowFilter { destination_label: vec![format!("k8s:nothing=v{n}")], ..base() },
        2 => FlowFilter { source_identity: vec![1_000_000 + n], verdict: vec![1], ..base() },
        3 => FlowFilter {
            destination_pod: vec![format!("nobody/pod-{n}")],
            destination_port: vec!["8080".into()],
            ..base()
        },
        _ => FlowFilter {
            source_workload: vec![Workload { name: format!("w{n}"), kind: String::new() }],
            ..base()
        },
    };
    (0..count).map(filter).collect()
}
