//! Identities beside hosts.

use palomar_model::identity::Identity;

use super::host::push_number;

/// `world` for a reserved number, `ID:12345` for the others.
pub fn identity_name(number: u32) -> String {
    let mut name = String::new();
    push_identity(&mut name, number);
    name
}

/// Appends the same.
pub fn push_identity(out: &mut String, number: u32) {
    if let Some(name) = Identity(number).reserved_name() {
        out.push_str(name);
    } else {
        out.push_str("ID:");
        push_number(out, number.into());
    }
}
