//! Drops by others in the kernel: told, or not, and why not.

use std::sync::Arc;

use anyhow::Context as _;
use palomar_bpf::{ForeignDrops, Maps};

use crate::config;
use crate::instance;

/// Whether they are told. While it lives, they are.
#[derive(Debug, Clone)]
pub enum Foreign {
    /// Nobody asked for them.
    Off,
    /// They are told, by the datapath's ring.
    Told(Arc<ForeignDrops>),
    /// They cannot be told, for this reason.
    Unavailable(String),
}

// === impl Foreign ===

impl Foreign {
    /// Begins to tell them, if they are wanted. What stands against it is logged and no error.
    pub fn start(wanted: config::ForeignDrops, maps: &Maps) -> Self {
        if wanted == config::ForeignDrops::Off {
            return Self::Off;
        }
        match load(maps) {
            Ok(drops) => Self::Told(Arc::new(drops)),
            Err(error) => {
                let why = format!("{error:#}");
                tracing::warn!(
                    why,
                    "drops by others in the kernel cannot be told; the agent goes on without them"
                );
                Self::Unavailable(why)
            }
        }
    }
}

/// Begins to tell the drops of this network namespace's endpoints through these maps.
pub fn load(maps: &Maps) -> anyhow::Result<ForeignDrops> {
    let context = "cannot tell this network namespace";
    let netns = u32::try_from(instance::network_namespace().context(context)?).context(context)?;
    Ok(ForeignDrops::start(maps, netns)?)
}
