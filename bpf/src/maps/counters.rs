//! What the programs count.

use std::os::fd::OwnedFd;

use super::MapError;
use crate::abi::Counter;
use crate::sys;

/// Per-CPU counters; they only grow for as long as the map lives.
#[derive(Debug)]
pub struct Counters {
    map: OwnedFd,
    cpus: usize,
}

impl Counters {
    pub(crate) fn open(map: OwnedFd) -> Result<Self, MapError> {
        let shape = sys::map::shape(&map).map_err(MapError::kernel("inspect", "counters"))?;
        if shape.value_size != 8 {
            return Err(MapError::Shape { map: "counters" });
        }
        let cpus = aya::util::nr_cpus()
            .map_err(|(_, error)| MapError::kernel("count the CPUs of", "counters")(error))?;
        Ok(Self { map, cpus })
    }

    /// The sum over all CPUs.
    pub fn get(&self, counter: Counter) -> Result<u64, MapError> {
        let mut values = vec![0_u64; self.cpus];
        sys::map::lookup(&self.map, &counter.number().to_ne_bytes(), bytemuck::cast_slice_mut(&mut values))
            .map_err(MapError::kernel("read", "counters"))?;
        Ok(values.iter().fold(0, |sum, value| sum.wrapping_add(*value)))
    }

    /// Every counter with its sum.
    pub fn all(&self) -> Result<Vec<(Counter, u64)>, MapError> {
        Counter::ALL.iter().map(|counter| Ok((*counter, self.get(*counter)?))).collect()
    }
}
