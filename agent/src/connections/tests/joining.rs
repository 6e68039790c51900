//! One connection of one entry or of two.

use palomar_bpf::abi::{CONNECTION_MASKED, Direction, LimitKey, address_bytes};
use palomar_proto::palomar::v1;
use proptest::prelude::*;

use super::fixture::*;

/// front calls web, as front's interface saw it and as web's did.
fn front_to_web(protocol: u8) -> (At, At) {
    (
        at(FRONT_VETH, (FRONT, 1000), (WEB, 80), protocol),
        at(WEB_VETH, (WEB, 80), (FRONT, 1000), protocol).begun_by_peer(),
    )
}

#[test]
fn a_connection_between_two_pods_is_told_once_by_its_source() {
    let (source, destination) = front_to_web(TCP);
    let open = |at: At| at.open();
    let told = "shop/front 1000 > shop/web 80";
    let table: [(&str, Vec<At>, Vec<String>); 12] = [
        (
            "both sides",
            vec![open(source), open(destination)],
            vec![format!("{told} established both arrived")],
        ),
        (
            "in the other order",
            vec![open(destination), open(source)],
            vec![format!("{told} established both arrived")],
        ),
        (
            "the answer is lost on its way back, as its source sees it",
            vec![
                source,
                At {
                    connection: palomar_bpf::abi::Connection { packets: [1, 1], ..destination.connection },
                    ..destination
                },
            ],
            vec![format!("{told} syn_unanswered both arrived")],
        ),
        (
            "the destination alone",
            vec![open(destination)],
            vec![format!("{told} established destination arrived")],
        ),
        ("the source alone, unanswered", vec![source], vec![format!("{told} syn_unanswered source missing")]),
        (
            "the source alone, answered",
            vec![open(source)],
            vec![format!("{told} established source arrived")],
        ),
        (
            "the destination's has timed out",
            vec![source, destination.idle(61)],
            vec![format!("{told} syn_unanswered source missing")],
        ),
        (
            "the source's has timed out",
            vec![source.idle(61), destination],
            vec![format!("{told} syn_unanswered destination arrived")],
        ),
        ("both have timed out", vec![source.idle(61), destination.idle(61)], vec![]),
        (
            "the source was first seen in the middle",
            vec![open(source).unoriented(), open(destination)],
            vec![format!("{told} established both arrived")],
        ),
        (
            "the destination was first seen in the middle",
            vec![open(source), open(destination).unoriented()],
            vec![format!("{told} established both arrived")],
        ),
        (
            "each believes to have begun one",
            vec![open(source), At { connection: open(source).connection, ..destination }],
            vec![
                format!("{told} established source arrived"),
                "shop/web 80 > shop/front 1000 established source arrived".to_owned(),
            ],
        ),
    ];
    for (name, entries, expected) in table {
        assert_eq!(lines(&entries), expected, "{name}");
    }
}

#[test]
fn where_neither_side_saw_the_beginning_the_lesser_interface_stands_first() {
    let (source, destination) = front_to_web(TCP);
    let (source, destination) = (source.open().unoriented(), destination.open().unoriented());
    let both = ["shop/web 80 ? shop/front 1000 established both arrived"];
    assert_eq!(lines(&[source, destination]), both);
    assert_eq!(lines(&[destination, source]), both);
    assert_eq!(lines(&[source]), ["shop/front 1000 ? shop/web 80 established source unspecified"]);
}

#[test]
fn a_connection_is_missing_only_where_nothing_can_have_arrived() {
    let (source, _) = front_to_web(UDP);
    let young = |mut at: At| {
        at.connection.began = NOW - SECOND / 20;
        at.connection.last_seen = at.connection.began;
        at
    };
    let table = [
        ("to a pod of this node", source, "missing"),
        ("a moment ago", young(source), "unspecified"),
        ("first seen in the middle, one way", source.unoriented(), "missing"),
        ("to a pod of another node", at(FRONT_VETH, (FRONT, 1000), (DB, 80), UDP), "unspecified"),
        (
            "to who had a pod's address before it",
            at(FRONT_VETH, (FRONT6, 1000), (WEB6, 80), UDP).idle(11),
            "unspecified",
        ),
        ("to a service's address", at(FRONT_VETH, (FRONT, 1000), (VIP, 80), UDP), "unspecified"),
        ("to the world", at(FRONT_VETH, (FRONT, 1000), (FAR, 80), UDP), "unspecified"),
        ("from the world", at(FRONT_VETH, (FRONT, 80), (FAR, 1000), UDP).begun_by_peer(), "arrived"),
        (
            "to a pod that nobody knows, of this node",
            at(FRONT_VETH, (FRONT, 1000), (STRAY, 80), UDP),
            "missing",
        ),
        ("to itself", at(FRONT_VETH, (FRONT, 1000), (FRONT, 80), UDP), "missing"),
    ];
    for (name, entry, arrival) in table {
        let [line] = &lines(&[entry])[..] else { panic!("{name}: one line") };
        assert_eq!(line.split(' ').next_back(), Some(arrival), "{name}: {line}");
    }
}

#[test]
fn what_the_destination_has_denied_since_it_began_is_denied_there() {
    let (source, _) = front_to_web(TCP);
    let key = LimitKey {
        peer: address_bytes(ip(FRONT)),
        ifindex: WEB_VETH,
        port: 80_u16.to_be(),
        protocol: TCP,
        direction: Direction::Ingress.number(),
    };
    let began = source.connection.began;
    let table = [
        ("denied since", key, began + SECOND, "denied"),
        ("denied with its first packet, as the limit blurs it", key, began - SECOND / 2, "denied"),
        ("denied before", key, began - 2 * SECOND, "missing"),
        ("another port", LimitKey { port: 81_u16.to_be(), ..key }, began + SECOND, "missing"),
        ("another pod", LimitKey { ifindex: STRAY_VETH, ..key }, began + SECOND, "missing"),
        ("another peer", LimitKey { peer: address_bytes(ip(DB)), ..key }, began + SECOND, "missing"),
        (
            "the other direction",
            LimitKey { direction: Direction::Egress.number(), ..key },
            began + SECOND,
            "missing",
        ),
    ];
    for (name, key, denied_at, arrival) in table {
        let table = Table { denied: [(limit_bytes(&key), denied_at)].into(), ..table_of(source) };
        let (connections, _) = ask(table, &v1::ListConnectionsRequest::default());
        let line = line(&connections[0]);
        assert_eq!(line.split(' ').next_back(), Some(arrival), "{name}: {line}");
    }
}

fn table_of(entry: At) -> Table {
    table(&[entry])
}

#[test]
fn queries_of_icmp_and_hairpins_find_their_other_side() {
    let ping = |ifindex, local, remote, asked: Direction| {
        let mut at = at(ifindex, (local, 7), (remote, 7), ICMP).open();
        at.key.asked = asked.number();
        at
    };
    let there = ping(FRONT_VETH, FRONT, WEB, Direction::Egress);
    let here = ping(WEB_VETH, WEB, FRONT, Direction::Ingress).begun_by_peer();
    assert_eq!(lines(&[there, here]), ["shop/front > shop/web active both arrived"]);
    let back = ping(WEB_VETH, WEB, FRONT, Direction::Egress);
    assert_eq!(lines(&[there, here, back]).len(), 2, "a ping of the other end is another");

    let out = at(FRONT_VETH, (FRONT, 1000), (FRONT, 80), TCP).open();
    let back = at(FRONT_VETH, (FRONT, 80), (FRONT, 1000), TCP).open().begun_by_peer();
    assert_eq!(lines(&[out, back]), ["shop/front 1000 > shop/front 80 established both arrived"]);
    let equal = at(FRONT_VETH, (FRONT, 80), (FRONT, 80), UDP);
    assert_eq!(lines(&[equal]).len(), 1, "an entry is not its own other side");

    let (there, here) = (
        at(FRONT_VETH, (FRONT6, 1000), (WEB6, 80), TCP).open(),
        at(WEB_VETH, (WEB6, 80), (FRONT6, 1000), TCP).open().begun_by_peer(),
    );
    assert_eq!(lines(&[there, here]), ["shop/front 1000 > shop/web 80 established both arrived"]);
}

#[test]
fn each_side_tells_its_own_traffic() {
    let (source, destination) = front_to_web(TCP);
    let mut source = source.open();
    source.connection.packets = [3, 9];
    source.connection.bytes = [30, 90];
    let mut destination = destination.open();
    destination.connection.packets = [8, 3];
    destination.connection.bytes = [80, 30];
    let (connections, _) = ask(table(&[source, destination]), &v1::ListConnectionsRequest::default());
    let [connection] = &connections[..] else { panic!("one connection") };
    let traffic = |packets, bytes| Some(v1::Traffic { packets, bytes });
    assert_eq!((connection.sent, connection.received), (traffic(9, 90), traffic(3, 30)));
    assert_eq!((connection.age_ns, connection.idle_ns), (50 * SECOND, SECOND));
    let [there, here] =
        [&connection.source_side, &connection.destination_side].map(|side| side.as_ref().unwrap());
    assert_eq!(
        (there.interface.as_str(), there.sent, there.received),
        ("veth8", traffic(9, 90), traffic(3, 30))
    );
    assert_eq!(
        (here.interface.as_str(), here.sent, here.received),
        ("veth7", traffic(8, 80), traffic(3, 30))
    );
}

#[test]
fn syns_are_counted_only_while_there_is_no_answer() {
    let mut source = at(FRONT_VETH, (FRONT, 1000), (DB, 80), TCP);
    source.connection.packets = [0, 4];
    let syns = |at: At| ask(table(&[at]), &v1::ListConnectionsRequest::default()).0[0].unanswered_syns;
    assert_eq!(syns(source), 4);
    assert_eq!(syns(source.open()), 0);
    assert_eq!(syns(at(FRONT_VETH, (FRONT, 1000), (DB, 80), UDP)), 0);
    assert_eq!(syns(at(WEB_VETH, (WEB, 80), (FAR, 1000), TCP).begun_by_peer()), 1, "from outside");
}

/// A connection between two pods of the node, and which of its entries the table has.
#[derive(Debug, Clone, Copy)]
struct Local {
    from_front: bool,
    protocol: u8,
    source_seen: Option<bool>,
    destination_seen: Option<bool>,
    is_open: bool,
}

fn local() -> impl Strategy<Value = Local> {
    (
        any::<bool>(),
        prop_oneof![Just(TCP), Just(UDP)],
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        any::<bool>(),
    )
        .prop_map(|(from_front, protocol, source_seen, destination_seen, is_open)| Local {
            from_front,
            protocol,
            source_seen,
            destination_seen,
            is_open,
        })
}

impl Local {
    /// Its entries; a seen side is oriented or not.
    fn entries(self, port: u16) -> Vec<At> {
        let (from, to) = ((FRONT_VETH, FRONT), (WEB_VETH, WEB));
        let (from, to) = if self.from_front { (from, to) } else { (to, from) };
        let source = at(from.0, (from.1, port), (to.1, 80), self.protocol);
        let destination = at(to.0, (to.1, 80), (from.1, port), self.protocol).begun_by_peer();
        let seen = |entry: At, is_oriented: bool| {
            let entry = if self.is_open { entry.open() } else { entry };
            if is_oriented { entry } else { entry.unoriented() }
        };
        let sides = [(source, self.source_seen), (destination, self.destination_seen)];
        sides
            .into_iter()
            .filter_map(|(entry, side)| side.map(|is_oriented| seen(entry, is_oriented)))
            .collect()
    }
}

proptest! {
    #[test]
    fn every_connection_is_told_once_whatever_its_sides_know(
        connections in prop::collection::vec(local(), 0..40),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let mut entries: Vec<At> = Vec::new();
        for (connection, port) in connections.iter().zip(1000..) {
            entries.extend(connection.entries(port));
        }
        if !entries.is_empty() {
            let by = shuffle.index(entries.len());
            entries.rotate_left(by);
        }
        let told = lines(&entries);
        for (connection, port) in connections.iter().zip(1000..) {
            let (from, to) = if connection.from_front { ("front", "web") } else { ("web", "front") };
            let there = format!("shop/{from} {port} ");
            let back = format!("shop/{to} 80 ? shop/{from} {port} ");
            let lines: Vec<&String> =
                told.iter().filter(|line| line.starts_with(&there) || line.starts_with(&back)).collect();
            let seen = [connection.source_seen, connection.destination_seen];
            prop_assert_eq!(lines.len(), usize::from(seen.iter().any(Option::is_some)), "{:?}", connection);
            let is_oriented = seen.contains(&Some(true));
            for line in lines {
                prop_assert_eq!(line.contains(" > "), is_oriented, "{:?}: {}", connection, line);
                prop_assert_eq!(line.contains(" both "), seen.iter().all(Option::is_some), "{:?}: {}", connection, line);
            }
        }
        let known = connections.iter().filter(|one| one.source_seen.is_some() || one.destination_seen.is_some());
        prop_assert_eq!(told.len(), known.count());
    }
}

#[test]
fn a_masked_peer_has_no_other_side() {
    let masked = at(WEB_VETH, (WEB, 80), (NODE, 1000), TCP).begun_by_peer().open().flag(CONNECTION_MASKED);
    assert_eq!(lines(&[masked]), ["10.0.0.1(2) masked 1000 > shop/web 80 established destination arrived"]);
    let own = at(WEB_VETH, (WEB, 80), (WEB, 1000), TCP).begun_by_peer().open().flag(CONNECTION_MASKED);
    assert_eq!(lines(&[own]), ["10.0.0.7(2) masked 1000 > shop/web 80 established destination arrived"]);
}
