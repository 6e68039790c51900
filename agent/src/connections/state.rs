//! Where a connection stands, from the flags and packets that its entry has seen.

use palomar_bpf::abi::{CONNECTION_UNORIENTED, Connection, Direction};
use palomar_model::packet::{Protocol, TcpFlags};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// TCP: SYNs, and nothing that came back.
    SynUnanswered,
    /// TCP: an answer that was not acknowledged.
    Opening,
    /// TCP: open both ways.
    Established,
    /// TCP: one end has finished.
    HalfClosed,
    /// TCP: both ends have finished.
    Closed,
    /// TCP: a reset was the answer to the SYN.
    Refused,
    /// TCP: it was answered, or its beginning was not seen, and one end has reset it.
    Reset,
    /// Other protocols: packets one way only.
    Unreplied,
    /// Other protocols: packets both ways.
    Active,
}

/// The state of an entry of that IP protocol. It does not look at the time: the entry may be over.
pub fn state(protocol: u8, connection: &Connection) -> State {
    let [ingress, egress] = connection.packets;
    if Protocol::from_number(protocol) != Protocol::Tcp {
        return if ingress > 0 && egress > 0 { State::Active } else { State::Unreplied };
    }
    let [ingress_flags, egress_flags] = connection.flags_seen.map(TcpFlags);
    if connection.flags & CONNECTION_UNORIENTED != 0 {
        return ended(ingress_flags, egress_flags).unwrap_or(State::Established);
    }
    if connection.origin == Direction::Egress.number() {
        oriented(egress_flags, ingress_flags, ingress)
    } else {
        oriented(ingress_flags, egress_flags, egress)
    }
}

/// From the flags of the end that began, and the flags and packets of the other.
fn oriented(beginner: TcpFlags, other: TcpFlags, answers: u64) -> State {
    let was_acknowledged = beginner.has(TcpFlags::ACK);
    let is_refusal = other.has(TcpFlags::RST) && !other.has(TcpFlags::SYN) && !was_acknowledged;
    match ended(beginner, other) {
        Some(State::Reset) if is_refusal => State::Refused,
        Some(state) => state,
        None if was_acknowledged => State::Established,
        None if answers > 0 => State::Opening,
        None => State::SynUnanswered,
    }
}

/// How the connection ended, if it has begun to.
fn ended(one: TcpFlags, other: TcpFlags) -> Option<State> {
    if one.has(TcpFlags::RST) || other.has(TcpFlags::RST) {
        return Some(State::Reset);
    }
    match (one.has(TcpFlags::FIN), other.has(TcpFlags::FIN)) {
        (true, true) => Some(State::Closed),
        (true, false) | (false, true) => Some(State::HalfClosed),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: u8 = TcpFlags::SYN;
    const ACK: u8 = TcpFlags::ACK;
    const FIN: u8 = TcpFlags::FIN;
    const RST: u8 = TcpFlags::RST;
    const UDP: u8 = 17;
    const TCP: u8 = 6;

    /// An entry with these flags and packets from the pod, and to it.
    fn entry(origin: Direction, sent: (u8, u64), got: (u8, u64)) -> Connection {
        Connection {
            origin: origin.number(),
            flags_seen: [got.0, sent.0],
            packets: [got.1, sent.1],
            ..Connection::default()
        }
    }

    #[test]
    fn a_tcp_connection_stands_where_its_flags_say_whoever_began_it() {
        let open = SYN | ACK;
        let table = [
            ("a SYN without an answer", (SYN, 3), (0, 0), State::SynUnanswered),
            (
                "a SYN with a wish for ECN",
                (SYN | TcpFlags::ECE | TcpFlags::CWR, 1),
                (0, 0),
                State::SynUnanswered,
            ),
            ("an answer that was not acknowledged", (SYN, 1), (SYN | ACK, 2), State::Opening),
            ("acknowledged", (open, 2), (SYN | ACK, 1), State::Established),
            ("data both ways", (open | TcpFlags::PSH, 9), (open | TcpFlags::PSH, 7), State::Established),
            ("a finish from the beginner", (open | FIN, 3), (open, 2), State::HalfClosed),
            ("a finish from the other end", (open, 3), (open | FIN, 2), State::HalfClosed),
            ("a finish from both", (open | FIN, 3), (open | FIN, 2), State::Closed),
            ("a reset for an answer", (SYN, 1), (RST | ACK, 1), State::Refused),
            ("a reset after a true answer", (SYN, 1), (SYN | ACK | RST, 2), State::Reset),
            ("a reset by the other end", (open, 5), (open | RST, 5), State::Reset),
            ("a reset by the beginner", (open | RST, 5), (open, 5), State::Reset),
            ("the beginner takes its SYN back", (SYN | RST, 2), (0, 0), State::Reset),
            ("a reset after the finish", (open | FIN | RST, 5), (open | FIN, 5), State::Reset),
        ];
        for (name, beginner, other, expected) in table {
            assert_eq!(
                state(TCP, &entry(Direction::Egress, beginner, other)),
                expected,
                "{name}, begun by the pod"
            );
            assert_eq!(
                state(TCP, &entry(Direction::Ingress, other, beginner)),
                expected,
                "{name}, begun by the peer"
            );
        }
    }

    #[test]
    fn tcp_that_was_first_seen_in_its_middle_is_open_until_it_ends() {
        let table = [
            ("one way", (ACK, 4), (0, 0), State::Established),
            ("an answer to a SYN that nobody saw", (0, 0), (SYN | ACK, 1), State::Established),
            ("a finish", (ACK | FIN, 4), (ACK, 1), State::HalfClosed),
            ("a finish from both", (ACK | FIN, 4), (ACK | FIN, 1), State::Closed),
            ("a reset alone", (0, 0), (RST, 1), State::Reset),
        ];
        for (name, sent, got, expected) in table {
            for origin in [Direction::Egress, Direction::Ingress] {
                let unoriented = Connection { flags: CONNECTION_UNORIENTED, ..entry(origin, sent, got) };
                assert_eq!(state(TCP, &unoriented), expected, "{name}");
            }
        }
    }

    #[test]
    fn other_protocols_are_active_once_packets_have_gone_both_ways() {
        for protocol in [UDP, 1, 58, 132, 47] {
            for origin in [Direction::Egress, Direction::Ingress] {
                assert_eq!(state(protocol, &entry(origin, (0, 5), (0, 0))), State::Unreplied, "{protocol}");
                assert_eq!(state(protocol, &entry(origin, (0, 0), (0, 1))), State::Unreplied, "{protocol}");
                assert_eq!(state(protocol, &entry(origin, (0, 5), (0, 1))), State::Active, "{protocol}");
            }
        }
    }
}
