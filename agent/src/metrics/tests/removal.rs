use std::time::{Duration, Instant};

use palomar_model::object::ObjectName;
use palomar_model::verdict::Direction;

use super::fixture::{Fixture, pod};
use super::golden::flow_between;

/// The values of a label, sorted.
fn values(fixture: &Fixture, label: &str) -> Vec<String> {
    let mut values: Vec<String> =
        fixture.counts().into_keys().map(|(_, labels)| labels[label].clone()).collect();
    values.sort();
    values.dedup();
    values
}

fn ends() -> [(&'static str, &'static str); 3] {
    [("old", "kept"), ("kept", "old"), ("kept", "kept")]
}

fn filled(selection: &str) -> Fixture {
    let mut fixture = Fixture::new(selection, 100, 1_023);
    write(&mut fixture);
    fixture
}

fn write(fixture: &mut Fixture) {
    for (source, destination) in ends() {
        let (source, destination) = (pod(1, "np-demo", source), pod(2, "np-demo", destination));
        fixture.write(&flow_between(source, destination, Direction::Ingress));
    }
    fixture.follower.catch_up();
}

fn without_old(pod: &ObjectName) -> bool {
    pod.name != "old"
}

#[test]
fn series_that_name_a_pod_go_a_minute_after_it() {
    let named = |selection: &str, label: &str| {
        let mut fixture = filled(selection);
        let begin = Instant::now();
        fixture.follower.forget_gone(without_old, begin);
        fixture.follower.forget_gone(without_old, begin + Duration::from_secs(59));
        assert_eq!(fixture.counts().len(), 3, "{selection}: too early");
        fixture.follower.forget_gone(without_old, begin + Duration::from_mins(1));
        values(&fixture, label)
    };
    for (selection, label, expected) in [
        ("flow:sourceContext=pod;destinationContext=pod", "source", vec!["np-demo/kept"]),
        ("flow:sourceContext=dns|pod;destinationIngressContext=pod", "destination", vec!["np-demo/kept"]),
        (
            "flow:labelsContext=source_namespace,source_pod,destination_namespace,destination_pod",
            "destination_pod",
            vec!["kept"],
        ),
        // as in Hubble, a pod's name without its namespace binds nothing
        ("flow:sourceContext=pod-name;destinationContext=pod-name", "source", vec!["kept", "old"]),
        ("flow:labelsContext=source_pod,destination_pod", "source_pod", vec!["kept", "old"]),
        (
            "flow:sourceContext=workload|pod;destinationContext=workload|pod",
            "source",
            vec!["np-demo/kept-owner", "np-demo/old-owner"],
        ),
    ] {
        assert_eq!(named(selection, label), expected, "{selection}");
    }
}

#[test]
fn a_pod_that_comes_back_within_the_minute_keeps_its_counts() {
    let mut fixture = filled("flow:sourceContext=pod;destinationContext=pod");
    let begin = Instant::now();
    fixture.follower.forget_gone(without_old, begin);
    fixture.follower.forget_gone(|_| true, begin + Duration::from_secs(30));
    fixture.follower.forget_gone(without_old, begin + Duration::from_secs(70));
    fixture.follower.forget_gone(without_old, begin + Duration::from_secs(129));
    assert_eq!(fixture.counts().len(), 3);
    fixture.follower.forget_gone(without_old, begin + Duration::from_secs(130));
    assert_eq!(fixture.counts().len(), 1);
}

#[test]
fn series_that_come_again_count_from_zero_and_disturb_no_other() {
    let mut fixture = filled("flow:sourceContext=pod;destinationContext=pod drop tcp:sourceContext=pod");
    let begin = Instant::now();
    fixture.follower.forget_gone(without_old, begin);
    fixture.follower.forget_gone(without_old, begin + Duration::from_mins(1));
    write(&mut fixture);
    let mut counts: Vec<(String, u64)> = fixture
        .counts()
        .into_iter()
        .filter(|((name, _), _)| name == "hubble_flows_processed_total")
        .map(|((_, labels), count)| (format!("{} {}", labels["source"], labels["destination"]), count))
        .collect();
    counts.sort();
    let expected =
        [("np-demo/kept np-demo/kept", 2), ("np-demo/kept np-demo/old", 1), ("np-demo/old np-demo/kept", 1)];
    assert_eq!(counts, expected.map(|(ends, count)| (ends.to_owned(), count)));
}

#[test]
fn a_pod_that_is_called_as_what_is_folded_has_no_second_series() {
    let mut fixture = Fixture::new("flow:labelsContext=source_namespace,source_pod", 1, 1_023);
    write(&mut fixture);
    let begin = Instant::now();
    fixture.follower.forget_gone(without_old, begin);
    fixture.follower.forget_gone(without_old, begin + Duration::from_mins(1));
    let ends = (pod(1, "__other__", "__other__"), pod(2, "np-demo", "kept"));
    fixture.write(&flow_between(ends.0, ends.1, Direction::Ingress));
    fixture.follower.catch_up();
    // two of the pod kept, and this one
    assert_eq!(fixture.counts().values().copied().collect::<Vec<_>>(), [3]);
}

#[test]
fn room_that_a_gone_pod_leaves_is_given_to_new_series() {
    let mut fixture = Fixture::new("flow:sourceContext=pod", 1, 1_023);
    write(&mut fixture);
    assert_eq!(values(&fixture, "source"), ["__other__", "np-demo/old"]);
    let begin = Instant::now();
    fixture.follower.forget_gone(without_old, begin);
    fixture.follower.forget_gone(without_old, begin + Duration::from_mins(1));
    for _ in 0..2 {
        let ends = (pod(1, "np-demo", "kept"), pod(2, "np-demo", "old"));
        fixture.write(&flow_between(ends.0, ends.1, Direction::Ingress));
    }
    fixture.follower.catch_up();
    assert_eq!(values(&fixture, "source"), ["__other__", "np-demo/kept"]);
    assert_eq!(fixture.counts().values().copied().collect::<Vec<_>>(), [2, 2]);
}
