//! Which list of a flow's message its policies stand in.

use palomar_model::attribution::PolicyRef;
use palomar_model::flow::Flow;
use palomar_proto::flow::Policy;

use crate::sighting::{PolicyList, Sighting};

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
    pub(super) fn of(flow: &Flow) -> Self {
        let mut lists = Self::default();
        let list = match Sighting::of(flow).policy_list() {
            None => return lists,
            Some(PolicyList::EgressAllowed) => &mut lists.egress_allowed_by,
            Some(PolicyList::IngressAllowed) => &mut lists.ingress_allowed_by,
            Some(PolicyList::EgressDenied) => &mut lists.egress_denied_by,
            Some(PolicyList::IngressDenied) => &mut lists.ingress_denied_by,
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
