//! What a query tells of losses.

use palomar_flow::convert::timestamp;
use palomar_proto::flow::{FlowFilter, LostEvent, LostEventSource, Verdict};
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::observer::{GetFlowsRequest, GetFlowsResponse};

use super::fixture::{fixture, fixture_with};
use crate::losses::{Gap, GapCause, Loss, LossSource, Losses};

fn lost(responses: &[GetFlowsResponse]) -> Vec<LostEvent> {
    let lost = |response: &GetFlowsResponse| match &response.response_types {
        Some(ResponseTypes::LostEvents(event)) => Some(*event),
        _ => None,
    };
    responses.iter().filter_map(lost).collect()
}

const SECOND: i64 = 1_000_000_000;

#[tokio::test]
async fn a_query_tells_the_losses_of_its_time_beside_its_number_and_filters() {
    let mut fixture = fixture(255);
    for n in 0..10 {
        fixture.write(n, 100 * SECOND + i64::try_from(n).unwrap() * SECOND);
    }
    let loss = |source, count, at| Loss { source, count, first_ns: at, last_ns: at };
    fixture.losses.add(loss(LossSource::QueueFull, 5, 50 * SECOND));
    fixture.losses.add(loss(LossSource::QueueFull, 7, 104 * SECOND));
    fixture.losses.add(loss(LossSource::KernelRingDrop, 11, 108 * SECOND));
    // (what, request, flows, queue, kernel)
    let since = |second: i64| Some(timestamp(second * SECOND));
    let base = GetFlowsRequest::default;
    let table = [
        ("all", base(), 10, 7, 11),
        ("the last two", GetFlowsRequest { number: 2, ..base() }, 2, 0, 11),
        ("the first two", GetFlowsRequest { number: 2, first: true, ..base() }, 2, 0, 0),
        ("since", GetFlowsRequest { since: since(105), ..base() }, 5, 0, 11),
        ("until", GetFlowsRequest { until: since(105), ..base() }, 6, 7, 0),
        ("from long ago", GetFlowsRequest { since: since(10), ..base() }, 10, 12, 11),
    ];
    for (what, request, flows, queue, kernel) in table {
        let responses = fixture.ask(request).await.unwrap();
        let told = lost(&responses);
        assert_eq!(responses.len() - told.len(), flows, "{what}");
        let count = |source: LostEventSource| -> u64 {
            told.iter().filter(|event| event.source() == source).map(|event| event.num_events_lost).sum()
        };
        assert_eq!(count(LostEventSource::ObserverEventsQueue), queue, "{what}");
        assert_eq!(count(LostEventSource::PerfEventRingBuffer), kernel, "{what}");
    }
    assert_eq!(fixture.losses.count(LossSource::QueueFull), 12, "asking changes no counter");
}

#[tokio::test]
async fn a_query_tells_each_gap_of_its_time_as_a_lost_event() {
    use LostEventSource::{HubbleRingBuffer, PerfEventRingBuffer, UnknownLostEventSource};
    let gap = |first: i64, last: i64, flows, cause| Gap {
        first_ns: if first == 0 { i64::MIN } else { first * SECOND },
        last_ns: last * SECOND,
        flows,
        cause,
    };
    let gaps = vec![
        gap(0, 90, None, GapCause::Unreadable),
        gap(95, 102, Some(8), GapCause::Unreadable),
        gap(103, 104, None, GapCause::NotSaved),
        gap(106, 107, None, GapCause::NothingRan),
        gap(108, 109, None, GapCause::Replaced),
    ];
    let mut fixture = fixture_with(255, 3, Losses::with_history(&[], gaps));
    for n in 0..10 {
        fixture.write(n, (100 + i64::try_from(n).unwrap()) * SECOND);
    }
    // (source, how many, first second, last second)
    let unreadable = (HubbleRingBuffer, 0, None, 90);
    let damaged = (HubbleRingBuffer, 8, Some(95), 102);
    let crashed = (HubbleRingBuffer, 0, Some(103), 104);
    let away = (UnknownLostEventSource, 0, Some(106), 107);
    let replaced = (PerfEventRingBuffer, 0, Some(108), 109);
    let since = |second: i64| Some(timestamp(second * SECOND));
    let base = GetFlowsRequest::default;
    let table = [
        ("all", base(), vec![damaged, crashed, away, replaced]),
        ("since", GetFlowsRequest { since: since(105), ..base() }, vec![away, replaced]),
        ("until", GetFlowsRequest { until: since(101), ..base() }, vec![damaged]),
        ("of long ago", GetFlowsRequest { since: since(1), until: since(94), ..base() }, vec![unreadable]),
        ("the last two", GetFlowsRequest { number: 2, ..base() }, vec![replaced]),
        ("the last four", GetFlowsRequest { number: 4, ..base() }, vec![away, replaced]),
    ];
    for (what, request, expected) in table {
        let told: Vec<_> = lost(&fixture.ask(request).await.unwrap())
            .iter()
            .map(|event| {
                let (first, last) = (event.first.map(|time| time.seconds), event.last.unwrap().seconds);
                (event.source(), event.num_events_lost, first, last)
            })
            .collect();
        assert_eq!(told, expected, "{what}");
    }
    let follow = GetFlowsRequest { follow: true, ..base() };
    assert!(fixture.open(follow).await.unwrap().is_quiet().await, "who follows from now on is told no gap");
}

#[tokio::test]
async fn a_reader_that_was_overtaken_is_told_how_many_flows_it_missed() {
    let mut fixture = fixture(255);
    for n in 0..255 {
        fixture.write(n, i64::try_from(n).unwrap());
    }
    let mut responses = fixture
        .open(GetFlowsRequest { follow: true, number: 255, ..GetFlowsRequest::default() })
        .await
        .unwrap();
    assert_eq!(responses.times(1).await, [0]);
    for n in 255..1_255 {
        fixture.write(n, i64::try_from(n).unwrap());
    }
    let (mut times, mut missed) = (vec![0], 0);
    while times.len() as u64 + missed < 1_255 {
        let response = responses.next().await.unwrap().unwrap();
        match response.response_types.unwrap() {
            ResponseTypes::Flow(_) => times.push(i64::from(response.time.unwrap().nanos)),
            ResponseTypes::LostEvents(event) => {
                assert_eq!(event.source(), LostEventSource::HubbleRingBuffer);
                missed += event.num_events_lost;
            }
            ResponseTypes::NodeStatus(_) => panic!("an agent tells no node status"),
        }
    }
    // a chunk was made before: what it held, then what the ring still holds
    let chunk = times.len() - 255;
    assert!((1..=255).contains(&chunk), "{chunk}");
    let expected: Vec<i64> = (0..1_255).take(chunk).chain(1_000..1_255).collect();
    assert_eq!(times, expected);
    assert_eq!(missed, 1_000 - chunk as u64);
    assert_eq!(fixture.losses.count(LossSource::ReaderOvertaken), missed);
}

#[tokio::test]
async fn what_queries_passed_was_answered_left_out_or_missed() {
    let mut fixture = fixture(255);
    for n in 0..1_000 {
        fixture.write(n, SECOND + i64::try_from(n).unwrap());
    }
    let dropped = || vec![FlowFilter { verdict: vec![Verdict::Dropped.into()], ..FlowFilter::default() }];
    let base = GetFlowsRequest::default;
    let table = [
        ("all", base(), 255),
        ("the dropped ones", GetFlowsRequest { whitelist: dropped(), ..base() }, 255),
        ("the last ten", GetFlowsRequest { number: 10, ..base() }, 10),
        ("the first ten", GetFlowsRequest { number: 10, first: true, ..base() }, 10),
        ("none of this time", GetFlowsRequest { since: Some(timestamp(9 * SECOND)), ..base() }, 255),
    ];
    for (what, request, passed) in table {
        let before = fixture.losses.stages()[3].clone();
        let answered = fixture.ask(request).await.unwrap().len() as u64;
        let after = fixture.losses.stages()[3].clone();
        let [taken, given, left_out] =
            [after.taken - before.taken, after.given - before.given, after.left_out - before.left_out];
        assert_eq!((taken, given, left_out), (passed, answered, passed - answered), "{what}");
    }
    assert_eq!(fixture.losses.count(LossSource::ReaderOvertaken), 0);
}

#[tokio::test]
async fn a_follower_is_told_of_new_losses_once_a_second_at_most_and_not_of_old_ones() {
    let fixture = fixture(255);
    let loss = |count| Loss { source: LossSource::QueueFull, count, first_ns: SECOND, last_ns: SECOND };
    fixture.losses.add(loss(100));
    let mut responses =
        fixture.open(GetFlowsRequest { follow: true, ..GetFlowsRequest::default() }).await.unwrap();
    assert!(responses.is_quiet().await);
    let mut told = Vec::new();
    let begin = std::time::Instant::now();
    for count in [1, 2, 4] {
        fixture.losses.add(loss(count));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    while told.iter().sum::<u64>() < 7 {
        let response = responses.next().await.unwrap().unwrap();
        told.push(lost(&[response])[0].num_events_lost);
    }
    let seconds = begin.elapsed().as_secs();
    assert!(told.len() as u64 <= seconds + 1, "{told:?} in {seconds} s");
    assert_eq!(told.iter().sum::<u64>(), 7);
}
