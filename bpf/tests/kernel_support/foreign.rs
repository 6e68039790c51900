//! Somebody else's programs on the same interface.

use std::process::Command;

use aya::maps::Array;
use aya::programs::tc::{NlOptions, TcAttachOptions};
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader};

/// Loaded and attached; it leaves when dropped.
pub struct Foreign {
    loaded: Ebpf,
}

pub enum Place {
    /// A tcx program before all others.
    First,
    /// A tcx program after all others.
    Last,
    /// A tc filter.
    Filter { priority: u16, handle: u32 },
}

impl Foreign {
    /// `program`: `foreign_next` or `foreign_ok`.
    pub fn attach(program: &str, hook: TcAttachType, place: &Place) -> Self {
        let object = tempfile::NamedTempFile::new().unwrap();
        let status = Command::new(env!("PALOMAR_BUILT_WITH"))
            .args([
                "-O2",
                "-g",
                "-target",
                "bpf",
                "-mcpu=v3",
                "-nostdinc",
                "-c",
                "tests/c/foreign.bpf.c",
                "-o",
            ])
            .arg(object.path())
            .status()
            .unwrap();
        assert!(status.success());
        let mut loaded = EbpfLoader::new().btf(None).load_file(object.path()).unwrap();
        let attached: &mut SchedClassifier = loaded.program_mut(program).unwrap().try_into().unwrap();
        attached.load().unwrap();
        let options = match *place {
            Place::First => TcAttachOptions::TcxOrder(LinkOrder::first()),
            Place::Last => TcAttachOptions::TcxOrder(LinkOrder::last()),
            Place::Filter { priority, handle } => {
                TcAttachOptions::Netlink(NlOptions { priority, handle: handle.into(), classid: None })
            }
        };
        attached.attach_with_options("pod0", hook, options).unwrap();
        Self { loaded }
    }

    /// Packets that it has counted.
    pub fn packets(&self) -> u64 {
        Array::<_, u64>::try_from(self.loaded.map("packets").unwrap()).unwrap().get(&0, 0).unwrap()
    }

    /// The kernel's number of the program.
    pub fn id(&self, program: &str) -> u32 {
        let program: &SchedClassifier = self.loaded.program(program).unwrap().try_into().unwrap();
        program.info().unwrap().id()
    }
}
