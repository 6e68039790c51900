use palomar_model::verdict::Direction;

use super::fixture::{Fixture, pod};
use super::golden::flow_between;

#[test]
fn what_a_follower_missed_is_counted_and_the_rest_is_counted_once() {
    let mut fixture = Fixture::new("flow", 10, 255);
    let flow = flow_between(pod(1, "np-demo", "a"), pod(2, "np-demo", "b"), Direction::Ingress);
    let mut written = 0;
    for burst in [10_u64, 255, 256, 1_000, 0, 1] {
        for _ in 0..burst {
            fixture.write(&flow);
        }
        written += burst;
        fixture.follower.catch_up();
        let counted: u64 = fixture.counts().values().sum();
        let missed = fixture.own("palomar_metrics_flows_missed_total", None);
        assert_eq!(counted, fixture.own("palomar_metrics_flows_read_total", None));
        assert_eq!(counted + missed, written, "after {burst}");
    }
    assert_eq!(fixture.own("palomar_metrics_flows_missed_total", None), 1 + 745);
}

#[test]
fn flows_of_before_its_start_do_not_count() {
    let mut fixture = Fixture::new("flow", 10, 255);
    let flow = flow_between(pod(1, "np-demo", "a"), pod(2, "np-demo", "b"), Direction::Ingress);
    fixture.write(&flow);
    fixture.write(&flow);
    fixture.begin_at("flow", 1);
    fixture.follower.catch_up();
    assert_eq!(fixture.counts().values().sum::<u64>(), 1);
}

#[test]
fn a_new_pod_that_takes_the_number_of_an_old_one_is_not_taken_for_it() {
    let mut fixture = Fixture::new("flow:sourceContext=pod", 100_000, 255);
    for n in 0..2_000 {
        let source = pod(1, "churn", &format!("job-{n}"));
        fixture.write(&flow_between(source, pod(2, "np-demo", "b"), Direction::Ingress));
        fixture.follower.catch_up();
    }
    let counts = fixture.counts();
    assert_eq!(counts.len(), 2_000);
    assert!(counts.values().all(|count| *count == 1));
}
