//! Loading: maps from their pins or new, programs new in every case.

mod adoption;
mod build;
mod foreign;
mod options;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub use adoption::{Adoption, LayoutChange};
pub use foreign::{ForeignDrops, ForeignDropsError};
pub use options::{InvalidRingBytes, Options, RingBytes};

use aya_obj::Object;

use crate::attach::Attacher;
use adoption::Found;
use build::{Source, load_programs, sources};

use crate::capability::{self, Capability};
use crate::maps::{Connections, EventReader, MapError, Maps};
use crate::object::{self, ObjectError, is_section};
use crate::pins::{self, PinError, Pins};
use crate::sys;

/// Why the datapath could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The process may not.
    #[error("missing capability: {}", names(.0))]
    Capability(Vec<Capability>),
    /// The pins cannot be used.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The object file is not usable.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A map could not be made.
    #[error("cannot create map {map} ({entries} entries)")]
    CreateMap {
        /// Its name.
        map: String,
        /// Its capacity (of the ring buffer: bytes).
        entries: u32,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A map could not be opened by user space.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The kernel refused a program.
    #[error("the kernel refuses program {program}; the verifier says:\n{log}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The end of the verifier's log; empty where it has none.
        log: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The kernel has no tcx, and it was asked for.
    #[error("this kernel has no tcx (6.6 and later have); choose auto or clsact")]
    NoTcx,
}

fn names(missing: &[Capability]) -> String {
    missing.iter().map(Capability::to_string).collect::<Vec<_>>().join(", ")
}

/// The loaded programs and their maps.
#[derive(Debug)]
pub struct Datapath {
    /// The maps; their handles may be used from several threads.
    pub maps: Arc<Maps>,
    /// Attaches the programs to interfaces.
    pub attacher: Attacher,
    /// The reader of the events; take it where it is to run.
    pub events: Option<EventReader>,
    /// What the ring held that [`Adoption::Replaced`] put out of use. Programs that are still attached write to it until
    /// their interface is attached again; drain it last after [`commit`](Self::commit).
    pub retired_events: Option<EventReader>,
    adoption: Adoption,
    retired_connections: Option<Connections>,
    uncommitted: Vec<(String, OwnedFd)>,
    pins: Option<Pins>,
}

impl Datapath {
    /// Loads the programs that this crate was built with. With `pins`, maps are adopted from there and outlive this
    /// process; without, everything ends with it.
    pub fn load(options: &Options, pins: Option<Pins>) -> Result<Self, LoadError> {
        let missing = capability::missing();
        if !missing.is_empty() {
            return Err(LoadError::Capability(missing));
        }
        let hooks = options.hooks.resolve().ok_or(LoadError::NoTcx)?;
        let (mut object, btf) = object::parse(object::pod(), &options.constants)?;
        resize(&mut object, "events", options.ring.get());
        resize(&mut object, "connections", options.connections.max(1));

        // Without BTF (a kernel that knows less of it than 5.15) only the names of types are missing in bpftool.
        let btf = btf.and_then(|btf| sys::object::load_btf(&btf).ok());
        let found = Found::look(&object, pins.as_ref())?;
        let sources = sources(&object, btf.as_ref(), &found)?;
        let programs = load_programs(&mut object, btf.as_ref(), &sources)?;

        let share = |source: &Source| Ok((source.name.clone(), source.fd.try_clone()?));
        let every: io::Result<Vec<_>> = sources.iter().map(share).collect();
        let maps = Maps::open(every.map_err(MapError::kernel("share", "maps"))?)?;
        let mut datapath = Self {
            events: Some(EventReader::open(maps.share("events")?)?),
            retired_events: found.stale("events").and_then(|map| EventReader::open(map).ok()),
            retired_connections: found.stale("connections").and_then(|map| Connections::open(map).ok()),
            maps: Arc::new(maps),
            attacher: Attacher::new(programs, hooks, pins.clone())?,
            adoption: found.adoption,
            uncommitted: sources
                .into_iter()
                .filter(|source| source.new && !is_per_load(&object, &source.name))
                .map(|source| (source.name, source.fd))
                .collect(),
            pins,
        };
        if datapath.adoption == Adoption::Fresh {
            datapath.commit()?;
        }
        Ok(datapath)
    }

    /// What was found pinned.
    pub fn adoption(&self) -> &Adoption {
        &self.adoption
    }

    /// Makes the maps of this load the pinned ones, and removes the pins of earlier loads: other ABI versions, replaced
    /// maps, old programs. Tracked connections move over from a replaced table. Without pins, or after
    /// [`Adoption::Adopted`], only old programs are there to remove. A process that dies before leaves the old maps
    /// pinned, and the next load starts over.
    pub fn commit(&mut self) -> Result<(), LoadError> {
        let Some(pins) = &self.pins else { return Ok(()) };
        let folder = pins.maps();
        pins::create_folder(&folder)?;
        // All old pins go before the first new one comes: after a crash between, the maps that are missing tell the next
        // load that those that are there do not belong together.
        for (name, _) in &self.uncommitted {
            pins::remove_file(&folder.join(name))?;
        }
        for (name, map) in &self.uncommitted {
            let path = folder.join(name);
            sys::object::pin(map, &path).map_err(PinError::io("pin", &path))?;
        }
        self.uncommitted.clear();
        if let Some(old) = self.retired_connections.take() {
            let taken = self.maps.connections.take_over(&old)?;
            tracing::info!(connections = taken, "took over the connection table of another capacity");
        }
        for folder in pins.other_abis() {
            pins::remove_pins(&folder)?;
        }
        self.attacher.forget_old_programs()?;
        Ok(())
    }
}

fn resize(object: &mut Object, map: &str, entries: u32) {
    if let Some(map) = object.maps.get_mut(map) {
        map.set_max_entries(entries);
    }
}

fn is_per_load(object: &Object, name: &str) -> bool {
    object.maps.get(name).is_some_and(is_section)
}
