//! What became of a packet.

use palomar_proto::flow::Verdict;

use super::Colour;
use super::colour::Paint;
use super::event::{POLICY_VERDICT, push_enum};
use super::policies::push_policies;
use super::shown::Shown;

/// Whether the deciding policies are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyNames {
    /// They are not.
    Hide,
    /// After the verdict of a policy-verdict event.
    Show,
}

/// Appends the VERDICT of a line.
pub fn push_verdict(out: &mut String, flow: &Shown<'_>, names: PolicyNames, colour: Colour) {
    let verdict = Verdict::try_from(flow.verdict).ok();
    let paint = match verdict {
        Some(Verdict::Forwarded | Verdict::Redirected) => Paint::Good,
        Some(Verdict::Dropped | Verdict::Error) => Paint::Bad,
        Some(Verdict::Audit | Verdict::Traced | Verdict::Translated) => Paint::Notable,
        Some(Verdict::Unknown) | None => Paint::None,
    };
    let decided = verdict.filter(|_| flow.event.0 == POLICY_VERDICT);
    colour.paint(paint, out, |out| {
        let policies = match decided {
            Some(Verdict::Forwarded | Verdict::Redirected) => {
                out.push_str("ALLOWED");
                flow.allowed_by
            }
            Some(Verdict::Dropped | Verdict::Error) => {
                out.push_str("DENIED");
                flow.denied_by
            }
            Some(Verdict::Audit) => {
                out.push_str("AUDITED");
                &[]
            }
            _ => {
                push_enum(out, flow.verdict, Verdict::as_str_name);
                &[]
            }
        };
        if names == PolicyNames::Show {
            push_policies(out, policies);
        }
    });
}
