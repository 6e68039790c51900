//! Why one direction is as it is, in a clause.

use palomar_model::object::ObjectName;
use palomar_model::verdict::Direction;
use palomar_policy::explain::{Deciding, Verdict};

use super::manifests::Place;

/// `allowed by shop/web ingress[0] (web.yaml:3)`; the parts are those of a
/// [`DirectionAnswer`](palomar_policy::explain::DirectionAnswer).
pub fn of<'m>(
    verdict: Verdict,
    isolated: bool,
    by: &[Deciding<'_>],
    direction: Direction,
    place: &dyn Fn(&ObjectName) -> Option<&'m Place>,
) -> String {
    let name = |by: &Deciding<'_>| {
        let rule = by.rule.map(|rule| format!(" {direction}[{rule}]")).unwrap_or_default();
        let place = place(by.policy).map(|place| format!(" ({place})")).unwrap_or_default();
        format!("{}{rule}{place}", by.policy)
    };
    let names: Vec<String> = by.iter().map(name).collect();
    let names = names.join(", ");
    match (verdict, isolated) {
        (Verdict::Allowed, false) => "allowed, no policy isolates it".to_owned(),
        (Verdict::Allowed, true) if by.is_empty() => {
            "allowed, as a node's or a pod's own traffic is".to_owned()
        }
        (Verdict::Allowed, true) => format!("allowed by {names}"),
        (Verdict::Denied, _) => format!("denied, isolated by {names} and allowed by no rule"),
        (Verdict::Undecidable, _) => "cannot be known".to_owned(),
    }
}
