//! Requests to rtnetlink, one at a time, on a blocking socket.

use std::io;

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Where a message begins in a datagram: multiples of this.
const ALIGNMENT: usize = 4;

/// A connection to rtnetlink in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// One message of a dump; the error is for one that this program cannot decode.
pub type Dumped = Result<RouteNetlinkMessage, DecodeError>;

impl Netlink {
    /// Opens a connection. With strict checking the kernel honours every field of a dump request, or refuses it.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_netlink_get_strict_chk(true)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Asks for a change and waits until it is done.
    pub fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.request(message, NLM_F_REQUEST | NLM_F_ACK | flags).map(drop)
    }

    /// Everything that a request lists. `Interrupted`: it changed meanwhile, so the list may be inconsistent.
    pub fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<Dumped>> {
        self.request(message, NLM_F_REQUEST | NLM_F_DUMP)
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<Dumped>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        self.answers()
    }

    /// Reads until the end of the answer: an acknowledgement, an error, or the end of a dump.
    fn answers(&mut self) -> io::Result<Vec<Dumped>> {
        const INTERRUPTED: u16 = 0x10; // NLM_F_DUMP_INTR
        let mut answers = Vec::new();
        let mut interrupted = false;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for part in messages(&datagram) {
                let message = NetlinkBuffer::new(part);
                if message.sequence_number() != self.sequence {
                    continue;
                }
                interrupted |= message.flags() & INTERRUPTED != 0;
                match NetlinkMessage::<RouteNetlinkMessage>::deserialize(part).map(|message| message.payload)
                {
                    Ok(NetlinkPayload::Done(done)) if done.code < 0 => {
                        return Err(io::Error::from_raw_os_error(-done.code));
                    }
                    Ok(NetlinkPayload::Done(_)) if interrupted => {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    Ok(NetlinkPayload::Error(error)) if error.code.is_some() => return Err(error.to_io()),
                    Ok(NetlinkPayload::Done(_) | NetlinkPayload::Error(_)) => return Ok(answers),
                    Ok(NetlinkPayload::InnerMessage(inner)) => answers.push(Ok(inner)),
                    Ok(_) => {}
                    Err(error) => answers.push(Err(error)),
                }
            }
        }
    }
}

/// The messages of a datagram, each with its header; what is cut short at its end is left out.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = NetlinkBuffer::new_checked(datagram).ok()?.length() as usize;
        let message = datagram.get(..length)?;
        datagram = datagram.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(message)
    })
}
