//! What a flow's message says beyond the typed flow.

use palomar_model::flow::Flow;
use palomar_proto::flow as proto;
use prost::Message as _;

use crate::convert::{NodeContext, to_proto};
use crate::difference::difference;
use crate::json::JsonMessage as _;
use crate::schema::SCHEMA;
use crate::wire::Fields;

/// What a typed flow and its node do not say of a message: encoded fields. Without time and UUID, which the typed flow
/// always says, so that flows which are alike share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rest {
    stands: Stands,
    fields: Box<[u8]>,
    node_name: Option<Box<str>>,
    is_filtered: bool,
}

/// How the fields relate to the typed flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stands {
    /// They follow what the typed flow says: they add to it, and where both say something they count.
    Beside,
    /// They are all there is: of the typed flow only time and UUID count.
    Instead,
}

/// Fields of a flow that no filter reads.
const UNFILTERED: [&str; 23] = [
    "emitter",
    "drop_reason",
    "auth_type",
    "ethernet",
    "tunnel",
    "Type",
    "reply",
    "policy_match_type",
    "trace_observation_point",
    "trace_reason",
    "file",
    "debug_capture_point",
    "proxy_port",
    "sock_xlate_point",
    "socket_cookie",
    "cgroup_id",
    "Summary",
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
    "policy_log",
    "aggregate",
];

// === impl Rest ===

impl Rest {
    /// What `flow`, seen by `node`, leaves out of `message`; `None` if it says everything.
    pub fn of(message: &proto::Flow, flow: &Flow, node: &NodeContext) -> Option<Self> {
        let without_moment =
            |message: proto::Flow| proto::Flow { time: None, uuid: String::new(), ..message };
        let wanted = without_moment(message.clone()).encode_to_vec();
        let base = without_moment(to_proto(flow, node)).encode_to_vec();
        let schema = SCHEMA.message(SCHEMA.find(proto::Flow::NAME)?);
        let (stands, fields) = match difference(schema, &base, &wanted) {
            Ok(fields) if fields.is_empty() => return None,
            Ok(fields) => (Stands::Beside, fields),
            Err(_) => (Stands::Instead, wanted),
        };
        let names_node = stands == Stands::Instead || message.node_name != node.name();
        Some(Self {
            stands,
            node_name: names_node.then(|| message.node_name.as_str().into()),
            is_filtered: is_filtered(stands, &fields),
            fields: fields.into(),
        })
    }

    /// One that was kept somewhere, by its parts; `None` for bytes that are no fields of a flow.
    pub fn new(stands: Stands, fields: &[u8], node_name: Option<&str>) -> Option<Self> {
        proto::Flow::decode(fields).ok()?;
        Some(Self {
            stands,
            node_name: node_name.map(Box::from),
            is_filtered: is_filtered(stands, fields),
            fields: fields.into(),
        })
    }

    /// How the fields relate to the typed flow.
    pub const fn stands(&self) -> Stands {
        self.stands
    }

    /// The encoded fields. Never empty beside a typed flow.
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// The name of the node, where it is not that of the node which tells the flow.
    pub fn node_name(&self) -> Option<&str> {
        self.node_name.as_deref()
    }

    /// Whether a filter may decide otherwise than it would over the typed flow.
    pub const fn is_filtered(&self) -> bool {
        self.is_filtered
    }

    /// The whole message.
    pub fn with(&self, flow: &Flow, node: &NodeContext) -> proto::Flow {
        let typed = to_proto(flow, node);
        let mut message = match self.stands {
            Stands::Beside => typed,
            Stands::Instead => proto::Flow { time: typed.time, uuid: typed.uuid, ..proto::Flow::default() },
        };
        let merged = message.merge(&*self.fields);
        debug_assert!(merged.is_ok(), "the fields were encoded here: {merged:?}");
        message
    }
}

fn is_filtered(stands: Stands, fields: &[u8]) -> bool {
    let flow = SCHEMA.find(proto::Flow::NAME).map(|id| SCHEMA.message(id));
    let is_read = |number| {
        let field = flow.and_then(|flow| Some(&flow.fields[flow.position(number)?]));
        field.is_none_or(|field| !UNFILTERED.contains(&field.name.as_str()))
    };
    stands == Stands::Instead || Fields(fields).any(|field| field.is_ok_and(|field| is_read(field.number)))
}

#[cfg(test)]
mod tests {
    use palomar_proto::observer::GetFlowsResponse;
    use palomar_proto::observer::get_flows_response::ResponseTypes;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::convert::Typed;
    use crate::json;

    const FLOWS: &str = include_str!("../tests/fixtures/flows.jsonl");

    fn flows() -> Vec<proto::Flow> {
        let flow = |line| match json::parse::<GetFlowsResponse>(line).unwrap().message.response_types {
            Some(ResponseTypes::Flow(flow)) => Some(flow),
            _ => None,
        };
        FLOWS.lines().filter_map(flow).collect()
    }

    /// A flow of which each field is that of a flow of its own.
    fn mixed(flows: &[proto::Flow], from: &[Index]) -> proto::Flow {
        let schema = SCHEMA.message(SCHEMA.find("flow.Flow").unwrap());
        let mut bytes = Vec::new();
        for (field, from) in schema.fields.iter().zip(from.iter().cycle()) {
            let flow = from.get(flows).encode_to_vec();
            let entries = Fields(&flow).map(Result::unwrap).filter(|entry| entry.number == field.number);
            entries.for_each(|entry| bytes.extend_from_slice(entry.bytes));
        }
        proto::Flow::decode(&bytes[..]).unwrap()
    }

    #[test]
    fn the_names_of_what_no_filter_reads_are_fields() {
        let schema = SCHEMA.message(SCHEMA.find("flow.Flow").unwrap());
        for name in UNFILTERED {
            assert!(schema.field(name).is_some(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_message_comes_back_as_it_was(from in vec(any::<Index>(), 41), teller in any::<Index>()) {
            let flows = flows();
            let (flow, node) = (mixed(&flows, &from), NodeContext::of_flow(teller.get(&flows)));
            let typed = Typed::of(&flow, &node);
            if let Some(rest) = &typed.rest {
                let again = Rest::new(rest.stands(), rest.fields(), rest.node_name());
                prop_assert_eq!(again.as_ref(), Some(rest));
            }
            let expected = proto::Flow { time: flow.time.or(Some(prost_types::Timestamp::default())), ..flow };
            prop_assert_eq!(typed.to_proto(&node), expected);
        }
    }
}
