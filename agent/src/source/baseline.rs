//! The kernel's loss counters as an agent last knew them, kept so that the next agent can tell what was lost while no
//! agent ran.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::KernelTotals;
use crate::clock::wall_now_ns;
use crate::durable::{self, Keeper};
use crate::losses::LossSource;

/// The sums at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Nanoseconds since the Unix epoch.
    pub at_ns: i64,
    /// By the source's name.
    pub totals: BTreeMap<String, u64>,
}

impl Baseline {
    /// The sums of now.
    pub fn now(totals: &impl KernelTotals) -> io::Result<Self> {
        let totals = totals.totals()?;
        let named = totals.into_iter().map(|(source, total)| (source.name().to_owned(), total));
        Ok(Self { at_ns: wall_now_ns(), totals: named.collect() })
    }

    /// What an earlier agent kept; `None` where there is nothing to be read.
    pub fn load(state_dir: &Path) -> Option<Self> {
        let decode = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|error| error.to_string());
        durable::load(&path(state_dir), decode).ok()?.value
    }

    /// By source, as far as the names are known.
    pub fn known(&self) -> Vec<(LossSource, u64)> {
        let known = |source: LossSource| Some((source, *self.totals.get(source.name())?));
        LossSource::ALL.into_iter().filter_map(known).collect()
    }
}

/// Keeps the newest baseline on disk.
#[derive(Debug)]
pub struct BaselineKeeper<C> {
    counters: C,
    keeper: Keeper,
    kept: BTreeMap<String, u64>,
}

impl<C: KernelTotals> BaselineKeeper<C> {
    /// Keeps in this state directory.
    pub fn start(counters: C, state_dir: &Path) -> Self {
        Self { counters, keeper: Keeper::start(&path(state_dir)), kept: BTreeMap::new() }
    }

    /// Writes the sums if they have changed.
    pub fn keep(&mut self) {
        let Ok(now) = Baseline::now(&self.counters) else { return };
        if now.totals == self.kept {
            return;
        }
        if let Ok(bytes) = serde_json::to_vec(&now) {
            self.keeper.put(bytes);
            self.kept = now.totals;
        }
    }
}

fn path(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join("losses.json")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Totals(u64);

    impl KernelTotals for Totals {
        fn totals(&self) -> io::Result<Vec<(LossSource, u64)>> {
            Ok(vec![(LossSource::KernelRingDrop, self.0)])
        }

        fn told(&self) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn what_one_agent_kept_the_next_one_knows() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(Baseline::load(state.path()), None);
        let mut keeper = BaselineKeeper::start(Totals(7), state.path());
        keeper.keep();
        assert!(keeper.keeper.flush(Duration::from_secs(10)));
        let baseline = Baseline::load(state.path()).unwrap();
        assert_eq!(baseline.known(), [(LossSource::KernelRingDrop, 7)]);
        assert!(baseline.at_ns > 0);
    }
}
