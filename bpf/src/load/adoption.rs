//! Which pinned maps can be taken over.

use std::os::fd::OwnedFd;

use aya_obj::Object;

use super::LoadError;
use crate::object::{is_section, shape};
use crate::pins::{PinError, Pins};
use crate::sys;
use crate::sys::map::Shape;

/// What the agent writes: adopted together or not at all, because the entries of one refer to those of another. Each of the
/// others, which the programs write, is adopted where its shape is the wanted one.
const CONTROL: [&str; 7] =
    ["settings", "endpoints", "endpoints_high", "addresses", "cidrs", "node_ports", "rules"];

/// What was found pinned, and what that means for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// Nothing was pinned: the maps are empty.
    Fresh,
    /// All maps are the pinned ones, with what they held; interfaces may be attached at once.
    Adopted,
    /// Some maps could not be taken over and are new and empty. Interfaces keep judging by the old ones until they are
    /// attached: fill the new maps first, then attach every interface, then call [`Datapath::commit`](super::Datapath::commit).
    Replaced(Vec<LayoutChange>),
}

impl Adoption {
    /// Whether the maps that the agent writes hold what the last agent wrote.
    pub fn keeps_control(&self) -> bool {
        match self {
            Self::Fresh => false,
            Self::Adopted => true,
            Self::Replaced(changes) => !changes.iter().any(|change| CONTROL.contains(&change.map.as_str())),
        }
    }
}

/// A pinned map that could not be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutChange {
    /// The map.
    pub map: String,
    /// What differs.
    pub why: String,
}

/// The pinned maps, judged.
pub(super) struct Found {
    pub(super) adoption: Adoption,
    pub(super) adopted: Vec<(String, OwnedFd)>,
    stale: Vec<(String, OwnedFd)>,
}

impl Found {
    pub(super) fn look(object: &Object, pins: Option<&Pins>) -> Result<Self, LoadError> {
        let mut found = Self { adoption: Adoption::Fresh, adopted: Vec::new(), stale: Vec::new() };
        let Some(pins) = pins else { return Ok(found) };
        let mut changes = Vec::new();
        for (name, map) in object.maps.iter().filter(|(_, map)| !is_section(map)) {
            let change = |why: String| LayoutChange { map: name.clone(), why };
            match pins.open_map(name)? {
                None => changes.push(change("not pinned".to_owned())),
                Some(pinned) => {
                    let is =
                        sys::map::shape(&pinned).map_err(PinError::io("inspect", &pins.maps().join(name)))?;
                    if is == shape(map) {
                        found.adopted.push((name.clone(), pinned));
                    } else {
                        changes.push(change(difference(is, shape(map))));
                        found.stale.push((name.clone(), pinned));
                    }
                }
            }
        }
        let nothing = found.adopted.is_empty() && found.stale.is_empty();
        let traces = !pins.other_abis().is_empty()
            || !pins.pinned_links().is_empty()
            || !pins.clsact_interfaces().is_empty();
        if nothing && !traces {
            return Ok(found);
        }
        if changes.iter().any(|change| CONTROL.contains(&change.map.as_str())) {
            found.adopted.retain(|(name, _)| !CONTROL.contains(&name.as_str()));
        }
        changes.sort_by(|a, b| a.map.cmp(&b.map));
        found.adoption = if changes.is_empty() { Adoption::Adopted } else { Adoption::Replaced(changes) };
        Ok(found)
    }

    /// A pinned map of this ABI that was not adopted for its capacity alone: its entries can still be read.
    pub(super) fn stale(&self, name: &str) -> Option<OwnedFd> {
        self.stale.iter().find(|(stale, _)| stale == name).and_then(|(_, map)| map.try_clone().ok())
    }
}

fn difference(is: Shape, wanted: Shape) -> String {
    let Shape { kind, key_size, value_size, max_entries, flags } = wanted;
    let fields = [
        ("type", is.kind, kind),
        ("key size", is.key_size, key_size),
        ("value size", is.value_size, value_size),
        ("capacity", is.max_entries, max_entries),
        ("flags", is.flags, flags),
    ];
    let differing = fields.iter().filter(|(_, is, wanted)| is != wanted);
    differing.map(|(name, is, wanted)| format!("{name} {is}, wanted {wanted}")).collect::<Vec<_>>().join("; ")
}
