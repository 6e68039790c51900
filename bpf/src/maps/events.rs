//! The reader of the ring buffer.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use aya::maps::{Map, MapData, RingBuf};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::MapError;
use super::positions::Positions;
use crate::abi::{Event, InvalidEvent};

/// What an event takes in the ring: a header of eight bytes before each.
const RECORD_BYTES: usize = (8 + size_of::<Event>()).next_multiple_of(8);

/// Reads events in the order in which the kernel entered them. There must be one reader of a ring at a time.
pub struct EventReader {
    ring: RingBuf<MapData>,
    positions: Positions,
    epoll: Epoll,
}

impl EventReader {
    pub(crate) fn open(map: OwnedFd) -> Result<Self, MapError> {
        let shape = |error: aya::maps::MapError| {
            MapError::kernel("share memory with", "events")(io::Error::other(error))
        };
        let positions = Positions::open(&map).map_err(MapError::kernel("share memory with", "events"))?;
        let ring = RingBuf::try_from(Map::RingBuf(MapData::from_fd(map).map_err(shape)?)).map_err(shape)?;
        let epoll = watch(&ring).map_err(|error| MapError::kernel("wait for", "events")(error.into()))?;
        Ok(Self { ring, positions, epoll })
    }

    /// How many events are in the ring now and wait to be read.
    pub fn waiting(&self) -> u64 {
        (self.positions.unread_bytes() / RECORD_BYTES) as u64
    }

    /// Waits until the programs wake the reader, or for `timeout` (rounded up to milliseconds). They do so when the
    /// unread bytes pass an edge, not for each event, so a [`drain`](Self::drain) is due in either case: the time-out is how
    /// late an event may be told when there are few.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        let milliseconds = u16::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        match self.epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::from(milliseconds)) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands up to `max` unread events to `each`, in order; gives how many records there were. A record that is no
    /// event of this ABI is handed over as the error that says why.
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(Result<Event, InvalidEvent>)) -> usize {
        let mut drained = 0;
        while drained < max {
            let Some(record) = self.ring.next() else { break };
            each(Event::read(&record));
            drained += 1;
        }
        drained
    }
}

impl fmt::Debug for EventReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ring: _, positions: _, epoll } = self;
        f.debug_struct("EventReader").field("epoll", epoll).finish_non_exhaustive()
    }
}

impl AsFd for EventReader {
    /// A descriptor that becomes readable when the reader is woken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// By edge: with a level, every unread event would end the wait at once, and the batching of wake-ups were lost.
fn watch(ring: &RingBuf<MapData>) -> nix::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(ring, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0))?;
    Ok(epoll)
}
