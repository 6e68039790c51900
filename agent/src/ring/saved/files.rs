//! The files of flows in the state directory: which of them is believed, and what a crash leaves.
//!
//! | file | what it is |
//! |---|---|
//! | `flows.saved` | what the last agent saved when it stopped |
//! | `flows.loaded` | what an agent began with that did not come to save: the file that it read, or an empty one, made when it began, if there was none |
//! | `flows.damaged`, `flows.version-N` | files set aside: nobody reads them, and a newer one takes the place of an older one |
//!
//! An agent reads `flows.saved`, else `flows.loaded`. When it begins to see flows of its own, it makes the first the
//! second; when it stops, it writes the first anew and removes the second. So a file is the newest memory at one start
//! only:
//!
//! - **After a clean stop** the numbers of flows go on, and with them their UUIDs. If the programs stayed in the
//!   kernel, nothing is missing: the kernel's ring buffer and its counters tell what passed meanwhile. If they did not
//!   (a reboot, `palomar-agent clean`), or if this agent cannot read what they told (their events are of another
//!   version), the time from the end of the file to the start is a gap; so it is if an agent with another state
//!   directory lived meanwhile, which the programs' heartbeat tells.
//! - **After a crash** the file is read once more, because an upgrade that fails and is taken back must not cost the
//!   memory. What the agent saw that crashed is missing: from the end of the file, or from when that agent began, to
//!   the start there is a gap. Flows get new UUIDs, since that agent gave the numbers behind the file's to flows of
//!   its own.
//! - **A file that cannot be read** is told as a gap with an unknown beginning; one that is damaged in part gives its
//!   newest flows, and the others are told as a gap.
//!
//! Nothing here ends an agent: what fails is logged.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::read::{self, Damage, Numbering, Restored};
use super::section::{Broken, VERSION};
use super::write;
use crate::durable;
use crate::losses::{Gap, GapCause, Loss, Losses};
use crate::ring::{Capacity, Ring, Writer};

/// How long saving may take: a service manager kills who takes too long to stop, and then all would be lost.
const SAVE_WITHIN: Duration = Duration::from_secs(20);

/// The files of one state directory.
#[derive(Debug, Clone)]
pub struct FlowFiles {
    saved: PathBuf,
    loaded: PathBuf,
}

/// The ring to begin with: that of an earlier agent, or an empty one.
#[derive(Debug)]
pub struct Recalled {
    /// The ring's writer.
    pub writer: Writer,
    /// The ring.
    pub ring: Arc<Ring>,
    losses: Vec<Loss>,
    gaps: Vec<Gap>,
    before: Before,
}

/// What became of the agent before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// There was none.
    Nobody,
    /// It saved what it had seen up to this moment, and wrote that at this moment of `CLOCK_MONOTONIC`.
    Saved { until_ns: i64, written_monotonic_ns: u64 },
    /// It did not save what it saw from this moment on.
    NotSaved(i64),
}

/// What became of the programs that the agent before left in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// They are gone, with what they counted.
    Gone,
    /// They are there, and what they told cannot be read.
    Replaced,
    /// They are there, with all that they counted.
    Stayed {
        /// When an agent last told them that it lives, in nanoseconds of `CLOCK_MONOTONIC`.
        beat_ns: u64,
    },
}

/// What was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// How many flows, the newest of the ring.
    pub flows: u64,
    /// How many older ones there was no time for.
    pub left_out: u64,
}

// === impl FlowFiles ===

impl FlowFiles {
    /// Those of a state directory. Nothing is touched yet.
    pub fn of(state_dir: &Path) -> Self {
        let file = |name| state_dir.join(name);
        Self { saved: file("flows.saved"), loaded: file("flows.loaded") }
    }

    /// Makes the ring to begin with. A file that is not what was written is set aside.
    pub fn recall(&self, capacity: Capacity) -> Recalled {
        if let Err(error) = durable::remove_unfinished(&self.saved) {
            tracing::warn!(file = %self.saved.display(), %error, "cannot remove an unfinished file beside this one");
        }
        for (path, numbering) in [(&self.saved, Numbering::GoesOn), (&self.loaded, Numbering::Anew)] {
            match open(path) {
                Ok((file, metadata)) => return self.read(path, file, &metadata, numbering, capacity),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "cannot read the flows of an earlier agent");
                    return Recalled::nothing(capacity);
                }
            }
        }
        Recalled::nothing(capacity)
    }

    fn read(
        &self,
        path: &Path,
        file: File,
        metadata: &Metadata,
        numbering: Numbering,
        capacity: Capacity,
    ) -> Recalled {
        let changed_ns = changed_ns(metadata);
        let before = |until_ns, written_monotonic_ns| match numbering {
            Numbering::GoesOn => Before::Saved { until_ns, written_monotonic_ns },
            Numbering::Anew => Before::NotSaved(until_ns),
        };
        if numbering == Numbering::Anew && metadata.len() == 0 {
            return Recalled { before: Before::NotSaved(changed_ns), ..Recalled::nothing(capacity) };
        }
        let begun = Instant::now();
        match read::read(BufReader::new(file), capacity, numbering) {
            Ok(restored) => {
                let Restored { writer, ring, flows, agent, losses, gaps, damage, .. } = restored;
                let before = before(restored.until_ns, restored.written_monotonic_ns);
                let took_ms = begun.elapsed().as_millis();
                tracing::info!(flows, of_agent = agent, took_ms, "restored the flows of an earlier agent");
                if let Some(damage) = damage {
                    self.set_aside(path, &damage, flows);
                }
                Recalled { writer, ring, losses, gaps, before }
            }
            Err(damage) => {
                self.set_aside(path, &damage, 0);
                let gap =
                    Gap { first_ns: i64::MIN, last_ns: changed_ns, flows: None, cause: GapCause::Unreadable };
                Recalled {
                    gaps: vec![gap],
                    before: before(changed_ns, u64::MAX),
                    ..Recalled::nothing(capacity)
                }
            }
        }
    }

    /// Moves a file away whose content is wrong. One that cannot be read now may be read the next time.
    fn set_aside(&self, path: &Path, damage: &Damage, kept: u64) {
        let file = path.display();
        let name = match damage {
            Damage::Broken(Broken::Io(error)) => {
                tracing::warn!(%file, %error, kept, "cannot read all flows of an earlier agent");
                return;
            }
            Damage::Broken(Broken::Version(version)) => format!("flows.version-{version}"),
            _ => "flows.damaged".to_owned(),
        };
        let aside = self.saved.with_file_name(name);
        if let Err(error) = fs::rename(path, &aside) {
            tracing::warn!(%file, %error, "cannot set this file aside");
        }
        tracing::warn!(
            %file,
            aside = %aside.display(),
            expected = %format_args!("version {VERSION}"),
            kept,
            "the saved flows are not as expected, and set aside: {damage}"
        );
    }

    /// Says that an agent begins to see flows: from now on what was saved is not the newest memory any more.
    pub fn begin(&self) {
        let begun = match fs::rename(&self.saved, &self.loaded) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_if_absent(&self.loaded),
            renamed => renamed,
        };
        if let Err(error) = begun {
            tracing::warn!(
                file = %self.loaded.display(),
                %error,
                "cannot note that an agent runs: if it crashes, the next one will not tell what is missing"
            );
        }
    }

    /// Saves a ring and the losses. `until_ns` is when events were last taken out of the kernel.
    ///
    /// # Errors
    ///
    /// What was there before stays as it is.
    pub fn save(&self, ring: &Ring, losses: &Losses, until_ns: i64) -> io::Result<Kept> {
        let deadline = Instant::now() + SAVE_WITHIN;
        let flows = durable::replace(&self.saved, |mut out| {
            write::write(ring, losses, until_ns, deadline, &mut out)
        })?;
        // of the two files the one saved comes first, so that this one does no harm
        drop(fs::remove_file(&self.loaded));
        Ok(Kept { flows, left_out: ring.len().saturating_sub(flows) })
    }
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn make_if_absent(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// When a file was last written, in nanoseconds since the Unix epoch.
fn changed_ns(metadata: &Metadata) -> i64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

// === impl Recalled ===

impl Recalled {
    /// An empty ring, with nothing before it.
    pub fn nothing(capacity: Capacity) -> Self {
        let (writer, ring) = Ring::new(capacity);
        Self { writer, ring, losses: Vec::new(), gaps: Vec::new(), before: Before::Nobody }
    }

    /// The losses to go on with, now that flows begin to be seen.
    pub fn losses(&self, now_ns: i64, programs: Programs) -> Losses {
        let gap = |since_ns: i64, cause| Gap {
            first_ns: since_ns.min(now_ns),
            last_ns: since_ns.max(now_ns),
            flows: None,
            cause,
        };
        let gap = match (self.before, programs) {
            (Before::Nobody, _) => None,
            (Before::Saved { written_monotonic_ns, .. }, Programs::Stayed { beat_ns })
                if beat_ns <= written_monotonic_ns =>
            {
                None
            }
            (Before::Saved { until_ns, .. }, Programs::Gone) => Some(gap(until_ns, GapCause::NothingRan)),
            (Before::Saved { until_ns, .. }, Programs::Replaced) => Some(gap(until_ns, GapCause::Replaced)),
            (Before::Saved { until_ns: since_ns, .. }, Programs::Stayed { .. })
            | (Before::NotSaved(since_ns), _) => Some(gap(since_ns, GapCause::NotSaved)),
        };
        Losses::with_history(&self.losses, self.gaps.iter().copied().chain(gap).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{capacity, flows, numbered, numbered_ring, push};
    use super::*;
    use crate::clock::monotonic_now_ns;

    const STAYED: Programs = Programs::Stayed { beat_ns: 1 };

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn files(&self) -> FlowFiles {
            FlowFiles::of(self.0.path())
        }

        fn names(&self) -> Vec<String> {
            let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        }

        /// An agent that starts, sees so many flows and saves; it gives what its ring held.
        fn agent(&self, sees: std::ops::Range<u64>) -> Vec<palomar_model::flow::Flow> {
            let Recalled { mut writer, ring, .. } = self.files().recall(capacity(63));
            self.files().begin();
            sees.for_each(|n| push(&mut writer, &numbered(n)));
            self.files().save(&ring, &Losses::default(), 1_000).unwrap();
            flows(&ring)
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            fs::write(self.0.path().join(name), bytes).unwrap();
        }

        fn read(&self, name: &str) -> Vec<u8> {
            fs::read(self.0.path().join(name)).unwrap()
        }
    }

    fn gaps(recalled: &Recalled, programs: Programs) -> Vec<(i64, i64, GapCause)> {
        let losses = recalled.losses(9_000, programs);
        losses.gaps().iter().map(|gap| (gap.first_ns, gap.last_ns, gap.cause)).collect()
    }

    #[test]
    fn the_first_agent_begins_with_nothing_and_misses_nothing() {
        let folder = Folder::new();
        let recalled = folder.files().recall(capacity(63));
        assert!(recalled.ring.is_empty());
        assert_eq!(gaps(&recalled, Programs::Gone), []);
        assert!(folder.names().is_empty());
    }

    #[test]
    fn agents_that_stop_cleanly_go_on_where_the_one_before_ended() {
        let folder = Folder::new();
        let first = folder.agent(0..20);
        let second = folder.agent(20..30);
        assert_eq!((first.len(), second.len()), (20, 30));
        assert_eq!(second[..20], first[..]);
        let third = folder.agent(30..80);
        assert_eq!(third[..13], second[17..]);
        assert_eq!(folder.names(), ["flows.saved"]);
        let recalled = folder.files().recall(capacity(63));
        assert_eq!(gaps(&recalled, STAYED), []);
        assert_eq!(gaps(&recalled, Programs::Gone), [(1_000, 9_000, GapCause::NothingRan)]);
        assert_eq!(gaps(&recalled, Programs::Replaced), [(1_000, 9_000, GapCause::Replaced)]);
        let another_lived = Programs::Stayed { beat_ns: monotonic_now_ns() };
        assert_eq!(gaps(&recalled, another_lived), [(1_000, 9_000, GapCause::NotSaved)]);
    }

    #[test]
    fn after_a_crash_the_memory_of_before_is_there_with_a_gap_and_other_uuids() {
        let folder = Folder::new();
        let saved = folder.agent(0..20);
        for crash in 0..3 {
            let recalled = folder.files().recall(capacity(63));
            assert_eq!(recalled.ring.len(), 20, "crash {crash}");
            let expected: &[_] = if crash == 0 { &[] } else { &[(1_000, 9_000, GapCause::NotSaved)] };
            assert_eq!(gaps(&recalled, STAYED), expected, "crash {crash}");
            let same = flows(&recalled.ring)[3].uuid == saved[3].uuid;
            assert_eq!(same, crash == 0, "crash {crash}");
            folder.files().begin();
            assert_eq!(folder.names(), ["flows.loaded"]);
        }
        assert_eq!(folder.agent(20..25).len(), 25);
        assert_eq!(folder.names(), ["flows.saved"]);
    }

    #[test]
    fn a_start_that_fails_before_it_saw_a_flow_changes_nothing() {
        let folder = Folder::new();
        let saved = folder.agent(0..20);
        drop(folder.files().recall(capacity(63)));
        let recalled = folder.files().recall(capacity(63));
        assert_eq!(flows(&recalled.ring), saved);
        assert_eq!(gaps(&recalled, STAYED), []);
    }

    #[test]
    fn a_crash_of_the_first_agent_is_a_gap_since_it_began() {
        let folder = Folder::new();
        folder.files().begin();
        assert_eq!(folder.names(), ["flows.loaded"]);
        let began_ns = changed_ns(&fs::metadata(folder.files().loaded).unwrap());
        for _ in 0..2 {
            let recalled = folder.files().recall(capacity(63));
            let losses = recalled.losses(i64::MAX, STAYED);
            let gap = Gap { first_ns: began_ns, last_ns: i64::MAX, flows: None, cause: GapCause::NotSaved };
            assert_eq!(losses.gaps(), [gap]);
            folder.files().begin();
        }
    }

    #[test]
    fn another_version_is_set_aside_and_stays() {
        let folder = Folder::new();
        folder.agent(0..20);
        let mut bytes = folder.read("flows.saved");
        bytes[8] = 9;
        folder.write("flows.saved", &bytes);
        let recalled = folder.files().recall(capacity(63));
        assert!(recalled.ring.is_empty());
        assert_eq!(folder.names(), ["flows.version-9"]);
        assert_eq!(folder.read("flows.version-9"), bytes);
        let losses = recalled.losses(i64::MAX, STAYED);
        let [gap] = losses.gaps() else { panic!("{:?}", losses.gaps()) };
        assert_eq!((gap.first_ns, gap.flows, gap.cause), (i64::MIN, None, GapCause::Unreadable));
        assert!(gap.last_ns > 0);
        folder.agent(0..3);
        assert_eq!(folder.names(), ["flows.saved", "flows.version-9"]);
    }

    #[test]
    fn a_truncated_file_is_set_aside_and_its_flows_are_told_as_missing() {
        let folder = Folder::new();
        folder.agent(0..20);
        let bytes = folder.read("flows.saved");
        folder.write("flows.saved", &bytes[..bytes.len() - 30]);
        let recalled = folder.files().recall(capacity(63));
        assert!(recalled.ring.is_empty(), "they were in one section");
        assert_eq!(folder.names(), ["flows.damaged"]);
        let gap = Gap { first_ns: 0, last_ns: 1_000, flows: Some(20), cause: GapCause::Unreadable };
        assert_eq!(recalled.losses(9_000, STAYED).gaps(), [gap]);
    }

    #[test]
    fn a_file_that_cannot_be_read_now_stays_for_another_time() {
        let folder = Folder::new();
        fs::create_dir(folder.0.path().join("flows.saved")).unwrap();
        assert!(folder.files().recall(capacity(63)).ring.is_empty());
        assert_eq!(folder.names(), ["flows.saved"]);
    }

    #[test]
    fn what_cannot_be_saved_leaves_what_was_there_and_no_litter() {
        let folder = Folder::new();
        let saved = folder.agent(0..20);
        folder.files().begin();
        // the place of the unfinished file is taken
        fs::create_dir(folder.0.path().join("flows.saved.tmp")).unwrap();
        let other = numbered_ring(3, 63);
        assert!(folder.files().save(&other, &Losses::default(), 0).is_err());
        assert_eq!(folder.names(), ["flows.loaded", "flows.saved.tmp"]);
        fs::remove_dir(folder.0.path().join("flows.saved.tmp")).unwrap();
        assert_eq!(folder.files().recall(capacity(63)).ring.len(), saved.len() as u64);
    }

    #[test]
    fn an_unfinished_file_of_a_killed_agent_is_removed() {
        let folder = Folder::new();
        folder.write("flows.saved.tmp", b"half");
        drop(folder.files().recall(capacity(63)));
        assert!(folder.names().is_empty());
    }
}
