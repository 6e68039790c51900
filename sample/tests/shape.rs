//! The shape of the flows, counted.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow};
use palomar_model::identity::Identity;
use palomar_model::packet::Transport;
use palomar_model::verdict::{Direction, ObservationPoint, Verdict};
use palomar_sample::{Cluster, Traffic};

const COUNT: usize = 100_000;

fn flows(seed: u64) -> Vec<Flow> {
    let mut traffic = Traffic::new(Cluster::new(seed), seed);
    (0_i64..).take(COUNT).map(|time_ns| traffic.next_flow(time_ns)).collect()
}

/// How many in a thousand.
fn share(flows: &[Flow], is_counted: impl Fn(&Flow) -> bool) -> usize {
    flows.iter().filter(|flow| is_counted(flow)).count() * 1_000 / flows.len()
}

#[test]
fn the_cluster_has_244_pods_in_21_namespaces_of_which_41_are_local() {
    let cluster = Cluster::new(1);
    let pods = cluster.pods();
    assert_eq!((pods.len(), pods.iter().filter(|pod| pod.is_local()).count()), (244, 41));
    let distinct =
        |of: &dyn Fn(&palomar_sample::Pod) -> String| pods.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(&|pod| pod.endpoint.pod.as_ref().unwrap().namespace.clone()), 21);
    assert_eq!(distinct(&|pod| pod.endpoint.pod.as_ref().unwrap().to_string()), 244);
    assert_eq!(distinct(&|pod| pod.endpoint.identity.to_string()), 82);
    assert_eq!(distinct(&|pod| pod.endpoint.labels.to_strings().join(",")), 82);
    assert_eq!(distinct(&|pod| format!("{:?}", pod.addresses)), 244);
    assert!(pods.iter().all(|pod| (6..=8).contains(&pod.endpoint.labels.iter().count())));
    assert!(
        pods.iter().all(|pod| (Identity::FIRST_POD..=Identity::LAST_POD).contains(&pod.endpoint.identity.0))
    );
    assert_eq!(cluster.services()[0].name.to_string(), "kube-system/kube-dns");
    assert_eq!(Cluster::node_labels().len(), 8);
}

#[test]
fn the_same_seed_gives_the_same_flows_and_another_gives_others() {
    assert!(flows(3) == flows(3));
    assert!(flows(3) != flows(4));
}

#[test]
fn flows_have_the_shape_of_those_of_a_busy_node() {
    let flows = flows(1);
    let dropped = share(&flows, |flow| flow.verdict == Verdict::Dropped);
    assert!((90..=110).contains(&dropped), "dropped: {dropped}");
    let allowed = share(&flows, |flow| {
        matches!(flow.event, Event::PolicyVerdict(_)) && flow.verdict == Verdict::Forwarded
    });
    assert!((80..=120).contains(&allowed), "allowed by policy: {allowed}");
    let tcp = share(&flows, |flow| matches!(flow.transport, Transport::Tcp { .. }));
    assert!((820..=900).contains(&tcp), "TCP: {tcp}");
    let udp = share(&flows, |flow| matches!(flow.transport, Transport::Udp { .. }));
    assert!((90..=150).contains(&udp), "UDP: {udp}");
    let v6 = share(&flows, |flow| flow.source_address.is_ipv6());
    assert!((150..=190).contains(&v6), "IPv6: {v6}");
    let replies = share(&flows, |flow| flow.is_reply() == Some(true));
    assert!((250..=400).contains(&replies), "replies: {replies}");
    let services = share(&flows, |flow| flow.source_service.is_some() || flow.destination_service.is_some());
    assert!((150..=300).contains(&services), "of services: {services}");
    let classes = share(&flows, |flow| {
        [&flow.source, &flow.destination].iter().any(|end| end.identity.0 > Identity::CIDR_BASE)
    });
    assert!((40..=150).contains(&classes), "of CIDR classes: {classes}");
    let sources: BTreeSet<_> = flows.iter().filter_map(|flow| flow.source.pod.clone()).collect();
    assert_eq!(sources.len(), 244, "every pod sends something");
}

#[test]
fn a_policy_drop_follows_its_denied_verdict_and_every_flow_was_seen_at_a_local_pod() {
    let flows = flows(2);
    let (mut denied, mut verdict_came_before) = (BTreeMap::new(), 0);
    let key =
        |flow: &Flow| format!("{} {} {:?}", flow.source_address, flow.destination_address, flow.transport);
    for flow in &flows {
        let local = match flow.direction {
            Direction::Ingress => &flow.destination,
            Direction::Egress => &flow.source,
        };
        assert!(local.id != 0 && flow.interface.0 != 0, "{flow:?}");
        match flow.event {
            Event::PolicyVerdict(_) if flow.verdict == Verdict::Dropped => {
                assert!(!flow.policies.is_empty(), "{flow:?}");
                denied.insert(key(flow), flow.direction);
            }
            Event::Drop(DropReason::POLICY_DENIED) => match denied.remove(&key(flow)) {
                Some(direction) => assert_eq!(direction, flow.direction, "{flow:?}"),
                None => verdict_came_before += 1,
            },
            Event::Trace(ObservationPoint::ToStack) => assert_eq!(flow.destination.id, 0, "{flow:?}"),
            Event::Trace(_) | Event::PolicyVerdict(_) | Event::Drop(_) => {}
        }
    }
    // those at the edges
    assert!(denied.len() < 64 && verdict_came_before < 64, "{} {verdict_came_before}", denied.len());
}
