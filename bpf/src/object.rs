//! The compiled programs, and what they want loaded.

use std::collections::HashMap;

use aya_obj::btf::BtfFeatures;
use aya_obj::{EbpfSectionKind, Object};

use crate::sys::map::Shape;

mod built {
    include!(concat!(env!("OUT_DIR"), "/objects.rs"));
}

/// The object file of the pod programs, as built.
pub fn pod() -> &'static [u8] {
    built::POD
}

/// The object file of the program that tells what others drop, as built.
pub(crate) fn drops() -> &'static [u8] {
    built::DROPS
}

/// A constant of the programs (`const volatile` in C) with the value to load it with.
#[derive(Debug, Clone)]
pub struct Constant {
    name: &'static str,
    value: Vec<u8>,
}

impl Constant {
    /// The value must have the size of the C variable, else loading fails.
    pub fn new<T: bytemuck::NoUninit>(name: &'static str, value: T) -> Self {
        Self { name, value: bytemuck::bytes_of(&value).to_vec() }
    }
}

/// Parses an object and writes its constants. Its BTF keeps only what kernel 5.15 knows.
pub(crate) fn parse(bytes: &[u8], constants: &[Constant]) -> Result<(Object, Option<Vec<u8>>), ObjectError> {
    let mut object = Object::parse(bytes)?;
    let globals: HashMap<&str, (&[u8], bool)> =
        constants.iter().map(|Constant { name, value }| (*name, (value.as_slice(), true))).collect();
    object.patch_map_data(globals)?;
    // In order: func, global func, datasec, empty datasec, float, decl tag, type tag, enum64.
    let kernel_5_15 = BtfFeatures::new(true, true, true, true, true, false, false, false);
    let btf = object.fixup_and_sanitize_btf(&kernel_5_15)?.map(aya_obj::btf::Btf::to_bytes);
    Ok((object, btf))
}

/// Why an object cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// No BPF object, or a constant that it does not have.
    #[error("cannot read the BPF object")]
    Parse(#[from] aya_obj::ParseError),
    /// Its type information is broken.
    #[error("cannot read the BPF object's type information")]
    Btf(#[from] aya_obj::btf::BtfError),
    /// A reference between its parts is broken.
    #[error("cannot link the BPF object")]
    Relocation(#[from] aya_obj::relocation::EbpfRelocationError),
}

pub(crate) fn shape(map: &aya_obj::Map) -> Shape {
    Shape {
        kind: map.map_type(),
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries: map.max_entries(),
        flags: map.map_flags(),
    }
}

/// Whether the map holds a section of the object (constants, variables), which belongs to one load.
pub(crate) fn is_section(map: &aya_obj::Map) -> bool {
    matches!(map.section_kind(), EbpfSectionKind::Rodata | EbpfSectionKind::Data | EbpfSectionKind::Bss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_constant_is_refused() {
        let result = parse(pod(), &[Constant::new("cfg_no_such_thing", 1_u32)]);
        assert!(matches!(result, Err(ObjectError::Parse(_))));
    }

    #[test]
    fn the_object_has_the_programs_and_maps_that_the_loader_names() {
        let (object, btf) = parse(pod(), &[]).unwrap();
        assert!(btf.is_some());
        for program in ["from_pod", "to_pod"] {
            assert!(object.programs.contains_key(program), "{program}");
        }
        let control =
            ["settings", "endpoints", "endpoints_high", "addresses", "cidrs", "node_ports", "rules"];
        let traffic = ["connections", "fragments", "limits", "events", "counters"];
        for map in control.into_iter().chain(traffic) {
            assert!(object.maps.contains_key(map), "{map}");
        }
    }
}
