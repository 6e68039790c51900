//! Queries that go on.

use std::time::Duration;

use palomar_flow::convert::timestamp;
use palomar_proto::flow::FlowFilter;
use palomar_proto::observer::GetFlowsRequest;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use tokio_stream::StreamExt;
use tonic::Code;

use super::fixture::fixture;
use crate::clock::wall_now_ns;
use crate::server::frames::messages;

fn follow() -> GetFlowsRequest {
    GetFlowsRequest { follow: true, ..GetFlowsRequest::default() }
}

#[tokio::test]
async fn a_follower_gets_what_comes_and_the_newest_at_once() {
    let mut fixture = fixture(255);
    fixture.write(1, 10);
    let mut responses = fixture.open(follow()).await.unwrap();
    assert!(responses.is_quiet().await);
    fixture.write(2, 20);
    assert_eq!(responses.times(1).await, [20]);
    fixture.write(3, 30);
    fixture.write(4, 25);
    assert_eq!(responses.times(2).await, [30, 25]);
    assert!(responses.is_quiet().await);
}

#[tokio::test]
async fn the_past_of_a_follower_is_as_long_as_it_asks() {
    // (number, since) → the flows of before
    let table: [(u64, Option<i64>, &[i64]); 5] = [
        (0, None, &[]),
        (2, None, &[4, 5]),
        (0, Some(3), &[3, 4, 5]),
        (1, Some(3), &[5]),
        (99, None, &[1, 2, 3, 4, 5]),
    ];
    for (number, since, past) in table {
        let mut fixture = fixture(255);
        for n in 1..=5 {
            fixture.write(n, i64::try_from(n).unwrap());
        }
        let request = GetFlowsRequest { number, since: since.map(timestamp), ..follow() };
        let mut responses = fixture.open(request).await.unwrap();
        assert_eq!(responses.times(past.len()).await, past, "number {number} since {since:?}");
        assert!(responses.is_quiet().await);
        fixture.write(6, 6);
        assert_eq!(responses.times(1).await, [6]);
    }
}

#[tokio::test]
async fn a_follower_with_a_filter_gets_only_what_matches() {
    let mut fixture = fixture(255);
    let verdict = vec![palomar_proto::flow::Verdict::Dropped.into()];
    let whitelist = vec![FlowFilter { verdict, ..FlowFilter::default() }];
    let mut responses = fixture.open(GetFlowsRequest { whitelist, ..follow() }).await.unwrap();
    for n in 0..100 {
        fixture.write(n, i64::try_from(n).unwrap());
    }
    let dropped: Vec<i64> = (0..100).filter(|n| n % 5 < 2).collect();
    assert_eq!(responses.times(dropped.len()).await, dropped);
}

#[tokio::test]
async fn a_follower_ends_with_the_first_new_flow_beyond_its_window() {
    let mut fixture = fixture(255);
    fixture.write(1, 1_000);
    let until = Some(timestamp(wall_now_ns() + 3_600_000_000_000));
    let mut responses = fixture.open(GetFlowsRequest { until, number: 5, ..follow() }).await.unwrap();
    assert_eq!(responses.times(1).await, [1_000]);
    fixture.write(2, i64::MAX / 2);
    assert!(responses.next().await.is_none());
}

#[tokio::test]
async fn a_follower_ends_when_its_window_is_over_even_if_no_flow_comes() {
    let fixture = fixture(255);
    let until = Some(timestamp(wall_now_ns() - 900_000_000));
    let mut responses = fixture.open(GetFlowsRequest { until, ..follow() }).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(2), responses.next()).await.unwrap();
    assert!(ended.is_none());
}

#[tokio::test]
async fn a_shutdown_ends_every_stream_and_says_so() {
    let fixture = fixture(255);
    let mut responses = fixture.open(follow()).await.unwrap();
    assert!(responses.is_quiet().await);
    fixture.api.shut_down();
    assert_eq!(responses.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert!(responses.next().await.is_none());
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_an_ended_one_makes_room() {
    let fixture = fixture(255);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(fixture.open(follow()).await.unwrap());
    }
    let refused = fixture.open(follow()).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    open.pop();
    fixture.open(follow()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_was_overtaken_is_told_the_oldest_flow_next_with_and_without_a_filter() {
    let every_flow = FlowFilter { ip_version: vec![1, 2], ..FlowFilter::default() };
    for whitelist in [vec![], vec![every_flow]] {
        let mut fixture = fixture(255);
        let mut responses = fixture.open(GetFlowsRequest { whitelist, ..follow() }).await.unwrap();
        for n in 0..4_000 {
            fixture.write(n, i64::try_from(n).unwrap());
        }
        let begin = tokio::time::Instant::now();
        let kept: Vec<i64> = (4_000 - 255..4_000).collect();
        let mut told = Vec::new();
        while told.len() < kept.len() {
            let response = responses.next().await.unwrap().unwrap();
            if let Some(ResponseTypes::Flow(flow)) = response.response_types {
                told.push(i64::from(flow.time.unwrap().nanos));
            }
        }
        assert_eq!(told, kept);
        assert_eq!(begin.elapsed(), Duration::ZERO, "nobody waits for what is there");
    }
}

/// How many flows a follower is told at once, and when, on a clock that only moves while everybody waits. A flow
/// comes at each of these milliseconds.
async fn told(moments: &[u64]) -> Vec<(u64, usize)> {
    let mut fixture = fixture(1_023);
    let mut stream = fixture.observer().flows(follow()).await.unwrap();
    let begin = tokio::time::Instant::now();
    let count = moments.len();
    let reading = tokio::spawn(async move {
        let (mut told, mut flows) = (Vec::new(), 0);
        while flows < count {
            let chunk = messages(stream.next().await.unwrap().unwrap()).count();
            told.push((u64::try_from(begin.elapsed().as_millis()).unwrap(), chunk));
            flows += chunk;
        }
        told
    });
    for moment in moments {
        tokio::time::sleep_until(begin + Duration::from_millis(*moment)).await;
        fixture.write(0, 0);
    }
    reading.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_flow_after_a_quiet_is_told_at_once() {
    assert_eq!(told(&[500, 530, 800]).await, [(500, 1), (530, 1), (800, 1)]);
}

#[tokio::test(start_paused = true)]
async fn flows_that_come_fast_are_told_together_every_20_milliseconds() {
    let every_millisecond: Vec<u64> = (100..200).collect();
    let told = told(&every_millisecond).await;
    assert_eq!(told.first(), Some(&(100, 1)), "the first is told at once");
    assert_eq!(told.iter().map(|(_, flows)| flows).sum::<usize>(), 100);
    assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 20), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 22), "{told:?}");
}

/// The ring takes numbers back of pods that no flow in it has, and gives them to others.
#[tokio::test(start_paused = true)]
async fn a_number_that_comes_to_stand_for_another_pod_is_decided_and_encoded_anew() {
    let mut fixture = fixture(255);
    let sevens = FlowFilter { source_pod: vec!["np-demo/new-7-".into()], ..FlowFilter::default() };
    let mut all = fixture.open(follow()).await.unwrap();
    let mut some = fixture.open(GetFlowsRequest { whitelist: vec![sevens], ..follow() }).await.unwrap();
    let mut told_sevens = 0;
    for n in 0..4_000 {
        let name = format!("new-{}-{n}", n % 10);
        fixture.write_from_new_pod(&name);
        let ResponseTypes::Flow(_) = all.next().await.unwrap().unwrap().response_types.unwrap() else {
            panic!("the flow that is like others")
        };
        let ResponseTypes::Flow(flow) = all.next().await.unwrap().unwrap().response_types.unwrap() else {
            panic!("the flow of the new pod")
        };
        let source = flow.source.unwrap();
        assert_eq!((source.pod_name, source.labels), (name.clone(), vec![format!("k8s:app={name}")]));
        if n % 10 == 7 {
            let ResponseTypes::Flow(flow) = some.next().await.unwrap().unwrap().response_types.unwrap()
            else {
                panic!("a flow that matches")
            };
            assert_eq!(flow.source.unwrap().pod_name, name);
            told_sevens += 1;
        }
    }
    assert_eq!(told_sevens, 400);
    assert!(fixture.ring.names().erasures() > 5, "numbers were taken back");
    assert!(some.is_quiet().await);
}
