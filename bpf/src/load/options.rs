//! What may differ from load to load.

use crate::attach::Hooks;
use crate::object::Constant;

/// Size of the ring buffer in bytes: a power of two and whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingBytes(u32);

/// A size that the kernel has no ring for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ring buffer of {0} bytes; choose a power of two from 65536 (64 KiB) to 1073741824 (1 GiB)")]
pub struct InvalidRingBytes(pub u32);

impl RingBytes {
    /// 4 MiB, about 35,000 events.
    pub const DEFAULT: Self = Self(4 << 20);

    /// The size in bytes.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for RingBytes {
    type Error = InvalidRingBytes;

    fn try_from(bytes: u32) -> Result<Self, InvalidRingBytes> {
        // 64 KiB is the largest page that Linux has.
        let fits = bytes.is_power_of_two() && (1 << 16..=1 << 30).contains(&bytes);
        if fits { Ok(Self(bytes)) } else { Err(InvalidRingBytes(bytes)) }
    }
}

/// What may differ from load to load.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of the ring buffer.
    pub ring: RingBytes,
    /// Capacity of the connection table; about 180 bytes each. 0 counts as 1.
    pub connections: u32,
    /// Constants of the programs that differ from what the C sources say.
    pub constants: Vec<Constant>,
    /// Which hook to use.
    pub hooks: Hooks,
}

impl Default for Options {
    /// 4 MiB of ring, 131,072 connections, the constants of the sources, tcx where the kernel has it.
    fn default() -> Self {
        Self { ring: RingBytes::DEFAULT, connections: 131_072, constants: Vec::new(), hooks: Hooks::Auto }
    }
}
