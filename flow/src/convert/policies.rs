//! Which list of a flow's message its policies stand in.

use palomar_model::attribution::PolicyRef;
use palomar_model::flow::{Event, Flow};
use palomar_model::verdict::{Direction, Verdict};
use palomar_proto::flow::Policy;

/// The four lists of a message.
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "the names are those of the message")]
pub(super) struct PolicyLists {
    pub(super) egress_allowed_by: Vec<Policy>,
    pub(super) ingress_allowed_by: Vec<Policy>,
    pub(super) egress_denied_by: Vec<Policy>,
    pub(super) ingress_denied_by: Vec<Policy>,
}

impl PolicyLists {
    /// Verdicts and drops name their policies; a trace has none, as in Hubble. A denial names the policies that
    /// isolate the pod, also where audit mode let the packet pass.
    pub(super) fn of(flow: &Flow) -> Self {
        let mut lists = Self::default();
        if matches!(flow.event, Event::Trace(_)) {
            return lists;
        }
        let list = match (flow.direction, flow.verdict) {
            (Direction::Egress, Verdict::Forwarded) => &mut lists.egress_allowed_by,
            (Direction::Ingress, Verdict::Forwarded) => &mut lists.ingress_allowed_by,
            (Direction::Egress, Verdict::Dropped | Verdict::Audit) => &mut lists.egress_denied_by,
            (Direction::Ingress, Verdict::Dropped | Verdict::Audit) => &mut lists.ingress_denied_by,
        };
        list.extend(flow.policies.iter().map(|PolicyRef { name, kind }| Policy {
            name: name.name.clone(),
            namespace: name.namespace.clone(),
            labels: Vec::new(),
            revision: flow.policy_revision.into(),
            kind: (*kind).to_owned(),
        }));
        lists
    }
}
