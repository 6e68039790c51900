//! What became of a packet.

use palomar_proto::flow::{Flow, Verdict};

use super::Colour;
use super::event::{POLICY_VERDICT, enum_name, number};
use super::policies::{Decision, suffix};

/// Whether the deciding policies are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyNames {
    /// They are not.
    Hide,
    /// After the verdict of a policy-verdict event.
    Show,
}

/// The VERDICT of a line.
pub fn verdict(flow: &Flow, names: PolicyNames, colour: Colour) -> String {
    let known = Verdict::try_from(flow.verdict).ok();
    let (text, decision) = match known {
        Some(Verdict::Forwarded | Verdict::Redirected) if number(flow) == POLICY_VERDICT => {
            ("ALLOWED".to_owned(), Some(Decision::Allowed))
        }
        Some(Verdict::Dropped | Verdict::Error) if number(flow) == POLICY_VERDICT => {
            ("DENIED".to_owned(), Some(Decision::Denied))
        }
        Some(Verdict::Audit) if number(flow) == POLICY_VERDICT => ("AUDITED".to_owned(), None),
        _ => (enum_name(flow.verdict, Verdict::as_str_name), None),
    };
    let text = match (names, decision) {
        (PolicyNames::Show, Some(decision)) => text + &suffix(flow, decision),
        _ => text,
    };
    match known {
        Some(Verdict::Forwarded | Verdict::Redirected) => colour.good(&text),
        Some(Verdict::Dropped | Verdict::Error) => colour.bad(&text),
        Some(Verdict::Audit | Verdict::Traced | Verdict::Translated) => colour.notable(&text),
        Some(Verdict::Unknown) | None => text,
    }
}
