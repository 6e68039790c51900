//! Flags that say which flows match.

use clap::Arg;

use super::declare::{Declared, Purpose, group, switch, valued};

const PODS: [Declared; 18] = [
    valued(
        "pod",
        "POD",
        "Pod by [namespace/]prefix, as source or destination; \"default\" is the namespace if none is given",
    ),
    valued("from-pod", "POD", "Source pod"),
    valued("to-pod", "POD", "Destination pod"),
    valued("namespace", "NAMESPACE", "Namespace of source or destination").short('n'),
    valued("from-namespace", "NAMESPACE", "Namespace of the source"),
    valued("to-namespace", "NAMESPACE", "Namespace of the destination"),
    switch("all-namespaces", "Pods and services of any namespace").short('A'),
    switch("from-all-namespaces", "Source pods and services of any namespace"),
    switch("to-all-namespaces", "Destination pods and services of any namespace"),
    valued("service", "SERVICE", "Service by [namespace/]prefix, as source or destination"),
    valued("from-service", "SERVICE", "Source service"),
    valued("to-service", "SERVICE", "Destination service"),
    valued("workload", "WORKLOAD", "Workload: name, Kind/name or Kind/, as source or destination"),
    valued("from-workload", "WORKLOAD", "Source workload"),
    valued("to-workload", "WORKLOAD", "Destination workload"),
    valued("label", "SELECTOR", "Label selector (app=web,tier in (a,b)) on source or destination").short('l'),
    valued("from-label", "SELECTOR", "Label selector on the source"),
    valued("to-label", "SELECTOR", "Label selector on the destination"),
];

const ADDRESSES: [Declared; 20] = [
    valued("ip", "IP", "Address or CIDR of source or destination"),
    valued("from-ip", "IP", "Source address or CIDR"),
    valued("to-ip", "IP", "Destination address or CIDR"),
    valued("snat-ip", "IP", "Address or CIDR that the source was translated to"),
    switch("ipv4", "IPv4 flows").short('4'),
    switch("ipv6", "IPv6 flows").short('6'),
    valued("ip-version", "VERSION", "none, v4, v6"),
    valued("port", "PORT", "Port of source or destination"),
    valued("from-port", "PORT", "Source port"),
    valued("to-port", "PORT", "Destination port"),
    valued(
        "identity",
        "IDENTITY",
        "Security identity of source or destination: a number or a reserved name such as world",
    ),
    valued("from-identity", "IDENTITY", "Security identity of the source"),
    valued("to-identity", "IDENTITY", "Security identity of the destination"),
    valued("fqdn", "PATTERN", "DNS name of source or destination; * stands for any part"),
    valued("from-fqdn", "PATTERN", "DNS name of the source"),
    valued("to-fqdn", "PATTERN", "DNS name of the destination"),
    valued("cluster", "CLUSTER", "Cluster of source or destination"),
    valued("from-cluster", "CLUSTER", "Cluster of the source"),
    valued("to-cluster", "CLUSTER", "Cluster of the destination"),
    valued("interface", "NAME", "Network interface on which the flow was seen; empty: any"),
];

const EVENTS: [Declared; 20] = [
    valued("verdict", "VERDICT", "FORWARDED, DROPPED, ERROR, AUDIT, REDIRECTED, TRACED, TRANSLATED, VERDICT_UNKNOWN"),
    valued("drop-reason-desc", "REASON", "Why it was dropped, such as POLICY_DENIED"),
    valued(
        "type",
        "TYPE[:SUB]",
        "Event: drop, capture, trace, policy-verdict, trace-sock, l7, or a number; with sub-type: trace:to-endpoint, drop:133",
    )
    .short('t'),
    valued("protocol", "PROTOCOL", "tcp, udp, sctp, icmp, icmpv4, icmpv6, vrrp, igmp, dns, http, kafka"),
    valued("tcp-flags", "FLAGS", "TCP flags that are all set, such as SYN,ACK"),
    valued("traffic-direction", "DIRECTION", "ingress, egress; seen from the pod at which it was noticed"),
    valued("http-status", "STATUS", "HTTP status: 404, or a prefix such as 5+"),
    valued("http-method", "METHOD", "HTTP method"),
    valued("http-path", "REGEX", "Path of the HTTP request"),
    valued("http-url", "REGEX", "URL of the HTTP request"),
    valued("http-header", "NAME:VALUE", "HTTP header"),
    switch("encrypted", "Encrypted flows"),
    switch("unencrypted", "Unencrypted flows"),
    valued("uuid", "UUID", "One flow by its number"),
    valued("trace-id", "ID", "Trace id of the request"),
    valued("ip-trace-id", "NUMBER", "Trace id in the IP options"),
    valued("node-name", "PATTERN", "Node that saw the flow: [cluster/]node, with * for any part"),
    valued("node-label", "SELECTOR", "Label selector on that node"),
    valued("cel-expression", "EXPRESSION", "CEL expression over _flow, judged by the server"),
    switch("not", "The next filter flag, and only that, says which flows not to show"),
];

const RAW: [Declared; 2] = [
    valued(
        "allowlist",
        "JSON",
        "Flows that match this FlowFilter in JSON; several in one value may follow each other",
    ),
    valued("denylist", "JSON", "Not the flows that match this FlowFilter in JSON"),
];

/// All filter flags.
pub fn args(purpose: Purpose) -> Vec<Arg> {
    [
        group(&PODS, "Filters: who", purpose),
        group(&ADDRESSES, "Filters: where", purpose),
        group(&EVENTS, "Filters: what", purpose),
        group(&RAW, "Filters: as the server takes them", purpose),
    ]
    .concat()
}

/// Whether the flag of that long name makes up a filter with others; `--not` does as well.
pub fn is_filter(long: &str) -> bool {
    PODS.iter().chain(&ADDRESSES).chain(&EVENTS).any(|flag| flag.long == long)
}
