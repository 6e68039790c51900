//! The file's frame: its head, and sections with length and checksum.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::bytes::Put as _;

/// The version of the format that is written and read.
pub const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"PALOMARF";
/// A payload is never longer. Sections of flows are ended long before; room is left for the names of the last flow, each
/// of which comes out of a manifest of at most 8 MiB.
pub const MAX_BYTES: usize = 24 << 20;
const HEAD_LEN: u64 = 9;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What is said of the whole file.
    About,
    /// Flows, with their names.
    Flows,
    /// That the file is whole.
    End,
}

/// Why the next section of a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// The head is another's.
    #[error("it does not begin as a file of flows does")]
    Foreign,
    /// The head says so.
    #[error("it is of version {0}")]
    Version(u32),
    /// The file ends within a section, or before the last.
    #[error("it is truncated")]
    Truncated,
    /// The head of a section makes no sense.
    #[error("a section at byte {at} is of no kind or length that there is")]
    Head {
        /// Where the section begins.
        at: u64,
    },
    /// The payload is not what was written.
    #[error("the checksum of the section at byte {at} is wrong")]
    Checksum {
        /// Where the section begins.
        at: u64,
    },
}

/// Writes the head of a file.
pub fn write_head(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())
}

/// Writes a section.
///
/// # Errors
///
/// What the writer says, or a payload of more than [`MAX_BYTES`]: nobody would read it.
pub fn write(kind: Kind, payload: &[u8], out: &mut impl Write) -> io::Result<()> {
    let len = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_BYTES);
    let len = len.ok_or_else(|| {
        io::Error::new(io::ErrorKind::FileTooLarge, "the names of a few flows are too long to be saved")
    })?;
    let mut head = Vec::with_capacity(9);
    head.put_u8(kind.byte());
    head.put_u32(len);
    let checksum = checksum(&head, payload);
    head.put_u32(checksum);
    out.write_all(&head)?;
    out.write_all(payload)
}

fn checksum(kind_and_len: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(kind_and_len);
    hasher.update(payload);
    hasher.finalize()
}

/// Reads sections one after the other.
#[derive(Debug)]
pub struct Sections<R> {
    file: R,
    at: u64,
    len: u64,
    payload: Vec<u8>,
}

/// Where a payload stands in its file.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    at: u64,
    len: usize,
}

// === impl Kind ===

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::About => b'A',
            Self::Flows => b'F',
            Self::End => b'E',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::About, Self::Flows, Self::End].into_iter().find(|kind| kind.byte() == byte)
    }
}

// === impl Sections ===

impl<R: Read + Seek> Sections<R> {
    /// The sections of a file whose head is as it should be.
    pub fn open(mut file: R) -> Result<Self, Broken> {
        let len = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut head = [0; 12];
        let (magic, version) = head.split_at_mut(8);
        if len < 12 {
            return Err(if len == 0 { Broken::Truncated } else { Broken::Foreign });
        }
        file.read_exact(magic)?;
        file.read_exact(version)?;
        if *magic != MAGIC {
            return Err(Broken::Foreign);
        }
        let version = u32::from_le_bytes([version[0], version[1], version[2], version[3]]);
        if version != VERSION {
            return Err(Broken::Version(version));
        }
        Ok(Self { file, at: 12, len, payload: Vec::new() })
    }

    /// The next section, checked.
    pub fn next(&mut self) -> Result<(Kind, Place, &[u8]), Broken> {
        let at = self.at;
        let left = self.len.saturating_sub(at).checked_sub(HEAD_LEN).ok_or(Broken::Truncated)?;
        let mut head = [0; 9];
        self.file.read_exact(&mut head)?;
        let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let kind = Kind::of(kind).ok_or(Broken::Head { at })?;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let place = Place {
            at: at + HEAD_LEN,
            len: usize::try_from(len).ok().filter(|len| *len <= MAX_BYTES).ok_or(Broken::Head { at })?,
        };
        if u64::from(len) > left {
            return Err(Broken::Truncated);
        }
        self.read(place)?;
        if checksum(&head[..5], &self.payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(Broken::Checksum { at });
        }
        self.at = place.at + u64::from(len);
        Ok((kind, place, &self.payload))
    }

    /// Whether there are bytes behind the last section read.
    pub const fn is_at_end(&self) -> bool {
        self.at == self.len
    }

    /// The payload of a section that was read before, again.
    pub fn again(&mut self, place: Place) -> io::Result<&[u8]> {
        self.file.seek(SeekFrom::Start(place.at))?;
        self.read(place)?;
        Ok(&self.payload)
    }

    fn read(&mut self, place: Place) -> io::Result<()> {
        self.payload.resize(place.len, 0);
        self.file.read_exact(&mut self.payload)
    }
}
