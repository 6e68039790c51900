use super::*;

fn read(list: &str) -> Result<Vec<String>, String> {
    let selection = Selection::parse(&[list]).map_err(|error| error.to_string())?;
    Ok(selection.iter().map(describe).collect())
}

/// A metric in a canonical form.
fn describe(Chosen { metric, contexts }: &Chosen) -> String {
    let mut words = vec![metric.name().to_owned()];
    if let Metric::FlowsToWorld(WorldOptions { any_drop, port, syn_only }) = metric {
        let switches = [(any_drop, "any-drop"), (port, "port"), (syn_only, "syn-only")];
        words.extend(switches.into_iter().filter(|(set, _)| **set).map(|(_, name)| name.to_owned()));
    }
    for (side, context) in [("source", &contexts.source), ("destination", &contexts.destination)] {
        for (list, direction) in context.lists().zip(["", "-egress", "-ingress"]) {
            let names: Vec<&str> = list.iter().map(|identifier| identifier.name()).collect();
            words.extend((!names.is_empty()).then(|| format!("{side}{direction}={}", names.join("|"))));
        }
    }
    let labels: Vec<&str> = contexts.labels.iter().map(|label| label.name()).collect();
    words.extend((!labels.is_empty()).then(|| format!("labels={}", labels.join(","))));
    words.join(" ")
}

#[test]
fn lists_are_read_as_hubble_users_write_them() {
    for (list, expected) in [
        ("", vec![]),
        ("  ", vec![]),
        ("flow", vec!["flow"]),
        ("drop tcp\nflow", vec!["drop", "tcp", "flow"]),
        ("drop,tcp,flow", vec!["drop", "tcp", "flow"]),
        ("drop, tcp ,flow,", vec!["drop", "tcp", "flow"]),
        ("flow:", vec!["flow"]),
        ("flow:;", vec!["flow"]),
        (
            "flow:sourceContext=pod|identity;labelsContext=source_namespace,destination_namespace",
            vec!["flow source=pod|identity labels=source_namespace,destination_namespace"],
        ),
        (
            "drop:labelsContext=source_namespace,destination_namespace tcp",
            vec!["drop labels=source_namespace,destination_namespace", "tcp"],
        ),
        (
            "flow:labelsContext=source_pod,destination_pod,drop,tcp:sourceContext=ip",
            vec!["flow labels=source_pod,destination_pod", "drop", "tcp source=ip"],
        ),
        ("flow:sourceContext=pod,drop", vec!["flow source=pod", "drop"]),
        ("drop,flow:destinationContext=dns|ip", vec!["drop", "flow destination=dns|ip"]),
        (
            "icmp:labelsContext=traffic_direction,destination_ip,source_workload_kind,destination_ip",
            vec!["icmp labels=source_workload_kind,destination_ip,traffic_direction"],
        ),
        (
            "flows-to-world:any-drop;port;syn-only=true;SOURCEEGRESSCONTEXT=Pod;destinationIngressContext=app",
            vec!["flows-to-world any-drop port syn-only source-egress=pod destination-ingress=app"],
        ),
        (
            "policy:sourceIngressContext=workload;sourceContext=workload-name|pod-name;\
             destinationEgressContext=reserved-identity;destinationContext=namespace",
            vec![
                "policy source=workload-name|pod-name source-ingress=workload destination=namespace \
                 destination-egress=reserved-identity",
            ],
        ),
        (Selection::DEFAULT, Metric::ALL.map(Metric::name).to_vec()),
    ] {
        assert_eq!(read(list), Ok(expected.into_iter().map(str::to_owned).collect()), "{list}");
    }
}

#[test]
fn what_cannot_be_read_is_named_with_the_valid_choices() {
    const METRICS: &str = "choose from drop, flow, flows-to-world, icmp, policy, port-distribution, tcp";
    const CONTEXTS: &str = "choose from identity, namespace, pod, pod-name, dns, ip, reserved-identity, workload, \
                            workload-name, app, several separated by |";
    const LABELS: &str = "choose from source_ip, source_pod, source_namespace, source_workload, \
                          source_workload_kind, source_app, destination_ip, destination_pod, \
                          destination_namespace, destination_workload, destination_workload_kind, \
                          destination_app, traffic_direction, several separated by commas (the next metric after a \
                          space)";
    const OPTIONS: &str = "choose from sourceContext, sourceEgressContext, sourceIngressContext, \
                           destinationContext, destinationEgressContext, destinationIngressContext, labelsContext";
    let unsupported = |name, needs| {
        format!("metric \"{name}\" is not supported by this agent yet, because it needs {needs}: {METRICS}")
    };
    for (list, expected) in [
        ("flows", format!("unknown metric \"flows\": {METRICS}")),
        ("drop,bogus", format!("unknown metric \"bogus\": {METRICS}")),
        (":sourceContext=pod", format!("unknown metric \"\": {METRICS}")),
        ("Flow", format!("unknown metric \"Flow\": {METRICS}")),
        ("dns:query", unsupported("dns", "L7 records")),
        ("httpV2:exemplars=true", unsupported("httpV2", "L7 records")),
        ("flow:labelsContext=source_pod,kafka", unsupported("kafka", "L7 records")),
        ("sctp", unsupported("sctp", "the chunk types of SCTP packets")),
        ("flow drop flow:sourceContext=ip", "metric \"flow\" is listed twice: give all its options once".into()),
        ("flow:sourcecontexts=pod", format!("unknown option \"sourcecontexts\" of metric \"flow\": {OPTIONS}")),
        ("tcp:port", format!("unknown option \"port\" of metric \"tcp\": {OPTIONS}")),
        (
            "flows-to-world:ports",
            format!(
                "unknown option \"ports\" of metric \"flows-to-world\": {OPTIONS}, any-drop, port, syn-only"
            ),
        ),
        (
            "flow:sourceContext=ip;SourceContext=pod",
            "option \"SourceContext\" of metric \"flow\" is given twice".into(),
        ),
        (
            "flows-to-world:port=443",
            "option \"port\" of metric \"flows-to-world\" takes no value, but has \"443\": leave the value out"
                .into(),
        ),
        (
            "flow:sourceContext=pods",
            format!("unknown context \"pods\" in option \"sourceContext\" of metric \"flow\": {CONTEXTS}"),
        ),
        (
            "flow:destinationContext",
            format!("unknown context \"\" in option \"destinationContext\" of metric \"flow\": {CONTEXTS}"),
        ),
        (
            "flow:sourcecontext=pod|",
            format!("unknown context \"\" in option \"sourceContext\" of metric \"flow\": {CONTEXTS}"),
        ),
        (
            "flow:labelsContext=source_pod,bogus",
            format!("unknown label \"bogus\" in option \"labelsContext\" of metric \"flow\": {LABELS}"),
        ),
        (
            "flow:labelsContext=",
            format!("unknown label \"\" in option \"labelsContext\" of metric \"flow\": {LABELS}"),
        ),
    ] {
        assert_eq!(read(list), Err(expected), "{list}");
    }
}

#[test]
fn several_lists_are_one() {
    let selection = Selection::parse(&["drop tcp", "", "flow"]).unwrap();
    assert_eq!(
        selection.iter().map(|chosen| chosen.metric.name()).collect::<Vec<_>>(),
        ["drop", "tcp", "flow"]
    );
    assert_eq!(Selection::parse(&["drop", "drop"]), Err(InvalidSelection::MetricTwice("drop")));
}
