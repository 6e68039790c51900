//! Ends that came before, as they are shown: the ends of flows are few, and each is read and put together once.

use super::End;
use crate::render::host::push_pod;

/// Ends that are kept. A memo of repeated values has no more at a time.
const KEPT: usize = 8192;

/// Known ends by the number of their value.
#[derive(Debug, Default)]
pub struct KnownEnds {
    kept: Vec<Option<Known>>,
}

/// What stands for an end.
#[derive(Debug)]
struct Known {
    number: u64,
    /// Namespace and pod, escaped; `None`: it is not shown by the name of its pod.
    name: Option<String>,
    identity: u32,
}

impl KnownEnds {
    /// Whether [`Self::end`] has an end for the number of a value; it is read where it is not known.
    pub fn is_known<'a>(&mut self, number: u64, read: impl FnOnce() -> End<'a>) -> bool {
        if self.kept.is_empty() {
            self.kept.resize_with(KEPT, || None);
        }
        let place = &mut self.kept[place(number)];
        match place {
            Some(known) if known.number == number => known.name.is_some(),
            _ => {
                let end = read();
                let name = (!end.pod.is_empty()).then(|| {
                    let mut name = String::new();
                    push_pod(&mut name, &end);
                    name
                });
                let is_known = name.is_some();
                *place = Some(Known { number, name, identity: end.identity });
                is_known
            }
        }
    }

    /// A known end, at a port; `None`: its place was given to another.
    pub fn end(&self, number: u64, port: u32) -> Option<End<'_>> {
        let known = self.kept.get(place(number))?.as_ref().filter(|known| known.number == number)?;
        Some(End { known: known.name.as_deref(), identity: known.identity, port, ..End::default() })
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % KEPT as u64).unwrap_or(0)
}
