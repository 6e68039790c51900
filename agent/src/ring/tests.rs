//! What the ring promises, one sentence a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use palomar_flow::rest::{Rest, Stands};
use palomar_model::flow::{Event, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::packet::Transport;
use palomar_model::verdict::{ConnectionState, Direction, ObservationPoint, Verdict};
use palomar_proto::flow as proto;
use prost::Message as _;

use super::*;

pub fn endpoint(id: u32) -> Arc<FlowEndpoint> {
    Arc::new(FlowEndpoint {
        id,
        identity: Identity(256 + id),
        labels: LabelSet::new(Vec::new()),
        pod: Some(ObjectName::new("ns", format!("pod-{id}"))),
        workload: None,
        cluster: Arc::from("default"),
    })
}

/// A record that carries its number as its time and in its ends.
pub fn record(writer: &mut Writer, number: u64, time_ns: i64) -> Record {
    let id = u32::try_from(number).unwrap();
    let [high, low] = [id >> 16, id & 0xffff].map(|half| u16::try_from(half).unwrap());
    Record {
        time_ns,
        source_address: [10, 0, 0, 1].into(),
        destination_address: [10, 0, 0, 2].into(),
        source: writer.endpoint(&endpoint(id)),
        destination: writer.endpoint(&endpoint(id / 7)),
        source_service: None,
        destination_service: None,
        interface: writer.interface(&Arc::new(Interface { index: id % 3, name: Arc::from("veth") })),
        policies: None,
        policy_revision: 0,
        transport: Transport::Udp { source: high, destination: low },
        event: Event::Trace(ObservationPoint::ToEndpoint),
        verdict: Verdict::Forwarded,
        state: ConnectionState::New,
        direction: Direction::Ingress,
        rest: id.is_multiple_of(4).then(|| writer.rest(&rest(id))),
    }
}

fn rest(id: u32) -> Arc<Rest> {
    let fields = proto::Flow { proxy_port: id, ..proto::Flow::default() }.encode_to_vec();
    Arc::new(Rest::new(Stands::Beside, &fields, None).unwrap())
}

/// The number that [`record`] put in, and whether the names agree with it.
pub fn number(record: &Record, names: &Names) -> u64 {
    let (high, low) = record.transport.ports().unwrap();
    let id = u32::from(high) << 16 | u32::from(low);
    assert_eq!(names.endpoint(record.source).id, id);
    assert_eq!(names.endpoint(record.destination).id, id / 7);
    assert_eq!(names.interface(record.interface).index, id % 3);
    assert_eq!(record.rest.map(|of| names.rest(of)), Some(&rest(id)).filter(|_| id.is_multiple_of(4)));
    u64::from(id)
}

pub fn append(writer: &mut Writer, from: u64, count: u64) {
    let records: Vec<Record> =
        (from..from + count).map(|n| record(writer, n, i64::try_from(n).unwrap())).collect();
    writer.append(&records);
}

fn read_all(ring: &Ring, mut at: u64) -> (Vec<u64>, u64) {
    let (mut numbers, mut missed, mut records) = (Vec::new(), 0, Vec::new());
    loop {
        let batch = ring.read(at..u64::MAX, &mut records);
        missed += batch.missed;
        if records.is_empty() {
            return (numbers, missed);
        }
        numbers.extend(records.iter().map(|record| number(record, &batch.names)));
        at = batch.first + records.len() as u64;
    }
}

fn capacity(flows: u64) -> Capacity {
    flows.try_into().unwrap()
}

#[test]
fn the_newest_flow_is_readable_at_once() {
    let (mut writer, ring) = Ring::new(capacity(7));
    assert!(ring.is_empty());
    append(&mut writer, 0, 1);
    assert_eq!(read_all(&ring, 0), (vec![0], 0));
    assert_eq!((ring.len(), ring.written(), ring.oldest()), (1, 1, 0));
}

#[test]
fn a_full_ring_holds_exactly_its_capacity_and_tells_the_rest_as_missed() {
    for flows in [1, 3, 7, 1_023, 2_047, 4_095] {
        let (mut writer, ring) = Ring::new(capacity(flows));
        append(&mut writer, 0, flows * 3 + 2);
        let expected: Vec<u64> = (flows * 2 + 2..flows * 3 + 2).collect();
        assert_eq!(read_all(&ring, 0), (expected, flows * 2 + 2), "capacity {flows}");
        assert_eq!(ring.len(), flows);
    }
}

#[test]
fn a_range_that_was_overwritten_altogether_is_missed_altogether() {
    let (mut writer, ring) = Ring::new(capacity(7));
    append(&mut writer, 0, 100);
    let mut records = Vec::new();
    let batch = ring.read(10..20, &mut records);
    assert_eq!((batch.first, batch.missed, records.len()), (20, 10, 0));
}

#[test]
fn names_that_no_readable_flow_uses_are_forgotten() {
    let (mut writer, ring) = Ring::new(capacity(1_023));
    for batch in 0..200 {
        append(&mut writer, batch * 100, 100);
        // 1,024 slots, and an epoch of 300 flows before and after; each flow has at most two ends of its own
        let flows = 1_024 + 300 + 300;
        assert!(writer.held_names() <= 2 * flows + 3 + flows / 4, "{}", writer.held_names());
    }
    assert!(ring.names().erasures() > 0);
    assert_eq!(read_all(&ring, ring.oldest()).0.len(), 1_023);
}

#[tokio::test]
async fn who_waits_is_woken_by_the_flow_and_not_before() {
    let (mut writer, ring) = Ring::new(capacity(7));
    append(&mut writer, 0, 3);
    ring.wait_for(2).await;
    let waiting = tokio::spawn({
        let ring = Arc::clone(&ring);
        async move { ring.wait_for(3).await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!waiting.is_finished());
    append(&mut writer, 3, 1);
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
}

#[test]
fn readers_beside_a_writer_see_every_flow_once_or_as_missed_and_never_a_wrong_name() {
    const TOTAL: u64 = 40_000;
    let (mut writer, ring) = Ring::new(capacity(4_095));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (ring, done) = (&ring, &done);
                scope.spawn(move || {
                    let (mut at, mut seen, mut missed) = (0, 0, 0);
                    let mut records = Vec::new();
                    loop {
                        let finished = done.load(Ordering::Acquire);
                        let batch = ring.read(at..u64::MAX, &mut records);
                        for (sequence, record) in (batch.first..).zip(&records) {
                            assert_eq!(number(record, &batch.names), sequence);
                        }
                        seen += records.len() as u64;
                        missed += batch.missed;
                        at = batch.first + records.len() as u64;
                        if records.is_empty() && finished {
                            return (seen, missed);
                        }
                        if reader == 2 {
                            // a slow one, to be overtaken
                            thread::sleep(Duration::from_micros(300));
                        }
                    }
                })
            })
            .collect();
        let mut written = 0;
        while written < TOTAL {
            let count = (written % 97 + 1).min(TOTAL - written);
            append(&mut writer, written, count);
            written += count;
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            let (seen, missed) = reader.join().unwrap();
            assert_eq!(seen + missed, TOTAL);
        }
    });
}

#[test]
fn a_search_beside_a_writer_whose_clock_is_set_back_and_forward_passes_no_flow_over() {
    const TOTAL: u64 = 60_000;
    // hours that come again, and jump
    let time_of =
        |sequence: u64| i64::try_from(sequence / 300 * 7_919 % 50 * 1_000 + sequence % 300).unwrap();
    let (mut writer, ring) = Ring::with_lengths(capacity(4_095), 64, 512, FlowUuids::random());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let searches: Vec<_> = [true, false]
            .into_iter()
            .map(|back| {
                let (ring, done) = (&ring, &done);
                scope.spawn(move || {
                    let mut looked_at = 0;
                    for hour in (0..50).cycle() {
                        if done.load(Ordering::Acquire) && looked_at > 0 {
                            return;
                        }
                        let window = TimeWindow { since_ns: hour * 1_000, until_ns: hour * 1_000 + 150 };
                        let before = ring.written();
                        let found = oracle_tests::search(ring, window, back);
                        let expected: Vec<u64> =
                            (ring.oldest()..before).filter(|n| window.holds(time_of(*n))).collect();
                        looked_at += expected.len();
                        let kept = found.iter().filter(|n| expected.contains(n)).count();
                        assert_eq!(kept, expected.len(), "hour {hour}, back {back}");
                    }
                })
            })
            .collect();
        let mut written = 0;
        while written < TOTAL {
            let count = (written % 97 + 1).min(TOTAL - written);
            let records: Vec<Record> =
                (written..written + count).map(|n| record(&mut writer, n, time_of(n))).collect();
            writer.append(&records);
            written += count;
        }
        done.store(true, Ordering::Release);
        for search in searches {
            search.join().unwrap();
        }
    });
}
