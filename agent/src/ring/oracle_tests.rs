//! The ring against a queue that forgets from the front.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::tests::{number, record};
use super::*;

/// What a test does to both.
#[derive(Debug, Clone)]
enum Step {
    /// Writes so many flows; the clock moves by so much with each.
    Write { count: u64, tick: i64 },
    /// Sets the clock.
    SetClock(i64),
    /// Lets one of the readers read once.
    Read(usize),
    /// Looks for the flows of a window.
    Search(i64, i64),
    /// Counts the flows since a moment.
    Count(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..700, -3_i64..10).prop_map(|(count, tick)| Step::Write { count, tick }),
        1 => (-4_000_i64..4_000).prop_map(Step::SetClock),
        4 => (0_usize..3).prop_map(Step::Read),
        2 => (-4_000_i64..4_000, 0_i64..3_000).prop_map(|(since, length)| Step::Search(since, since + length)),
        1 => (-4_000_i64..4_000).prop_map(Step::Count),
    ]
}

/// The naive ring: sequence numbers and times.
struct Oracle {
    held: VecDeque<(u64, i64)>,
    capacity: usize,
    written: u64,
}

impl Oracle {
    fn write(&mut self, time_ns: i64) {
        self.held.push_back((self.written, time_ns));
        self.written += 1;
        if self.held.len() > self.capacity {
            self.held.pop_front();
        }
    }

    fn within(&self, window: TimeWindow) -> Vec<u64> {
        self.held.iter().filter(|(_, time)| window.holds(*time)).map(|(sequence, _)| *sequence).collect()
    }
}

/// Walks the ring with the time index, forwards or backwards.
pub fn search(ring: &Ring, window: TimeWindow, back: bool) -> Vec<u64> {
    let (mut start, mut end) = (ring.oldest(), ring.written());
    let (mut found, mut records) = (Vec::new(), Vec::new());
    while start < end {
        // what is overwritten meanwhile can no longer be read back
        start = start.max(ring.oldest().min(end));
        let batch = if back {
            end = ring.skip_back_to(start..end, window);
            ring.read_back(start..end, &mut records)
        } else {
            start = ring.skip_to(start..end, window);
            ring.read(start..end, &mut records)
        };
        let some = (batch.first..).zip(&records).filter(|(_, record)| window.holds(record.time_ns));
        let some: Vec<u64> = some.map(|(sequence, _)| sequence).collect();
        if back {
            found.splice(0..0, some);
            end = batch.first;
        } else {
            found.extend(some);
            start = batch.first + records.len() as u64;
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn the_ring_agrees_with_a_queue(
        exponent in 1_u32..13,
        (block, group) in (0_u32..11, 0_u32..8),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let capacity = Capacity::try_from((1_u64 << exponent) - 1).unwrap();
        let (mut writer, ring) = Ring::with_lengths(capacity, 1 << block, 1 << (block + group), FlowUuids::random());
        let mut oracle =
            Oracle { held: VecDeque::new(), capacity: usize::try_from(capacity.flows()).unwrap(), written: 0 };
        let (mut readers, mut clock) = ([0_u64; 3], 0_i64);
        let mut records = Vec::new();
        for step in steps {
            match step {
                Step::Write { count, tick } => {
                    let batch: Vec<Record> = (oracle.written..oracle.written + count)
                        .map(|n| {
                            clock += tick;
                            oracle.write(clock);
                            record(&mut writer, n, clock)
                        })
                        .collect();
                    writer.append(&batch);
                }
                Step::SetClock(time_ns) => clock = time_ns,
                Step::Read(reader) => {
                    let at = readers[reader];
                    let batch = ring.read(at..u64::MAX, &mut records);
                    let oldest = oracle.held.front().map_or(0, |(sequence, _)| *sequence);
                    prop_assert_eq!(batch.first, at.max(oldest));
                    prop_assert_eq!(batch.missed, oldest.saturating_sub(at));
                    prop_assert_eq!(records.is_empty(), batch.first >= oracle.written);
                    for (sequence, record) in (batch.first..).zip(&records) {
                        let expected = oracle.held[usize::try_from(sequence - oldest).unwrap()];
                        prop_assert_eq!((number(record, &batch.names), record.time_ns), expected);
                    }
                    readers[reader] = batch.first + records.len() as u64;
                }
                Step::Search(since_ns, until_ns) => {
                    let window = TimeWindow { since_ns, until_ns };
                    prop_assert_eq!(search(&ring, window, false), oracle.within(window));
                    prop_assert_eq!(search(&ring, window, true), oracle.within(window));
                }
                Step::Count(since_ns) => {
                    let window = TimeWindow { since_ns, until_ns: i64::MAX };
                    prop_assert_eq!(ring.count_since(since_ns), oracle.within(window).len() as u64);
                }
            }
            prop_assert_eq!(ring.written(), oracle.written);
            prop_assert_eq!(ring.len(), oracle.held.len() as u64);
            prop_assert_eq!(ring.oldest_time_ns(), oracle.held.front().map(|(_, time)| *time));
        }
    }
}
