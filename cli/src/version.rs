//! `palomar version`.

use anyhow::Result;
use palomar_transport::version::HUBBLE_VERSION;
use std::env::consts::{ARCH, OS};

use crate::surroundings::Surroundings;

/// Prints our version, and that of the API.
pub fn print(surroundings: &mut Surroundings<'_>) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(surroundings.out, "palomar {version} on {OS}/{ARCH}, with the API of Hubble {HUBBLE_VERSION}")?;
    Ok(())
}
