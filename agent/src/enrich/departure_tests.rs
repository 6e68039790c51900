//! What becomes of first packets on their way to another local pod.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use palomar_bpf::abi::PolicyWord;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow};
use palomar_model::labels::LabelSet;
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};

use super::*;
use crate::clock::TimeAnchor;
use crate::decode::{ForeignDrop, KernelEvent};
use crate::directory::{Directory, LocalEndpoint};
use crate::ring::{Capacity, Ring};

const SECOND: u64 = 1_000_000_000;
const LEFT: u64 = 100 * SECOND;
const SOURCE: [u8; 4] = [10, 0, 0, 1];
const DESTINATION: [u8; 4] = [10, 0, 0, 2];
const NODE: [u8; 4] = [192, 168, 1, 1];

struct Nobody;

impl Attributions for Nobody {
    fn version(&self) -> u64 {
        0
    }

    fn attribute(&self, _: &Decision) -> Attribution {
        Attribution::Withheld
    }

    fn class_labels(&self, _: u32) -> Option<LabelSet> {
        None
    }
}

/// A SYN that leaves for the neighbour.
fn departure() -> KernelEvent {
    KernelEvent {
        monotonic_ns: LEFT,
        event: Event::Trace(ObservationPoint::FromEndpoint),
        verdict: Verdict::Forwarded,
        state: ConnectionState::New,
        direction: Direction::Egress,
        source_address: SOURCE.into(),
        destination_address: DESTINATION.into(),
        transport: tcp(4_000, 80),
        source_masked: false,
        source_identity: 11,
        destination_identity: 10,
        ifindex: 6,
        endpoint: 6,
        policy: PolicyWord::default(),
        rule_set: 0,
        class_rule_set: 0,
        suppressed: 0,
        class: 0,
        foreign: None,
    }
}

fn tcp(source: u16, destination: u16) -> Transport {
    Transport::Tcp { source, destination, flags: TcpFlags(TcpFlags::SYN) }
}

/// Its delivery.
fn delivery() -> KernelEvent {
    KernelEvent {
        monotonic_ns: LEFT + 1_000,
        event: Event::Trace(ObservationPoint::ToEndpoint),
        direction: Direction::Ingress,
        ifindex: 7,
        endpoint: 7,
        ..departure()
    }
}

fn drop_of(event: KernelEvent) -> KernelEvent {
    KernelEvent { event: Event::Drop(DropReason::POLICY_DENIED), verdict: Verdict::Dropped, ..event }
}

fn news(now_ns: u64) -> News {
    News { now_ns, emptied_ns: now_ns, counted_ns: now_ns, lost: 0, limited: 0 }
}

struct Bench {
    enricher: Enricher,
    ring: Arc<Ring>,
}

impl Bench {
    fn new() -> Self {
        let (writer, ring) = Ring::new(Capacity::try_from(8_191).unwrap());
        let mut directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
        let neighbour = LocalEndpoint {
            id: 7,
            interface: Arc::from("veth7"),
            pod: None,
            addresses: vec![DESTINATION.into()],
        };
        directory.endpoints.insert(7, Arc::new(neighbour));
        let sources = Sources {
            directory: Arc::new(ArcSwap::from_pointee(directory)),
            attributions: Arc::new(Nobody),
            namespaces: Arc::default(),
        };
        let mut enricher = Enricher::new(sources, writer);
        enricher.set_anchor(TimeAnchor::new(0, 0));
        Self { enricher, ring }
    }

    fn hear(&mut self, events: &[KernelEvent]) -> Enriched {
        self.enricher.enrich(events.iter().copied())
    }

    /// What was written of departures.
    fn vanished(&self) -> Vec<Flow> {
        let (mut at, mut records, mut flows) = (0, Vec::new(), Vec::new());
        while at < self.ring.written() {
            let batch = self.ring.read(at..u64::MAX, &mut records);
            flows.extend(records.iter().map(|record| batch.names.flow(record, 0)));
            at = batch.first + records.len() as u64;
        }
        flows.retain(|flow| flow.event == departure().event);
        flows
    }
}

/// Written, settled, unknown.
fn counts(enriched: Enriched) -> [u64; 3] {
    [enriched.written, enriched.settled, enriched.unknown]
}

#[test]
fn a_packet_that_nothing_follows_is_told_after_a_second_with_the_time_at_which_it_left() {
    let mut bench = Bench::new();
    assert_eq!(counts(bench.hear(&[departure()])), [0, 0, 0]);
    assert_eq!(bench.enricher.waited_for(), 1);
    assert_eq!(counts(bench.enricher.settle(&news(LEFT + SECOND - 1))), [0, 0, 0], "not yet");
    assert_eq!(counts(bench.enricher.settle(&news(LEFT + SECOND))), [1, 0, 0]);
    assert_eq!(counts(bench.enricher.settle(&news(LEFT + 9 * SECOND))), [0, 0, 0], "once");
    let [flow] = &bench.vanished()[..] else { panic!("one flow") };
    assert_eq!((flow.time_ns, flow.verdict), (LEFT.cast_signed(), Verdict::Forwarded));
    assert_eq!(flow.source_address, IpAddr::from(SOURCE));
}

#[test]
fn what_tells_of_its_fate_makes_a_departure_old_news() {
    let answer = KernelEvent {
        state: ConnectionState::Reply,
        source_address: DESTINATION.into(),
        destination_address: SOURCE.into(),
        transport: tcp(80, 4_000),
        ifindex: 6,
        endpoint: 6,
        ..delivery()
    };
    let foreign = Some(ForeignDrop { reason: 1, place: 2 });
    let cases = [
        ("its delivery", delivery(), true),
        (
            "a verdict where it arrives",
            KernelEvent { event: Event::PolicyVerdict(MatchType::All), ..delivery() },
            true,
        ),
        ("a drop where it arrives", drop_of(delivery()), true),
        ("a drop by somebody else on the way", KernelEvent { foreign, ..drop_of(departure()) }, true),
        ("an answer", answer, true),
        (
            "as a reply, to an older connection",
            KernelEvent { state: ConnectionState::Reply, ..delivery() },
            true,
        ),
        ("another port", KernelEvent { transport: tcp(4_001, 80), ..delivery() }, false),
        (
            "another protocol",
            KernelEvent { transport: Transport::Udp { source: 4_000, destination: 80 }, ..delivery() },
            false,
        ),
        ("another source", KernelEvent { source_address: NODE.into(), ..delivery() }, false),
        ("the same ports the other way round", KernelEvent { state: ConnectionState::New, ..answer }, false),
        (
            "a verdict where it left",
            KernelEvent { event: Event::PolicyVerdict(MatchType::All), ..departure() },
            false,
        ),
    ];
    for (what, event, settles) in cases {
        let mut bench = Bench::new();
        assert_eq!(counts(bench.hear(&[departure(), event])), [1, settles.into(), 0], "{what}");
        assert_eq!(
            counts(bench.enricher.settle(&news(LEFT + 2 * SECOND))),
            [u64::from(!settles), 0, 0],
            "{what}"
        );
        assert_eq!(bench.vanished().len(), usize::from(!settles), "{what}");
    }
}

#[test]
fn pings_are_told_apart_by_number_only() {
    let ping = |event| KernelEvent { transport: Transport::Icmp { kind: 8, code: 0 }, ..event };
    let mut bench = Bench::new();
    let events =
        [ping(departure()), ping(departure()), ping(departure()), ping(delivery()), ping(delivery())];
    assert_eq!(counts(bench.hear(&events)), [2, 2, 0]);
    assert_eq!(counts(bench.enricher.settle(&news(LEFT + SECOND))), [1, 0, 0]);
}

#[test]
fn where_it_cannot_be_told_what_became_of_a_packet_that_is_counted_and_nothing_is_said() {
    let masked = KernelEvent {
        source_masked: true,
        source_address: NODE.into(),
        transport: tcp(50_000, 80),
        ..delivery()
    };
    let other_drop =
        |monotonic_ns| drop_of(KernelEvent { transport: tcp(4_001, 80), monotonic_ns, ..delivery() });
    let later = news(LEFT + SECOND);
    let cases = [
        ("events were lost", delivery_elsewhere(), News { lost: 1, ..later }, true),
        ("a delivery from behind a node address", masked, later, true),
        ("one to another port", KernelEvent { transport: tcp(50_000, 81), ..masked }, later, false),
        ("drops are told at a limited rate", other_drop(LEFT - SECOND), News { limited: 1, ..later }, true),
        ("and none was left out", other_drop(LEFT - SECOND), later, false),
        ("the drops were long ago", other_drop(LEFT - 3 * SECOND), News { limited: 1, ..later }, false),
        ("others' drops are limited", delivery_elsewhere(), News { limited: 1, ..later }, false),
    ];
    for (what, event, news, is_unknown) in cases {
        let mut bench = Bench::new();
        bench.hear(&[event, departure(), event]);
        let unknown = u64::from(is_unknown);
        let settled = bench.enricher.settle(&news);
        assert_eq!(counts(settled), [1 - unknown, 0, unknown], "{what}");
        assert_eq!(bench.vanished().len() as u64, 1 - unknown, "{what}");
        if is_unknown {
            assert_eq!(settled.unknown_since_ns, LEFT.cast_signed(), "{what}");
        }
    }
}

fn delivery_elsewhere() -> KernelEvent {
    KernelEvent { transport: tcp(1, 2), ..delivery() }
}

#[test]
fn a_loss_from_before_it_left_does_not_matter() {
    let mut bench = Bench::new();
    bench.enricher.settle(&News { lost: 5, limited: 5, ..news(LEFT - 1) });
    bench.hear(&[departure()]);
    let later = News { lost: 5, limited: 5, ..news(LEFT + SECOND) };
    assert_eq!(counts(bench.enricher.settle(&later)), [1, 0, 0]);
}

#[test]
fn it_is_waited_for_until_everything_of_its_second_was_read_and_counted_and_not_for_ever() {
    let mut bench = Bench::new();
    bench.hear(&[departure()]);
    let now = news(LEFT + 5 * SECOND);
    for behind in [
        News { emptied_ns: 0, ..now },
        News { emptied_ns: LEFT + SECOND - 1, ..now },
        News { counted_ns: LEFT + SECOND - 1, ..now },
        News { counted_ns: 0, ..now },
    ] {
        assert_eq!(counts(bench.enricher.settle(&behind)), [0, 0, 0], "{behind:?}");
    }
    let given_up = News { counted_ns: 0, ..news(LEFT + 10 * SECOND) };
    assert_eq!(counts(bench.enricher.settle(&given_up)), [0, 0, 1]);

    bench.hear(&[departure()]);
    bench.hear(&[KernelEvent { monotonic_ns: LEFT + SECOND, ..delivery_elsewhere() }]);
    let busy = News { emptied_ns: 0, ..now };
    assert_eq!(counts(bench.enricher.settle(&busy)), [1, 0, 0], "a later event was read, if not all");
}

#[test]
fn a_destination_that_is_not_watched_may_have_got_it() {
    for (what, since_ns, is_told) in
        [("not watched", None, false), ("since later", Some(LEFT + 1), false), ("before", Some(LEFT), true)]
    {
        let watched = Arc::new(Watched::default());
        watched.set(since_ns.map(|_| 7).into_iter(), since_ns.unwrap_or(0));
        let Bench { enricher, ring } = Bench::new();
        let mut bench = Bench { enricher: enricher.with_watched(watched), ring };
        bench.hear(&[departure()]);
        let told = u64::from(is_told);
        assert_eq!(counts(bench.enricher.settle(&news(LEFT + SECOND))), [told, 0, 1 - told], "{what}");
    }
}

#[test]
fn of_too_many_the_newest_are_counted_and_the_others_are_told() {
    let mut bench = Bench::new();
    let many: Vec<KernelEvent> = (0..5_000)
        .map(|port| KernelEvent {
            transport: tcp(port, 80),
            monotonic_ns: LEFT + u64::from(port),
            ..departure()
        })
        .collect();
    let [_, _, over] = counts(bench.hear(&many));
    let waiting = bench.enricher.waited_for() as u64;
    assert_eq!((waiting, over), (4_096, 5_000 - 4_096));
    assert_eq!(counts(bench.enricher.settle(&news(LEFT + 2 * SECOND))), [waiting, 0, 0]);
    assert_eq!(bench.vanished().len() as u64, waiting);
}

#[test]
fn at_the_end_what_is_waited_for_is_unknown() {
    let mut bench = Bench::new();
    bench.hear(&[departure(), departure()]);
    assert_eq!(counts(bench.enricher.give_up()), [0, 0, 2]);
    assert_eq!(bench.enricher.waited_for(), 0);
}
