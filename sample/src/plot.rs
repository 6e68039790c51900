//! What happens to a connection, step by step.

use std::collections::VecDeque;

use palomar_model::drop_reason::DropReason;
use palomar_model::packet::TcpFlags;
use palomar_model::verdict::{ConnectionState, Direction, MatchType, Verdict};

use crate::random::Random;

/// One flow of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A policy of the client (egress) or of the server (ingress) has judged the first packet.
    Judged { direction: Direction, verdict: Verdict, by: MatchType },
    /// The first packet was dropped at the client (egress) or at the server (ingress).
    Dropped { direction: Direction, reason: DropReason },
    /// A packet was seen.
    Seen(Packet),
    /// The first packet was seen leaving the client and never again.
    Vanished,
}

/// A packet that went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// From the server to the client.
    pub is_reply: bool,
    /// TCP flags; of no meaning for other protocols.
    pub flags: TcpFlags,
    pub state: ConnectionState,
}

/// The steps that are still to come.
pub type Plot = VecDeque<Step>;

const SYN: TcpFlags = TcpFlags(TcpFlags::SYN);
const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN | TcpFlags::ACK);
const ACK: TcpFlags = TcpFlags(TcpFlags::ACK);
const PSH_ACK: TcpFlags = TcpFlags(TcpFlags::PSH | TcpFlags::ACK);
const FIN_ACK: TcpFlags = TcpFlags(TcpFlags::FIN | TcpFlags::ACK);
const RST: TcpFlags = TcpFlags(TcpFlags::RST);

/// A whole TCP connection. `talk` is how often both sides say something.
pub fn tcp(talk: u32, random: &mut Random) -> impl Iterator<Item = Step> {
    let handshake =
        [there(SYN, ConnectionState::New), back(SYN_ACK), there(ACK, ConnectionState::Established)];
    let words = (0..talk).flat_map(|_| [there(PSH_ACK, ConnectionState::Established), back(PSH_ACK)]);
    let farewell = if random.per_mille(60) {
        [Some(back(RST)), None]
    } else {
        [Some(there(FIN_ACK, ConnectionState::Established)), Some(back(FIN_ACK))]
    };
    handshake.into_iter().chain(words).chain(farewell.into_iter().flatten())
}

/// A question and its answer, of a protocol without connections.
pub fn exchange() -> impl Iterator<Item = Step> {
    [there(TcpFlags(0), ConnectionState::New), back(TcpFlags(0))].into_iter()
}

/// A connection that begins, and of which no more is told.
pub fn beginning() -> impl Iterator<Item = Step> {
    std::iter::once(there(SYN, ConnectionState::New))
}

fn there(flags: TcpFlags, state: ConnectionState) -> Step {
    Step::Seen(Packet { is_reply: false, flags, state })
}

fn back(flags: TcpFlags) -> Step {
    Step::Seen(Packet { is_reply: true, flags, state: ConnectionState::Reply })
}
