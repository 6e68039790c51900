//! When to look at a directory after something has happened in it: soon, but not at a file that is being written.
//!
//! An editor or a shell truncates a file, writes it and closes it. Whoever reads in between sees a file without its
//! policies. So a file that has been written to and not yet been closed is left as it was, while the others are read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind};

use super::folder::is_manifest;

/// A look follows when nothing has happened for this long,
const QUIET: Duration = Duration::from_millis(5);
/// or this long after the first thing that happened, if there is no end to it.
const LONGEST: Duration = Duration::from_millis(30);
/// A file that somebody keeps open for writing is read all the same after this long.
const LONGEST_WRITE: Duration = Duration::from_secs(2);

/// What has happened since the last look.
#[derive(Debug, Default)]
pub(super) struct Settle {
    first: Option<Instant>,
    last: Option<Instant>,
    /// Files that are being written, and since when.
    writing: BTreeMap<String, Instant>,
}

// === impl Settle ===

impl Settle {
    /// Something happened.
    pub(super) fn event(&mut self, event: &Event, now: Instant) {
        if event.need_rescan() {
            self.mark(now);
            return;
        }
        let names = event.paths.iter().filter_map(|path| path.file_name()?.to_str());
        match event.kind {
            EventKind::Modify(ModifyKind::Data(_)) => {
                for name in names.filter(|name| is_manifest(name)) {
                    self.writing.entry(name.to_owned()).or_insert(now);
                }
            }
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_)) => {
                for name in names {
                    self.writing.remove(name);
                }
            }
            // Reading the files ourselves makes these.
            EventKind::Access(_) => return,
            _ => {}
        }
        self.mark(now);
    }

    /// Something may have happened that nobody told.
    pub(super) fn mark(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When to look; `None`: not before the next event.
    pub(super) fn due(&self) -> Option<Instant> {
        let soon = self.first.zip(self.last).map(|(first, last)| (last + QUIET).min(first + LONGEST));
        let stuck = self.writing.values().min().map(|since| *since + LONGEST_WRITE);
        soon.into_iter().chain(stuck).min()
    }

    /// It is time to look: which files are to be left alone.
    pub(super) fn take_busy(&mut self, now: Instant) -> BTreeSet<String> {
        self.first = None;
        self.last = None;
        self.writing.retain(|_, since| now.duration_since(*since) < LONGEST_WRITE);
        self.writing.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use notify::event::{CreateKind, DataChange, RenameMode};

    use super::*;

    fn event(kind: EventKind, name: &str) -> Event {
        Event::new(kind).add_path(Path::new("/m").join(name))
    }

    const WRITE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    #[test]
    fn a_file_is_left_alone_from_its_first_write_until_it_is_closed() {
        let start = Instant::now();
        let mut settle = Settle::default();
        assert_eq!(settle.due(), None);
        settle.event(&event(EventKind::Create(CreateKind::File), "web.yaml"), start);
        settle.event(&event(WRITE, "web.yaml"), start);
        assert_eq!(settle.due(), Some(start + QUIET));
        assert_eq!(settle.take_busy(start), BTreeSet::from(["web.yaml".to_owned()]));
        assert_eq!(settle.due(), Some(start + LONGEST_WRITE), "a writer that never closes");
        settle.event(&event(CLOSE, "web.yaml"), start);
        assert!(settle.take_busy(start).is_empty());
        assert_eq!(settle.due(), None);

        settle.event(&event(WRITE, "web.yaml"), start);
        settle.event(&event(EventKind::Modify(ModifyKind::Name(RenameMode::To)), "web.yaml"), start);
        assert!(settle.take_busy(start).is_empty(), "another file took its name");
        settle.event(&event(WRITE, "web.yaml"), start);
        assert!(settle.take_busy(start + LONGEST_WRITE).is_empty());
    }

    #[test]
    fn an_endless_stream_of_events_is_not_waited_for() {
        let start = Instant::now();
        let mut settle = Settle::default();
        for at_ms in 0..100 {
            settle.event(&event(CLOSE, "web.yaml"), start + Duration::from_millis(at_ms));
        }
        assert_eq!(settle.due(), Some(start + LONGEST));
    }

    #[test]
    fn reading_a_file_is_no_event() {
        let mut settle = Settle::default();
        let now = Instant::now();
        settle.event(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)), "web.yaml"), now);
        settle.event(&event(EventKind::Access(AccessKind::Close(AccessMode::Read)), "web.yaml"), now);
        assert_eq!(settle.due(), None);
    }
}
