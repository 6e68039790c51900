//! The slow way: each flow as the message that the API tells, and each metric as Hubble's documentation says, with
//! texts all the way.

use std::collections::BTreeMap;

use palomar_flow::convert::{NodeContext, to_proto};
use palomar_model::flow::Flow;
use palomar_model::labels::Labels;
use palomar_proto::flow as proto;
use palomar_proto::flow::layer4::Protocol;

use super::fixture::Counts;
use crate::metrics::selection::{
    Chosen, ContextLabel, Identifier, Metric, Selection, SideFact, WorldOptions,
};

type Labelled = BTreeMap<String, String>;

/// What the counters should say of some flows.
pub fn expected(selection: &str, flows: &[Flow]) -> Counts {
    let selection = Selection::parse(&[selection]).unwrap();
    let node = NodeContext::new("node-1", "default", &Labels::new(), "0.1.0");
    let mut counts = Counts::new();
    for flow in flows {
        let message = to_proto(flow, &node);
        for chosen in selection.iter() {
            for own in samples(chosen.metric, &message) {
                let mut labels: Labelled =
                    own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                labels.extend(context_labels(chosen, &message));
                *counts.entry((format!("{}_total", chosen.metric.family()), labels)).or_default() += 1;
            }
        }
    }
    counts
}

fn samples(metric: Metric, flow: &proto::Flow) -> Vec<Vec<(&'static str, String)>> {
    let is_dropped = verdict(flow) == proto::Verdict::Dropped;
    let is_forwarded = verdict(flow) == proto::Verdict::Forwarded;
    let event = flow.event_type.unwrap();
    match metric {
        Metric::Drop if is_dropped => vec![vec![("reason", reason(flow)), ("protocol", protocol(flow))]],
        Metric::Flow => {
            let (kind, subtype) = match (event.r#type, event.sub_type) {
                (1, _) => ("Drop", ""),
                (4, 0) => ("Trace", "to-endpoint"),
                (4, 3) => ("Trace", "to-stack"),
                (4, 5) => ("Trace", "from-endpoint"),
                (5, _) => ("PolicyVerdict", ""),
                other => panic!("{other:?}"),
            };
            vec![vec![
                ("protocol", protocol(flow)),
                ("type", kind.into()),
                ("subtype", subtype.into()),
                ("verdict", verdict_name(flow)),
            ]]
        }
        Metric::FlowsToWorld(options) if counts_to_world(flow, options) => {
            let mut labels = vec![("protocol", protocol(flow)), ("verdict", verdict_name(flow))];
            if options.port {
                labels.push(("port", port(flow).map_or(String::new(), |port| port.to_string())));
            }
            vec![labels]
        }
        Metric::Icmp => match l4(flow) {
            Some(Protocol::IcmPv4(_)) => {
                vec![vec![("family", "IPv4".into()), ("type", summary(flow, "ICMPv4 "))]]
            }
            Some(Protocol::IcmPv6(_)) => {
                vec![vec![("family", "IPv6".into()), ("type", summary(flow, "ICMPv6 "))]]
            }
            _ => vec![],
        },
        Metric::Policy if event.r#type == 5 && flow.source.as_ref().unwrap().identity != 1 => {
            let matched = ["none", "l3-only", "l3-l4", "l4-only", "all", "l3-proto", "proto-only"];
            vec![vec![
                ("direction", direction(flow)),
                ("match", matched[usize::try_from(flow.policy_match_type).unwrap()].into()),
                ("action", verdict_name(flow).to_lowercase()),
            ]]
        }
        Metric::PortDistribution if is_forwarded && l4(flow).is_some() && flow.is_reply == Some(false) => {
            vec![vec![("protocol", protocol(flow)), ("port", port(flow).unwrap_or(0).to_string())]]
        }
        Metric::Tcp if is_forwarded => flag_names(flow)
            .into_iter()
            .map(|flag| vec![("flag", flag.to_owned()), ("family", family(flow).to_owned())])
            .collect(),
        _ => vec![],
    }
}

fn counts_to_world(flow: &proto::Flow, options: WorldOptions) -> bool {
    let WorldOptions { any_drop, port: _, syn_only } = options;
    let is_world = |label: &String| label.starts_with("reserved:world");
    if l4(flow).is_none() || !flow.destination.as_ref().unwrap().labels.iter().any(is_world) {
        return false;
    }
    let is_dropped = verdict(flow) == proto::Verdict::Dropped;
    if is_dropped && !any_drop && reason(flow) != "POLICY_DENIED" {
        return false;
    }
    if !is_dropped && flow.is_reply == Some(true) {
        return false;
    }
    !syn_only || flags(flow).syn && flow.is_reply != Some(true)
}

fn flag_names(flow: &proto::Flow) -> Vec<&'static str> {
    let flags = flags(flow);
    let mut told = vec![];
    if flags.fin {
        told.push("FIN");
    }
    if flags.syn {
        told.push(if flags.ack { "SYN-ACK" } else { "SYN" });
    }
    if flags.rst {
        told.push("RST");
    }
    told
}

fn verdict(flow: &proto::Flow) -> proto::Verdict {
    proto::Verdict::try_from(flow.verdict).unwrap()
}

fn verdict_name(flow: &proto::Flow) -> String {
    verdict(flow).as_str_name().to_owned()
}

fn reason(flow: &proto::Flow) -> String {
    proto::DropReason::try_from(flow.drop_reason_desc)
        .map_or_else(|_| flow.drop_reason_desc.to_string(), |reason| reason.as_str_name().to_owned())
}

fn l4(flow: &proto::Flow) -> Option<&Protocol> {
    flow.l4.as_ref()?.protocol.as_ref()
}

fn protocol(flow: &proto::Flow) -> String {
    let name = match l4(flow) {
        Some(Protocol::Tcp(_)) => "TCP",
        Some(Protocol::Udp(_)) => "UDP",
        Some(Protocol::Sctp(_)) => "SCTP",
        Some(Protocol::IcmPv4(_)) => "ICMPv4",
        Some(Protocol::IcmPv6(_)) => "ICMPv6",
        _ => "Unknown L4",
    };
    name.to_owned()
}

fn port(flow: &proto::Flow) -> Option<u32> {
    match l4(flow) {
        Some(Protocol::Tcp(tcp)) => Some(tcp.destination_port),
        Some(Protocol::Udp(udp)) => Some(udp.destination_port),
        Some(Protocol::Sctp(sctp)) => Some(sctp.destination_port),
        _ => None,
    }
}

fn flags(flow: &proto::Flow) -> proto::TcpFlags {
    match l4(flow) {
        Some(Protocol::Tcp(tcp)) => tcp.flags.unwrap(),
        _ => proto::TcpFlags::default(),
    }
}

fn family(flow: &proto::Flow) -> &'static str {
    match flow.ip.as_ref().unwrap().ip_version {
        1 => "IPv4",
        2 => "IPv6",
        other => panic!("{other}"),
    }
}

fn summary(flow: &proto::Flow, prefix: &str) -> String {
    flow.summary.strip_prefix(prefix).unwrap().trim_end_matches("; not delivered").to_owned()
}

fn direction(flow: &proto::Flow) -> String {
    match flow.traffic_direction {
        0 => "unknown".into(),
        1 => "ingress".into(),
        2 => "egress".into(),
        other => panic!("{other}"),
    }
}

fn context_labels(chosen: &Chosen, flow: &proto::Flow) -> Labelled {
    let mut labels = Labelled::new();
    let ip = flow.ip.as_ref().unwrap();
    let source = (flow.source.as_ref().unwrap(), &ip.source);
    let destination = (flow.destination.as_ref().unwrap(), &ip.destination);
    for label in &chosen.contexts.labels {
        let value = match label {
            ContextLabel::Source(what) => fact(source, *what),
            ContextLabel::Destination(what) => fact(destination, *what),
            ContextLabel::TrafficDirection => direction(flow),
        };
        labels.insert(label.name().into(), value);
    }
    for (name, context, end) in [
        ("source", &chosen.contexts.source, source),
        ("destination", &chosen.contexts.destination, destination),
    ] {
        if context.any.is_empty() && context.egress.is_empty() && context.ingress.is_empty() {
            continue;
        }
        let list = match direction(flow).as_str() {
            "egress" if !context.egress.is_empty() => &context.egress,
            "ingress" if !context.ingress.is_empty() => &context.ingress,
            _ => &context.any,
        };
        let values = list.iter().map(|identifier| called(end, *identifier));
        labels.insert(name.into(), values.into_iter().find(|value| !value.is_empty()).unwrap_or_default());
    }
    labels
}

fn fact((endpoint, ip): (&proto::Endpoint, &String), fact: SideFact) -> String {
    let workload = endpoint.workloads.first();
    match fact {
        SideFact::Ip => ip.clone(),
        SideFact::Pod => endpoint.pod_name.clone(),
        SideFact::Namespace => endpoint.namespace.clone(),
        SideFact::Workload => workload.map(|workload| workload.name.clone()).unwrap_or_default(),
        SideFact::WorkloadKind => workload.map(|workload| workload.kind.clone()).unwrap_or_default(),
        SideFact::App => {
            for key in ["k8s:app.kubernetes.io/name=", "k8s:app=", "k8s:k8s-app="] {
                if let Some(value) = endpoint.labels.iter().find_map(|label| label.strip_prefix(key)) {
                    return value.to_owned();
                }
            }
            String::new()
        }
    }
}

fn called(end: (&proto::Endpoint, &String), identifier: Identifier) -> String {
    let (endpoint, ip) = end;
    let in_namespace = |name: String| {
        if name.is_empty() || endpoint.namespace.is_empty() {
            name
        } else {
            format!("{}/{name}", endpoint.namespace)
        }
    };
    match identifier {
        Identifier::Identity => endpoint.labels.join(","),
        Identifier::Namespace => endpoint.namespace.clone(),
        Identifier::Pod => in_namespace(endpoint.pod_name.clone()),
        Identifier::PodName => endpoint.pod_name.clone(),
        Identifier::Dns => String::new(),
        Identifier::Ip => ip.clone(),
        Identifier::ReservedIdentity => {
            let reserved = |label: &&String| label.starts_with("reserved:");
            let apiserver = endpoint.labels.iter().find(|label| **label == "reserved:kube-apiserver");
            apiserver.or(endpoint.labels.iter().find(reserved)).cloned().unwrap_or_default()
        }
        Identifier::Workload => in_namespace(fact(end, SideFact::Workload)),
        Identifier::WorkloadName => fact(end, SideFact::Workload),
        Identifier::App => fact(end, SideFact::App),
    }
}
