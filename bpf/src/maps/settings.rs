//! What holds for the whole datapath.

use std::mem::offset_of;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::MapError;
use super::mapped::Mapped;
use crate::abi::{Mode, Settings};
use crate::sys;

const MODE: usize = offset_of!(Settings, mode);
const HEARTBEAT: usize = offset_of!(Settings, heartbeat);
const STALE_AFTER: usize = offset_of!(Settings, stale_after);

/// The one entry of map `settings`, in memory shared with the programs.
#[derive(Debug)]
pub struct SettingsMap {
    entry: Mapped<{ size_of::<Settings>() }>,
}

impl SettingsMap {
    pub(crate) fn open(map: &OwnedFd) -> Result<Self, MapError> {
        let shape = sys::map::shape(map).map_err(MapError::kernel("inspect", "settings"))?;
        if shape.value_size as usize != size_of::<Settings>() || shape.max_entries != 1 {
            return Err(MapError::Shape { map: "settings" });
        }
        let entry = Mapped::open(map, 1).map_err(MapError::kernel("share memory with", "settings"))?;
        Ok(Self { entry })
    }

    /// The mode in force; `Err` gives a number that is none.
    pub fn mode(&self) -> Result<Mode, u32> {
        Mode::try_from(split(self.entry.load_u64(0, MODE)).0)
    }

    /// How often the mode has changed since the map was made.
    pub fn epoch(&self) -> u32 {
        split(self.entry.load_u64(0, MODE)).1
    }

    /// Changes the mode and raises the epoch, both at once, so that every connection is judged again. Gives `false`,
    /// and changes nothing, where the mode is in force already.
    pub fn set_mode(&self, mode: Mode) -> bool {
        let mut current = self.entry.load_u64(0, MODE);
        loop {
            let (old, epoch) = split(current);
            if old == mode.number() {
                return false;
            }
            match self.entry.exchange_u64(0, MODE, current, join(mode.number(), epoch.wrapping_add(1))) {
                Ok(_) => return true,
                Err(other) => current = other,
            }
        }
    }

    /// Says that the agent lives at `now`, nanoseconds of `CLOCK_MONOTONIC`.
    pub fn beat(&self, now: u64) {
        self.entry.store_u64(0, HEARTBEAT, now);
    }

    /// When the agent last said that it lives; 0: never.
    pub fn heartbeat(&self) -> u64 {
        self.entry.load_u64(0, HEARTBEAT)
    }

    /// How old the heartbeat may become before an enforcing datapath only audits; `None`: it enforces for ever.
    pub fn set_stale_after(&self, age: Option<Duration>) {
        let nanoseconds = age.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX).max(1));
        self.entry.store_u64(0, STALE_AFTER, nanoseconds);
    }

    /// What [`set_stale_after`](Self::set_stale_after) stored.
    pub fn stale_after(&self) -> Option<Duration> {
        let nanoseconds = self.entry.load_u64(0, STALE_AFTER);
        (nanoseconds != 0).then(|| Duration::from_nanos(nanoseconds))
    }
}

/// Mode and epoch, as they lie in memory.
fn split(word: u64) -> (u32, u32) {
    let bytes: [[u8; 4]; 2] = bytemuck::cast(word);
    (u32::from_ne_bytes(bytes[0]), u32::from_ne_bytes(bytes[1]))
}

fn join(mode: u32, epoch: u32) -> u64 {
    bytemuck::cast([mode.to_ne_bytes(), epoch.to_ne_bytes()])
}
