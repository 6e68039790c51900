//! Flags that say which flows match.

use super::declare::{Declared, filter, mark, text};

const VERDICTS: [&str; 7] = ["FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED"];
const TYPES: [&str; 6] = ["capture", "drop", "l7", "policy-verdict", "trace", "trace-sock"];
const PROTOCOLS: [&str; 11] =
    ["tcp", "udp", "sctp", "icmp", "icmpv4", "icmpv6", "vrrp", "igmp", "dns", "http", "kafka"];
pub(super) const IDENTITIES: [&str; 10] = [
    "host",
    "world",
    "unmanaged",
    "health",
    "init",
    "remote-node",
    "kube-apiserver",
    "ingress",
    "world-ipv4",
    "world-ipv6",
];

/// Who.
pub const PODS: [Declared; 18] = [
    filter(
        "pod",
        "POD",
        "Pod by [namespace/]prefix, as source or destination; \"default\" is the namespace if none is given",
    ),
    filter("from-pod", "POD", "Source pod"),
    filter("to-pod", "POD", "Destination pod"),
    filter("namespace", "NAMESPACE", "Namespace of source or destination").short('n'),
    filter("from-namespace", "NAMESPACE", "Namespace of the source"),
    filter("to-namespace", "NAMESPACE", "Namespace of the destination"),
    mark("all-namespaces", "Pods and services of any namespace").short('A'),
    mark("from-all-namespaces", "Source pods and services of any namespace"),
    mark("to-all-namespaces", "Destination pods and services of any namespace"),
    filter("service", "SERVICE", "Service by [namespace/]prefix, as source or destination"),
    filter("from-service", "SERVICE", "Source service"),
    filter("to-service", "SERVICE", "Destination service"),
    filter("workload", "WORKLOAD", "Workload: name, Kind/name or Kind/, as source or destination"),
    filter("from-workload", "WORKLOAD", "Source workload"),
    filter("to-workload", "WORKLOAD", "Destination workload"),
    filter("label", "SELECTOR", "Label selector (app=web,tier in (a,b)) on source or destination").short('l'),
    filter("from-label", "SELECTOR", "Label selector on the source"),
    filter("to-label", "SELECTOR", "Label selector on the destination"),
];

/// Where.
pub const ADDRESSES: [Declared; 20] = [
    filter("ip", "IP", "Address or CIDR of source or destination"),
    filter("from-ip", "IP", "Source address or CIDR"),
    filter("to-ip", "IP", "Destination address or CIDR"),
    filter("snat-ip", "IP", "Address or CIDR that the source was translated to"),
    mark("ipv4", "IPv4 flows").short('4'),
    mark("ipv6", "IPv6 flows").short('6'),
    filter("ip-version", "VERSION", "none, v4, v6").choices(&["none", "v4", "v6"]),
    filter("port", "PORT", "Port of source or destination"),
    filter("from-port", "PORT", "Source port"),
    filter("to-port", "PORT", "Destination port"),
    filter(
        "identity",
        "IDENTITY",
        "Security identity of source or destination: a number or a reserved name such as world",
    )
    .choices(&IDENTITIES),
    filter("from-identity", "IDENTITY", "Security identity of the source").choices(&IDENTITIES),
    filter("to-identity", "IDENTITY", "Security identity of the destination").choices(&IDENTITIES),
    filter("fqdn", "PATTERN", "DNS name of source or destination; * stands for any part"),
    filter("from-fqdn", "PATTERN", "DNS name of the source"),
    filter("to-fqdn", "PATTERN", "DNS name of the destination"),
    filter("cluster", "CLUSTER", "Cluster of source or destination"),
    filter("from-cluster", "CLUSTER", "Cluster of the source"),
    filter("to-cluster", "CLUSTER", "Cluster of the destination"),
    filter("interface", "NAME", "Network interface on which the flow was seen; empty: any"),
];

/// What.
pub const EVENTS: [Declared; 20] = [
    filter("verdict", "VERDICT", "FORWARDED, DROPPED, ERROR, AUDIT, REDIRECTED, TRACED, TRANSLATED, VERDICT_UNKNOWN").choices(&VERDICTS),
    filter("drop-reason-desc", "REASON", "Why it was dropped, such as POLICY_DENIED"),
    filter(
        "type",
        "TYPE[:SUB]",
        "Event: drop, capture, trace, policy-verdict, trace-sock, l7, or a number; with sub-type: trace:to-endpoint, drop:133",
    ).choices(&TYPES)
    .short('t'),
    filter("protocol", "PROTOCOL", "tcp, udp, sctp, icmp, icmpv4, icmpv6, vrrp, igmp, dns, http, kafka").choices(&PROTOCOLS),
    filter("tcp-flags", "FLAGS", "TCP flags that are all set, such as SYN,ACK"),
    filter("traffic-direction", "DIRECTION", "ingress, egress; seen from the pod at which it was noticed").choices(&["ingress", "egress"]),
    filter("http-status", "STATUS", "HTTP status: 404, or a prefix such as 5+"),
    filter("http-method", "METHOD", "HTTP method").choices(&["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]),
    filter("http-path", "REGEX", "Path of the HTTP request"),
    filter("http-url", "REGEX", "URL of the HTTP request"),
    filter("http-header", "NAME:VALUE", "HTTP header"),
    mark("encrypted", "Encrypted flows"),
    mark("unencrypted", "Unencrypted flows"),
    filter("uuid", "UUID", "One flow by its number"),
    filter("trace-id", "ID", "Trace id of the request"),
    filter("ip-trace-id", "NUMBER", "Trace id in the IP options"),
    filter("node-name", "PATTERN", "Node that saw the flow: [cluster/]node, with * for any part"),
    filter("node-label", "SELECTOR", "Label selector on that node"),
    filter("cel-expression", "EXPRESSION", "CEL expression over _flow, judged by the server or, over --input-file, here"),
    mark("not", "The next filter flag, and only that, says which flows not to show"),
];

/// Filters as JSON.
pub const RAW: [Declared; 2] = [
    text(
        "allowlist",
        "JSON",
        "Flows that match this FlowFilter in JSON; several in one value may follow each other",
    ),
    text("denylist", "JSON", "Not the flows that match this FlowFilter in JSON"),
];
