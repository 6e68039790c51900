//! Identities beside hosts.

use palomar_model::identity::Identity;

/// `world` for a reserved number, `ID:12345` for the others.
pub fn identity_name(number: u32) -> String {
    Identity(number).reserved_name().map_or_else(|| format!("ID:{number}"), str::to_owned)
}
