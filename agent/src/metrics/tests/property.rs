use std::collections::BTreeMap;

use palomar_model::flow::Flow;
use proptest::prelude::*;

use super::fixture::{Counts, Fixture, flow, selection};
use super::oracle::expected;
use crate::metrics::flow_metrics::FOLDED;
use crate::metrics::selection::Selection;

fn count(fixture: &mut Fixture, flows: &[Flow], batch: usize) {
    for batch in flows.chunks(batch) {
        for flow in batch {
            fixture.write(flow);
        }
        fixture.follower.catch_up();
    }
}

/// The counts with everything folded that can grow.
fn folded(counts: &Counts) -> Counts {
    let mut sums = Counts::new();
    for ((name, labels), count) in counts {
        let mut labels = labels.clone();
        for (label, value) in &mut labels {
            let is_closed = match label.as_str() {
                "type" => name == "hubble_flows_processed_total",
                "protocol" | "subtype" | "verdict" | "reason" | "family" | "flag" | "direction" | "match"
                | "action" => true,
                _ => false,
            };
            if !is_closed {
                FOLDED.clone_into(value);
            }
        }
        *sums.entry((name.clone(), labels)).or_default() += count;
    }
    sums
}

/// How many series each metric has.
fn series(counts: &Counts) -> BTreeMap<&str, usize> {
    let mut series = BTreeMap::new();
    for (name, _) in counts.keys() {
        *series.entry(name.as_str()).or_default() += 1;
    }
    series
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn every_flow_is_counted_once_under_the_labels_that_hubble_gives_it(
        selection in selection(),
        flows in prop::collection::vec(flow(), 0..500),
        batch in 1_usize..255,
    ) {
        // the ring forgets flows, and with them names, several times
        let mut fixture = Fixture::new(&selection, 1_000_000, 255);
        count(&mut fixture, &flows, batch);
        prop_assert_eq!(fixture.counts(), expected(&selection, &flows), "{}", selection);
        prop_assert_eq!(fixture.own("palomar_metrics_flows_read_total", None), flows.len() as u64);
    }

    #[test]
    fn beyond_the_bound_flows_are_counted_under_folded_labels_and_the_sums_stay(
        selection in selection(),
        flows in prop::collection::vec(flow(), 0..300),
        max in 1_usize..8,
    ) {
        let mut fixture = Fixture::new(&selection, max, 1_023);
        count(&mut fixture, &flows, 100);
        let (counts, exact) = (fixture.counts(), expected(&selection, &flows));
        prop_assert_eq!(folded(&counts), folded(&exact), "{}", selection);
        let exact_folded = folded(&exact);
        let (wanted, overflow) = (series(&exact), series(&exact_folded));
        for chosen in Selection::parse(&[&selection]).unwrap().iter() {
            let name = format!("{}_total", chosen.metric.family());
            let of = |series: &BTreeMap<&str, usize>| series.get(name.as_str()).copied().unwrap_or(0);
            let overflowed = fixture.own("palomar_metrics_overflow_total", Some(chosen.metric.name()));
            prop_assert_eq!(overflowed > 0, of(&wanted) > max, "{} {}", name, overflowed);
            prop_assert!(of(&series(&counts)) <= max + of(&overflow), "{:?}", counts);
        }
    }
}
