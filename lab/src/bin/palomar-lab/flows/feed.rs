//! Where flows come from: a sample without end, or a file over and over.

use std::sync::Arc;

use palomar_flow::rest::Rest;
use palomar_model::flow::Flow;
use palomar_sample::Traffic;

use super::file::Kept;

/// Flows of a sample's past came at this pace: that of a busy node.
const PAST_PER_SECOND: u64 = 1_500;
const SECOND_NS: u64 = 1_000_000_000;
/// Nanoseconds between two rounds over a file whose flows are all of one moment.
const LEAST_GAP_NS: i64 = 1_000_000;

/// Flows without end.
pub enum Feed {
    Sample(Box<Traffic>),
    File(Replay),
}

/// A flow and when it was seen; the flow's own time does not count.
#[derive(Debug, Clone)]
pub struct Told {
    pub time_ns: i64,
    pub flow: Arc<Flow>,
    pub rest: Option<Arc<Rest>>,
}

/// The flows of a file; after the last comes the first again.
#[derive(Debug)]
pub struct Replay {
    flows: Vec<Kept>,
    at: usize,
    /// How much later the flows of a round are than those of the round before.
    round_ns: i64,
    /// How much later those of this round are than in the file.
    later_ns: i64,
}

// === impl Feed ===

impl Feed {
    /// The next flow of the time before serving, `from_end` flows before `now_ns`. A file's flows keep their times; each
    /// further round follows the one before.
    pub fn past(&mut self, from_end: u64, now_ns: i64) -> Told {
        match self {
            Self::Sample(traffic) => {
                let time_ns = past_ns(now_ns, from_end);
                Told { time_ns, flow: Arc::new(traffic.next_flow(time_ns)), rest: None }
            }
            Self::File(replay) => {
                let (Kept { flow, rest }, later_ns) = replay.next();
                Told { time_ns: flow.time_ns.saturating_add(later_ns), flow, rest }
            }
        }
    }

    /// The next flow, as seen now.
    pub fn live(&mut self, now_ns: i64) -> Told {
        match self {
            Self::Sample(_) => self.past(0, now_ns),
            Self::File(replay) => {
                let (Kept { flow, rest }, _) = replay.next();
                Told { time_ns: now_ns, flow, rest }
            }
        }
    }
}

/// When the flow was that is so many flows from the end.
fn past_ns(now_ns: i64, from_end: u64) -> i64 {
    let distance = u128::from(from_end) * u128::from(SECOND_NS / PAST_PER_SECOND);
    now_ns.saturating_sub(i64::try_from(distance).unwrap_or(i64::MAX))
}

// === impl Replay ===

impl Replay {
    /// Flows in their order; there must be one.
    pub fn new(flows: Vec<Kept>) -> Self {
        let times = || flows.iter().map(|kept| kept.flow.time_ns);
        let span_ns = times().max().unwrap_or(0).saturating_sub(times().min().unwrap_or(0));
        let gaps = i64::try_from(flows.len().saturating_sub(1).max(1)).unwrap_or(i64::MAX);
        let round_ns = span_ns.saturating_add((span_ns / gaps).max(LEAST_GAP_NS));
        Self { flows, at: 0, round_ns, later_ns: 0 }
    }

    fn next(&mut self) -> (Kept, i64) {
        let next = (self.flows[self.at].clone(), self.later_ns);
        self.at += 1;
        if self.at == self.flows.len() {
            self.at = 0;
            self.later_ns = self.later_ns.saturating_add(self.round_ns);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use palomar_sample::Cluster;

    use super::*;

    #[test]
    fn flows_of_the_past_end_just_before_now_in_order() {
        let times: Vec<i64> = (0..4).map(|number| past_ns(1_000_000_000_000, 4 - number)).collect();
        assert_eq!(times, [999_997_333_336, 999_998_000_002, 999_998_666_668, 999_999_333_334]);
        assert_eq!(past_ns(0, u64::MAX), -i64::MAX);
    }

    #[test]
    fn a_file_is_told_over_and_over_each_round_behind_the_one_before_and_live_with_the_time_now() {
        let mut traffic = Traffic::new(Cluster::new(1), 1);
        let kept = |time_ns| Kept { flow: Arc::new(traffic.next_flow(time_ns)), rest: None };
        let mut feed = Feed::File(Replay::new([2_000_000, 10_000_000, 6_000_000].map(kept).into()));
        let times: Vec<i64> = (0..7).map(|_| feed.past(0, 0).time_ns / 1_000_000).collect();
        // a span of 8 ms in two steps, so a round is 12 ms
        assert_eq!(times, [2, 10, 6, 14, 22, 18, 26]);
        assert_eq!(feed.live(5).time_ns, 5);
        let Feed::File(replay) = feed else { unreachable!("it is a file") };
        let mut one = Feed::File(Replay::new(replay.flows[..1].to_vec()));
        assert_eq!([one.past(0, 0).time_ns, one.past(0, 0).time_ns], [2_000_000, 3_000_000]);
    }
}
