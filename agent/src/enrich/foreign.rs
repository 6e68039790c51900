//! How drops by others in the kernel are told: a code of Hubble's that comes near, and the kernel's own words.

use std::collections::HashMap;
use std::sync::Arc;

use palomar_bpf::ForeignDrops;
use palomar_flow::rest::{Rest, Stands};
use palomar_flow::summary;
use palomar_model::drop_reason::DropReason;
use palomar_model::kernel_drop;
use palomar_proto::flow as proto;
use prost::Message as _;

use crate::decode::{ForeignDrop, KernelEvent};

/// Drops, and their summaries, that are kept made; beyond that they are made anew.
const MAX_MADE: usize = 1_024;

/// The meaning of what the kernel's drops bring.
pub trait KernelWords: Send + Sync {
    /// The name of a reason; `None` for one without a name.
    fn reason(&self, number: u32) -> Option<String>;
    /// The function at an address; `None` where it is not known.
    fn place(&self, address: u64) -> Option<String>;
}

impl KernelWords for ForeignDrops {
    fn reason(&self, number: u32) -> Option<String> {
        Self::reason(self, number).map(str::to_owned)
    }

    fn place(&self, address: u64) -> Option<String> {
        Self::place(self, address)
    }
}

/// What a drop is told as.
#[derive(Debug, Clone)]
pub(super) struct ToldDrop {
    pub(super) code: DropReason,
    /// The summary, which the typed flow does not have.
    pub(super) rest: Option<Arc<Rest>>,
}

/// Makes what drops are told as, and keeps it.
#[derive(Default)]
pub(super) struct ToldDrops {
    words: Option<Arc<dyn KernelWords>>,
    named: HashMap<ForeignDrop, Named>,
    told: HashMap<(ForeignDrop, String), ToldDrop>,
}

/// A drop in words.
struct Named {
    code: DropReason,
    reason: String,
    place: Option<String>,
}

// === impl ToldDrops ===

impl ToldDrops {
    pub(super) fn with(words: Arc<dyn KernelWords>) -> Self {
        Self { words: Some(words), ..Self::default() }
    }

    pub(super) fn tell(&mut self, drop: ForeignDrop, event: &KernelEvent) -> ToldDrop {
        let packet = summary::of_packet(event.transport, event.source_address);
        let key = (drop, packet);
        if let Some(told) = self.told.get(&key) {
            return told.clone();
        }
        if self.told.len() >= MAX_MADE {
            self.told.clear();
            self.named.clear();
        }
        let words = self.words.as_deref();
        let Named { code, reason, place } = self.named.entry(drop).or_insert_with(|| name(words, drop));
        let words = summary::KernelDrop { reason, place: place.as_deref() };
        let summary = summary::of_kernel_drop(&key.1, words);
        let fields = proto::Flow { summary, ..proto::Flow::default() }.encode_to_vec();
        let told = ToldDrop { code: *code, rest: Rest::new(Stands::Beside, &fields, None).map(Arc::new) };
        self.told.insert(key, told.clone());
        told
    }
}

fn name(words: Option<&dyn KernelWords>, drop: ForeignDrop) -> Named {
    let reason = words.and_then(|words| words.reason(drop.reason)).unwrap_or_else(|| drop.reason.to_string());
    let place = words.and_then(|words| words.place(drop.place));
    Named { code: kernel_drop::code(&reason, place.as_deref()), reason, place }
}
