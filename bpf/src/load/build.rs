//! Making maps and programs.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use aya_obj::Object;

use super::LoadError;
use super::adoption::Found;
use crate::attach::ProgramPair;
use crate::maps::MapError;
use crate::object::{ObjectError, is_section, shape};
use crate::sys;
use crate::sys::map::Types;
use crate::sys::program::Kind;

/// Where a map of this load came from.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) fd: OwnedFd,
    pub(super) new: bool,
}

pub(super) fn sources(
    object: &Object,
    btf: Option<&OwnedFd>,
    found: &Found,
) -> Result<Vec<Source>, LoadError> {
    let mut sources = Vec::new();
    for (name, map) in &object.maps {
        let adopted = found.adopted.iter().find(|(adopted, _)| adopted == name);
        let source = match adopted {
            Some((_, fd)) => {
                let fd = fd.try_clone().map_err(MapError::kernel("share", "maps"))?;
                Source { name: name.clone(), fd, new: false }
            }
            None => Source { name: name.clone(), fd: create(name, map, btf)?, new: true },
        };
        sources.push(source);
    }
    Ok(sources)
}

pub(super) fn create(name: &str, map: &aya_obj::Map, btf: Option<&OwnedFd>) -> Result<OwnedFd, LoadError> {
    let wanted = shape(map);
    let failed = |source| LoadError::CreateMap { map: name.to_owned(), entries: wanted.max_entries, source };
    let types = match (map, btf) {
        (aya_obj::Map::Btf(map), Some(btf)) if map.def.btf_value_type_id != 0 => {
            Some(Types { btf, key: map.def.btf_key_type_id, value: map.def.btf_value_type_id })
        }
        _ => None,
    };
    // Some kinds of map take no types; they are not worth a list of kinds.
    let fd = match sys::map::create(name, wanted, types.as_ref()) {
        Err(_) if types.is_some() => sys::map::create(name, wanted, None),
        other => other,
    };
    let fd = fd.map_err(failed)?;
    if is_section(map) && !map.data().is_empty() {
        sys::map::update(&fd, &0_u32.to_ne_bytes(), map.data()).map_err(failed)?;
    }
    if map.section_kind() == aya_obj::EbpfSectionKind::Rodata {
        sys::map::freeze(&fd).map_err(failed)?;
    }
    Ok(fd)
}

pub(super) fn load_programs(
    object: &mut Object,
    btf: Option<&OwnedFd>,
    sources: &[Source],
) -> Result<ProgramPair, LoadError> {
    link(object, sources)?;
    let load = |program| load_program(object, Kind::Classifier, program, btf);
    Ok(ProgramPair { from_pod: load("from_pod")?, to_pod: load("to_pod")? })
}

/// Puts maps and functions where the object's programs refer to them.
pub(super) fn link(object: &mut Object, sources: &[Source]) -> Result<(), LoadError> {
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let maps = object.maps.clone();
    let fds = sources.iter().filter_map(|source| {
        Some((source.name.as_str(), source.fd.as_fd().as_raw_fd(), maps.get(&source.name)?))
    });
    object.relocate_maps(fds, &text).map_err(ObjectError::from)?;
    object.relocate_calls(&text).map_err(ObjectError::from)?;
    Ok(())
}

/// Loads a program of a linked object.
pub(super) fn load_program(
    object: &Object,
    kind: Kind,
    program: &'static str,
    btf: Option<&OwnedFd>,
) -> Result<OwnedFd, LoadError> {
    let missing = || LoadError::Program {
        program,
        log: String::new(),
        source: io::Error::new(io::ErrorKind::NotFound, "the object has no such program"),
    };
    let definition = object.programs.get(program).ok_or_else(missing)?;
    let function = object.functions.get(&definition.function_key()).ok_or_else(missing)?;
    sys::program::load(kind, program, &definition.license, function, btf)
        .map_err(|refused| LoadError::Program { program, log: tail(&refused.log), source: refused.error })
}

/// The last lines of the verifier's log: there it says what it refuses.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
