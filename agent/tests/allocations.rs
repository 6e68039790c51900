//! The event path takes no memory for a flow in the steady state, and with pods that come and go only for these.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

#[path = "../benches/ring/site.rs"]
mod site;
#[path = "../benches/ring/world.rs"]
mod world;

use allocation_counter::measure;
use site::{EVENTS, Site};

/// An epoch ends within each round, and every end of the sample has flows in the ring.
const CAPACITY: u64 = 131_071;

#[test]
fn a_flow_allocates_nothing_in_the_steady_state() {
    let mut site = Site::full(CAPACITY);
    for round in 0..16 {
        let written = site.ring.written();
        let allocated = measure(|| site.round(|_| {}));
        assert_eq!(site.ring.written() - written, u64::from(EVENTS));
        assert_eq!(allocated.count_total, 0, "round {round}: {allocated:?}");
    }
}

#[test]
fn a_departure_and_its_delivery_allocate_nothing() {
    let mut site = Site::full(CAPACITY);
    assert!(site.tell_departures() > 100, "the sample has connections between pods of one node");
    site.round(|_| {});
    for round in 0..4 {
        let written = site.ring.written();
        let allocated = measure(|| site.round(|_| {}));
        assert_eq!(site.ring.written() - written, u64::from(EVENTS));
        assert_eq!(site.enricher.waited_for(), 0, "each was delivered");
        assert_eq!(allocated.count_total, 0, "round {round}: {allocated:?}");
    }
}

#[test]
fn a_change_of_the_directory_allocates_for_what_is_seen_again_however_many_flows_follow() {
    let mut site = Site::full(CAPACITY);
    for round in 0..4 {
        site.replace_a_pod();
        let changed = measure(|| site.round(|_| {})).count_total;
        let steady = measure(|| site.round(|_| {})).count_total;
        // a few for each of the sample's ends and services, each made anew for the new directory
        assert!(changed < 2_000, "round {round}: {changed} allocations");
        assert!(steady < 20, "round {round}: {steady} allocations once the old names have gone");
    }
}
