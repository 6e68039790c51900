//! The optional second object: what others in the kernel drop of the observed pods' packets.

use std::io;
use std::os::fd::OwnedFd;

use aya_obj::btf::{Btf, BtfKind};

use super::LoadError;
use super::build::{Source, create, link, load_program};
use crate::abi::Place;
use crate::kernel_types::{self, KERNEL_BTF};
use crate::maps::{MapError, Maps, Table};
use crate::object::{self, Constant, is_section};
use crate::sys;
use crate::sys::program::{Kind, attach_tracepoint};

const PROGRAM: &str = "foreign_drop";
/// What the verifier knows the tracepoint's arguments by.
const TRACEPOINT: &str = "btf_trace_kfree_skb";
const REASONS: &str = "skb_drop_reason";
/// Why packets are freed that nobody lost: used up, not said, sent to a bridge's other ports, received before, reset by the
/// peer, left in a socket that closes.
const QUIET: [&str; 9] = [
    "NOT_DROPPED_YET",
    "CONSUMED",
    "NOT_SPECIFIED",
    "OTHERHOST",
    "QUEUE_PURGE",
    "TCP_OLD_DATA",
    "TCP_OFOMERGE",
    "TCP_OLD_ACK",
    "TCP_RESET",
];
/// Reasons below this number can be left out by name.
const QUIET_REASONS: u32 = 256;

/// Tells drops by others through the maps of a datapath, until it is dropped itself. Nothing of it is pinned.
#[derive(Debug)]
pub struct ForeignDrops {
    places: Table<u64, Place>,
    reasons: Vec<(u32, String)>,
    _attached: OwnedFd,
}

/// Why drops by others cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ForeignDropsError {
    /// The kernel was built without BTF, or does not show it.
    #[error("cannot read the kernel's types ({KERNEL_BTF})")]
    Types(#[source] io::Error),
    /// An older kernel.
    #[error("this kernel gives no reasons for drops (5.17 and later do)")]
    NoReasons,
    /// The kernel's types are not what the program reads.
    #[error("this kernel's types are not those that the program reads")]
    Unlike(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It cannot be attached.
    #[error("cannot attach to the tracepoint kfree_skb")]
    Attach(#[source] io::Error),
}

// === impl ForeignDrops ===

impl ForeignDrops {
    /// Loads the program over these maps and attaches it. `netns` is the inode of the network namespace whose endpoints the
    /// maps hold.
    pub fn start(maps: &Maps, netns: u32) -> Result<Self, ForeignDropsError> {
        let unlike = ForeignDropsError::Unlike;
        let types = kernel_types::read().map_err(ForeignDropsError::Types)?;
        let reasons = reasons(&types).ok_or(ForeignDropsError::NoReasons)?;
        drop(types);
        let kernel = Btf::from_sys_fs().map_err(|error| unlike(error.into()))?;
        let btf_id = kernel
            .id_by_type_name_kind(TRACEPOINT, BtfKind::Typedef)
            .map_err(|error| unlike(error.into()))?;

        let (mut object, btf) =
            object::parse(object::drops(), &constants(netns, &reasons)).map_err(LoadError::from)?;
        object.relocate_btf(&kernel).map_err(|error| unlike(error.into()))?;
        drop(kernel);
        sys::memory::give_back();
        let btf = btf.and_then(|btf| sys::object::load_btf(&btf).ok());
        let sources = sources(&object, btf.as_ref(), maps)?;
        link(&mut object, &sources)?;
        let program = load_program(&object, Kind::Tracepoint { btf_id }, PROGRAM, btf.as_ref())?;
        Ok(Self {
            places: Table::open("places", places(&sources)?).map_err(LoadError::from)?,
            reasons,
            _attached: attach_tracepoint(&program).map_err(ForeignDropsError::Attach)?,
        })
    }

    /// The kernel's name of a reason, such as `NETFILTER_DROP`; `None` for one that it has no name for.
    pub fn reason(&self, number: u32) -> Option<&str> {
        self.reasons.iter().find(|(reason, _)| *reason == number).map(|(_, name)| name.as_str())
    }

    /// The function at an address that an event brought; `None` where the kernel did not say.
    pub fn place(&self, address: u64) -> Option<String> {
        let Place { name } = self.places.get(&address).ok()??;
        let name = String::from_utf8_lossy(name.split(|byte| *byte == 0).next()?).into_owned();
        (!name.is_empty() && !name.starts_with("0x")).then_some(name)
    }
}

/// The kernel's reasons, by their names without what all have in common.
fn reasons(types: &[u8]) -> Option<Vec<(u32, String)>> {
    let short = |name: &str| {
        name.strip_prefix("SKB_DROP_REASON_").or_else(|| name.strip_prefix("SKB_")).unwrap_or(name).to_owned()
    };
    let reasons = kernel_types::enumeration(types, REASONS)?;
    Some(reasons.into_iter().map(|(number, name)| (number, short(name))).collect())
}

fn constants(netns: u32, reasons: &[(u32, String)]) -> [Constant; 4] {
    let number =
        |wanted: &str| reasons.iter().find(|(_, name)| name == wanted).map_or(0, |(number, _)| *number);
    let mut quiet = [0_u64; QUIET_REASONS as usize / 64];
    let quiet_numbers = reasons.iter().filter(|(_, name)| QUIET.contains(&name.as_str()));
    for (number, _) in quiet_numbers.filter(|(number, _)| *number < QUIET_REASONS) {
        quiet[*number as usize / 64] |= 1 << (number % 64);
    }
    [
        Constant::new("cfg_netns", netns),
        Constant::new("cfg_quiet_reasons", quiet),
        Constant::new("cfg_reason_tc_ingress", number("TC_INGRESS")),
        Constant::new("cfg_reason_tc_egress", number("TC_EGRESS")),
    ]
}

/// The datapath's maps by their names, and new ones for what is the program's own.
fn sources(
    object: &aya_obj::Object,
    btf: Option<&OwnedFd>,
    maps: &Maps,
) -> Result<Vec<Source>, ForeignDropsError> {
    let source = |(name, map): (&String, &aya_obj::Map)| -> Result<Source, ForeignDropsError> {
        let shared =
            if is_section(map) { None } else { maps.share_if_known(name).map_err(LoadError::from)? };
        let new = shared.is_none();
        let fd = shared.map_or_else(|| create(name, map, btf), Ok)?;
        Ok(Source { name: name.clone(), fd, new })
    };
    object.maps.iter().map(source).collect()
}

fn places(sources: &[Source]) -> Result<OwnedFd, LoadError> {
    let places = sources.iter().find(|source| source.name == "places");
    let places = places.ok_or(MapError::Shape { map: "places" })?;
    Ok(places.fd.try_clone().map_err(MapError::kernel("share", "places"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_frees_are_left_out_by_name_whatever_their_number() {
        let reasons = [
            (0, "NOT_DROPPED_YET"),
            (70, "CONSUMED"),
            (71, "NETFILTER_DROP"),
            (255, "QUEUE_PURGE"),
            (300, "OTHERHOST"),
        ];
        let reasons = reasons.map(|(number, name)| (number, name.to_owned()));
        let [_, quiet, ..] = constants(1, &reasons);
        let expected = Constant::new("cfg_quiet_reasons", [1_u64, 1 << 6, 0, 1 << 63]);
        assert_eq!(format!("{quiet:?}"), format!("{expected:?}"));
    }

    #[test]
    fn the_object_has_the_program_and_the_maps_that_it_shares() {
        let (object, _) = object::parse(object::drops(), &constants(1, &[])).unwrap();
        assert!(object.programs.contains_key(PROGRAM));
        for map in ["events", "counters", "endpoints", "endpoints_high", "addresses", "cidrs", "places"] {
            assert!(object.maps.contains_key(map), "{map}");
        }
    }
}
