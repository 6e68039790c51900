//! A ring comes back as it was saved.

use std::io::Cursor;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use palomar_flow::rest::{Rest, Stands};
use palomar_model::attribution::PolicyRef;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};
use palomar_proto::flow as proto;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;

use super::read::{self, Numbering, Restored};
use super::{chunk, write};
use crate::losses::{Gap, GapCause, Loss, LossSource, Losses};
use crate::ring::{Capacity, Interface, Record, Ring, Writer};

pub fn capacity(flows: u64) -> Capacity {
    flows.try_into().unwrap()
}

/// Some texts, of which many flows share each; among them what a workload might choose to annoy.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["", "web", "np-demo", "ünïcødé\u{202e}", "\0\x1b[31m"]).prop_map(str::to_owned),
        1 => ".{0,300}",
    ]
}

fn name() -> impl Strategy<Value = ObjectName> {
    (text(), text()).prop_map(|(namespace, name)| ObjectName { namespace, name })
}

fn label() -> impl Strategy<Value = Label> {
    (select(vec!["k8s", "reserved", "cidr"]), text(), text()).prop_map(|(source, key, value)| Label {
        source,
        key,
        value,
    })
}

fn endpoint() -> impl Strategy<Value = FlowEndpoint> {
    let labels = prop::collection::vec(label(), 0..5).prop_map(LabelSet::new);
    let workload = (text(), text()).prop_map(|(name, kind)| Workload { name, kind });
    let ends =
        (any::<u32>(), any::<u32>(), labels, prop::option::of(name()), prop::option::of(workload), text());
    ends.prop_map(|(id, identity, labels, pod, workload, cluster)| FlowEndpoint {
        id,
        identity: Identity(identity),
        labels,
        pod,
        workload,
        cluster: cluster.into(),
    })
}

fn event() -> impl Strategy<Value = Event> {
    use ObservationPoint as Point;
    prop_oneof![
        select(vec![Point::ToEndpoint, Point::ToStack, Point::FromEndpoint]).prop_map(Event::Trace),
        any::<u8>().prop_map(|reason| Event::Drop(DropReason(reason))),
        (0_u8..7).prop_map(|number| Event::PolicyVerdict(MatchType::try_from(number).unwrap())),
    ]
}

fn transport() -> impl Strategy<Value = Transport> {
    let ports = (any::<u16>(), any::<u16>());
    let codes = (any::<u8>(), any::<u8>());
    prop_oneof![
        (any::<u16>(), any::<u16>(), any::<u8>()).prop_map(|(source, destination, flags)| Transport::Tcp {
            source,
            destination,
            flags: TcpFlags(flags)
        }),
        ports.prop_map(|(source, destination)| Transport::Udp { source, destination }),
        ports.prop_map(|(source, destination)| Transport::Sctp { source, destination }),
        codes.prop_map(|(kind, code)| Transport::Icmp { kind, code }),
        codes.prop_map(|(kind, code)| Transport::Icmpv6 { kind, code }),
        any::<u8>().prop_map(Transport::Other),
    ]
}

/// Any flow; the uuid is left to the ring.
fn flow() -> impl Strategy<Value = Flow> {
    use ConnectionState as State;
    let judged = (
        select(vec![Verdict::Forwarded, Verdict::Dropped, Verdict::Audit]),
        select(vec![State::Unknown, State::New, State::Established, State::Reply, State::Related]),
        select(vec![Direction::Ingress, Direction::Egress]),
    );
    let policies = prop::collection::vec(name().prop_map(PolicyRef::network_policy), 0..3);
    let names = (endpoint(), endpoint(), prop::option::of(name()), prop::option::of(name()), policies);
    let packet = (any::<IpAddr>(), any::<IpAddr>(), transport(), any::<u32>(), text());
    let time = prop_oneof![any::<i64>(), 0_i64..1_000];
    (time, event(), judged, names, packet, any::<u32>()).prop_map(
        |(time_ns, event, (verdict, state, direction), names, packet, policy_revision)| {
            let (source, destination, source_service, destination_service, policies) = names;
            let (source_address, destination_address, transport, index, interface) = packet;
            Flow {
                time_ns,
                uuid: 0,
                event,
                verdict,
                state,
                direction,
                source_address,
                destination_address,
                transport,
                source: Arc::new(source),
                destination: Arc::new(destination),
                source_service,
                destination_service,
                interface: (index, interface.into()),
                policies: policies.into(),
                policy_revision,
            }
        },
    )
}

pub fn push(writer: &mut Writer, flow: &Flow) {
    let record = record(writer, flow);
    writer.append(&[record]);
}

fn record(writer: &mut Writer, flow: &Flow) -> Record {
    let mut service = |name: &Option<ObjectName>| name.clone().map(|name| writer.service(&Arc::new(name)));
    let (source_service, destination_service) =
        (service(&flow.source_service), service(&flow.destination_service));
    let (index, name) = flow.interface.clone();
    Record {
        time_ns: flow.time_ns,
        source_address: flow.source_address,
        destination_address: flow.destination_address,
        source: writer.endpoint(&flow.source),
        destination: writer.endpoint(&flow.destination),
        source_service,
        destination_service,
        interface: writer.interface(&Arc::new(Interface { index, name })),
        policies: writer.policies(&flow.policies),
        policy_revision: flow.policy_revision,
        transport: flow.transport,
        event: flow.event,
        verdict: flow.verdict,
        state: flow.state,
        direction: flow.direction,
        rest: None,
    }
}

/// A flow whose time, ports and names depend on `n`.
pub fn numbered(n: u64) -> Flow {
    let id = u32::try_from(n).unwrap();
    let endpoint = |id: u32| {
        let name = ObjectName::new("np-demo", format!("pod-{id}"));
        Arc::new(FlowEndpoint {
            id,
            identity: Identity(256 + id),
            labels: LabelSet::new(vec![Label::k8s("app", "web"), Label::k8s("n", (id % 3).to_string())]),
            pod: Some(name.clone()),
            workload: Some(Workload { name: name.name, kind: "Deployment".into() }),
            cluster: Arc::from("default"),
        })
    };
    Flow {
        time_ns: i64::from(id) * 1_000,
        uuid: 0,
        event: Event::Trace(ObservationPoint::ToEndpoint),
        verdict: Verdict::Forwarded,
        state: ConnectionState::New,
        direction: Direction::Ingress,
        source_address: id.to_be_bytes().into(),
        destination_address: [10, 0, 0, 2].into(),
        transport: Transport::Udp { source: (id % 60_000).try_into().unwrap(), destination: 53 },
        source: endpoint(id / 5),
        destination: endpoint(id % 7),
        source_service: None,
        destination_service: (id % 4 == 0).then(|| ObjectName::new("np-demo", "web")),
        interface: (id % 3, Arc::from("veth")),
        policies: Arc::from([PolicyRef::network_policy(ObjectName::new("np-demo", format!("p{}", id % 2)))]),
        policy_revision: id % 2,
    }
}

/// Two flows of which more is said than a record holds, and one of which nothing more is.
#[test]
fn what_is_said_beyond_records_comes_back() {
    let (mut writer, ring) = Ring::new(capacity(7));
    let fields = proto::Flow { proxy_port: 7, node_name: "k2".into(), ..proto::Flow::default() };
    let fields = fields.encode_to_vec();
    let rests = [
        Rest::new(Stands::Beside, &fields, Some("k2")),
        None,
        Rest::new(Stands::Instead, &fields, Some("")),
        Rest::new(Stands::Beside, &fields, None),
    ];
    for (n, rest) in (0..).zip(&rests) {
        let mut record = record(&mut writer, &numbered(n));
        record.rest = rest.clone().map(|rest| writer.rest(&Arc::new(rest)));
        writer.append(&[record]);
    }
    let Restored { ring: restored, .. } = restore(&save(&ring, &Losses::default(), 0), 7);
    let mut records = Vec::new();
    let batch = restored.read(0..u64::MAX, &mut records);
    let found: Vec<_> =
        records.iter().map(|record| record.rest.map(|id| Rest::clone(batch.names.rest(id)))).collect();
    assert_eq!(found, rests);
}

pub fn numbered_ring(flows: u64, held: u64) -> Arc<Ring> {
    let (mut writer, ring) = Ring::new(capacity(held));
    (0..flows).for_each(|n| push(&mut writer, &numbered(n)));
    ring
}

/// All flows of a ring, oldest first, with their UUIDs.
pub fn flows(ring: &Ring) -> Vec<Flow> {
    let (mut at, mut all, mut records) = (ring.oldest(), Vec::new(), Vec::new());
    loop {
        let batch = ring.read(at..u64::MAX, &mut records);
        if records.is_empty() {
            return all;
        }
        let uuid = |sequence| ring.uuids().of(sequence);
        let flows = (batch.first..).zip(&records);
        all.extend(flows.map(|(sequence, record)| batch.names.flow(record, uuid(sequence))));
        at = batch.first + records.len() as u64;
    }
}

pub fn save(ring: &Ring, losses: &Losses, until_ns: i64) -> Vec<u8> {
    let mut file = Vec::new();
    let later = Instant::now() + Duration::from_mins(10);
    write::write(ring, losses, until_ns, later, &mut file).unwrap();
    file
}

pub fn restore(file: &[u8], held: u64) -> Restored {
    read::read(Cursor::new(file), capacity(held), Numbering::GoesOn).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 8))]

    #[test]
    fn any_flows_come_back_in_their_order_with_their_uuids(
        all in prop::collection::vec(flow(), 0..80),
        exponents in (1_u32..9, 1_u32..9),
    ) {
        let [from, to] = [exponents.0, exponents.1].map(|exponent| (1_u64 << exponent) - 1);
        let (mut writer, ring) = Ring::new(capacity(from));
        for flow in &all {
            push(&mut writer, flow);
        }
        let restored = restore(&save(&ring, &Losses::default(), 7), to);
        prop_assert!(restored.damage.is_none(), "{:?}", restored.damage);
        let (before, after) = (flows(&ring), flows(&restored.ring));
        let kept = before.len().min(usize::try_from(to).unwrap());
        prop_assert_eq!(&after[..], &before[before.len() - kept..]);
        for flow in &after {
            let sequence = restored.ring.uuids().sequence(flow.uuid).unwrap();
            prop_assert!((restored.ring.oldest()..restored.ring.written()).contains(&sequence));
        }
        prop_assert_eq!((restored.ring.seen(), restored.until_ns), (0, 7));
    }
}

#[test]
fn a_ring_of_many_sections_comes_back_and_goes_on() {
    let count = u64::from(chunk::MAX_FLOWS) * 2 + 5_000;
    let ring = numbered_ring(count, 65_535);
    let file = save(&ring, &Losses::default(), 0);
    let Restored { mut writer, ring: restored, flows: kept, .. } = restore(&file, 65_535);
    assert_eq!((kept, restored.seen()), (count, 0));
    assert!(flows(&restored) == flows(&ring));

    push(&mut writer, &numbered(count));
    assert_eq!((restored.written(), restored.seen()), (count + 1, 1));
    let newest = flows(&restored).pop().unwrap();
    assert_eq!(newest.uuid, ring.uuids().of(count), "numbers go on where they ended");

    // and what was restored is saved again with what came
    let again = restore(&save(&restored, &Losses::default(), 0), 65_535);
    assert!(flows(&again.ring) == flows(&restored));
}

#[test]
fn a_smaller_ring_keeps_the_newest_and_does_not_read_the_rest() {
    let count = u64::from(chunk::MAX_FLOWS) * 2;
    let ring = numbered_ring(count, 65_535);
    let mut file = save(&ring, &Losses::default(), 0);
    let half = file.len() / 2 + 10_000;
    file[half..].fill(0);
    let restored = restore(&file, 1_023);
    assert!(restored.damage.is_none());
    assert!(flows(&restored.ring)[..] == flows(&ring)[flows(&ring).len() - 1_023..]);
}

#[test]
fn losses_and_gaps_come_back_with_the_flows() {
    let gap = Gap { first_ns: 10, last_ns: 20, flows: None, cause: GapCause::NothingRan };
    let losses = Losses::with_history(&[], vec![gap]);
    losses.add(Loss { source: LossSource::QueueFull, count: 7, first_ns: 1, last_ns: 2 });
    let restored = restore(&save(&numbered_ring(0, 7), &losses, 30), 7);
    assert_eq!((restored.flows, restored.losses, restored.gaps), (0, losses.intervals(), vec![gap]));
}

#[test]
fn flows_that_are_numbered_anew_have_other_uuids() {
    let ring = numbered_ring(20, 31);
    let file = save(&ring, &Losses::default(), 0);
    let anew = read::read(Cursor::new(&file[..]), capacity(31), Numbering::Anew).unwrap();
    for (one, other) in flows(&ring).into_iter().zip(flows(&anew.ring)) {
        assert_ne!(one.uuid, other.uuid);
        assert_eq!(anew.ring.uuids().sequence(one.uuid), None);
        assert_eq!(Flow { uuid: 0, ..one }, Flow { uuid: 0, ..other });
    }
}

#[test]
fn without_time_for_all_the_oldest_are_left_out() {
    let count = u64::from(chunk::MAX_FLOWS) * 2;
    let ring = numbered_ring(count, 65_535);
    let mut file = Vec::new();
    let written = write::write(&ring, &Losses::default(), 0, Instant::now(), &mut file).unwrap();
    assert_eq!(written, u64::from(chunk::MAX_FLOWS));
    let restored = restore(&file, 65_535);
    assert!(restored.damage.is_none() && restored.gaps.is_empty());
    assert!(flows(&restored.ring)[..] == flows(&ring)[chunk::MAX_FLOWS.try_into().unwrap()..]);
}

#[test]
fn names_that_many_flows_share_are_shared_in_memory_as_before() {
    let count = u64::from(chunk::MAX_FLOWS) + 4_000;
    let restored = restore(&save(&numbered_ring(count, 32_767), &Losses::default(), 0), 32_767);
    let names = restored.ring.names();
    let mut label_sets: Vec<*const Label> =
        names.endpoints().map(|end| std::ptr::from_ref(end.labels.iter().next().unwrap())).collect();
    label_sets.sort_unstable();
    label_sets.dedup();
    assert_eq!(label_sets.len(), 3, "of {} ends", names.endpoints().count());
}

#[test]
fn a_ring_that_is_written_meanwhile_is_saved_as_far_as_it_stays() {
    let (mut writer, ring) = Ring::new(capacity(4_095));
    (0..5_000).for_each(|n| push(&mut writer, &numbered(n)));
    let written = std::sync::atomic::AtomicBool::new(false);
    let file = std::thread::scope(|scope| {
        let (ring, written) = (&ring, &written);
        let saving = scope.spawn(move || {
            let mut files = Vec::new();
            while !written.load(std::sync::atomic::Ordering::Acquire) {
                files.push(save(ring, &Losses::default(), 0));
            }
            files
        });
        (5_000..12_000).for_each(|n| push(&mut writer, &numbered(n)));
        written.store(true, std::sync::atomic::Ordering::Release);
        saving.join().unwrap()
    });
    for file in file {
        let restored = restore(&file, 4_095);
        assert!(restored.damage.is_none());
        let numbers: Vec<i64> = flows(&restored.ring).iter().map(|flow| flow.time_ns / 1_000).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "without a hole");
        for flow in flows(&restored.ring) {
            let n = u64::try_from(flow.time_ns / 1_000).unwrap();
            assert_eq!(Flow { uuid: 0, ..flow }, numbered(n));
        }
    }
}
