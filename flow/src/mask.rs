//! Field masks: only the fields of a flow that were asked for.

use std::collections::BTreeMap;

use palomar_proto::flow::Flow;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::json::JsonMessage;
use crate::schema::{Field, Kind, Message, SCHEMA};
use crate::wire::Fields;

/// What the stock CLI v1.19 asks for unless told otherwise.
pub const STOCK_DEFAULT: [&str; 20] = [
    "time",
    "verdict",
    "ethernet",
    "IP",
    "l4",
    "source.identity",
    "source.namespace",
    "source.pod_name",
    "destination.identity",
    "destination.namespace",
    "destination.pod_name",
    "Type",
    "node_name",
    "l7",
    "event_type",
    "source_service",
    "destination_service",
    "is_reply",
    "Summary",
    "ip_trace_id",
];

/// What the stock CLI prints as well and forgets to ask for (cilium/cilium#46672).
const FORGOTTEN: [&str; 11] = [
    "traffic_direction",
    "policy_match_type",
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
    "auth_type",
    "source_names",
    "destination_names",
    "sock_xlate_point",
    "debug_capture_point",
];

/// A path that leads to no field of a flow. The stock server answers [`InvalidFieldMask::SERVER_TEXT`], the stock
/// CLI says which path it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("proto: invalid path {} for message \"flow.Flow\"", crate::go::quote::Quoted(.path))]
pub struct InvalidFieldMask {
    /// The first wrong path.
    pub path: String,
}

impl InvalidFieldMask {
    /// What a server answers.
    pub const SERVER_TEXT: &'static str = "invalid fieldmask";
}

/// A compiled field mask over flows. Without paths it keeps everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldMask(Tree);

/// By field number, what is kept of the field; nothing further: all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tree(BTreeMap<u32, Tree>);

impl FieldMask {
    /// Compiles a mask. A path covers all below it. The exact set of [`STOCK_DEFAULT`] is answered with what the
    /// stock CLI prints besides.
    pub fn compile<P: AsRef<str>>(paths: &[P]) -> Result<Self, InvalidFieldMask> {
        let mut tree = Tree::default();
        let mut given: Vec<&str> = paths.iter().map(AsRef::as_ref).collect();
        given.iter().try_for_each(|path| tree.add(path))?;
        given.sort_unstable();
        given.dedup();
        let mut stock = STOCK_DEFAULT;
        stock.sort_unstable();
        if given == stock {
            FORGOTTEN.iter().try_for_each(|path| tree.add(path))?;
        }
        Ok(Self(tree))
    }

    /// Whether everything is kept.
    pub fn is_everything(&self) -> bool {
        self.0.is_leaf()
    }

    /// The flow with only the fields of the mask. Messages around a nested field are there even if they are empty,
    /// unless they are one choice of several.
    pub fn apply(&self, flow: Flow) -> Flow {
        if self.is_everything() {
            return flow;
        }
        let mut kept = Vec::new();
        self.0.copy(flow_message(), &flow.encode_to_vec(), &mut kept);
        // parts of an encoded flow are an encoded flow
        Flow::decode(kept.as_slice()).unwrap_or_default()
    }

    /// What the mask keeps of some of a flow's fields.
    pub fn part(&self, covers: impl Fn(u32) -> bool) -> PartMask {
        let kept = |tree: &BTreeMap<u32, Tree>| -> BTreeMap<u32, Tree> {
            tree.iter()
                .filter(|(field, _)| covers(**field))
                .map(|(field, below)| (*field, below.clone()))
                .collect()
        };
        let kept = Tree(kept(&self.0.0));
        let is_whole = |field: &Field| kept.0.get(&field.number).is_some_and(Tree::is_leaf);
        let mut fields = flow_message().fields.iter().filter(|field| covers(field.number));
        if self.is_everything() || fields.all(is_whole) {
            PartMask::Everything
        } else if kept.is_leaf() {
            PartMask::Nothing
        } else {
            PartMask::Fields(FieldMask(kept))
        }
    }
}

/// What a mask keeps of a part of a flow: of those fields that the part stands for. Messages around a nested field
/// are there even if the part has none, as in [`FieldMask::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartMask {
    /// No field.
    Nothing,
    /// Every field, whole.
    Everything,
    /// Some fields, or something of them.
    Fields(FieldMask),
}

impl PartMask {
    /// Appends what is kept of an encoded part. What is malformed ends the part.
    pub fn copy(&self, part: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Everything => out.extend_from_slice(part),
            Self::Fields(mask) => mask.0.copy(flow_message(), part, out),
        }
    }

    /// Appends what is kept of the encoded part that `write` appends. `scratch` is emptied.
    pub fn write(&self, scratch: &mut Vec<u8>, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Self::Nothing => {}
            Self::Everything => write(out),
            Self::Fields(_) => {
                scratch.clear();
                write(scratch);
                self.copy(scratch, out);
            }
        }
    }
}

fn flow_message() -> &'static Message {
    SCHEMA.message(SCHEMA.find(Flow::NAME).expect("invariant: the contract has flows"))
}

impl Tree {
    fn is_leaf(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, path: &str) -> Result<(), InvalidFieldMask> {
        let fields = resolve(path).ok_or_else(|| InvalidFieldMask { path: path.to_owned() })?;
        let mut tree = self;
        for (depth, number) in fields.iter().enumerate() {
            let is_last = depth + 1 == fields.len();
            let is_new = !tree.0.contains_key(number);
            tree = tree.0.entry(*number).or_default();
            if is_last {
                tree.0.clear();
            } else if !is_new && tree.is_leaf() {
                // a path above covers this one
                return Ok(());
            }
        }
        Ok(())
    }

    fn copy(&self, message: &Message, encoded: &[u8], out: &mut Vec<u8>) {
        let mut missing: Vec<u32> =
            self.0.iter().filter(|(_, below)| !below.is_leaf()).map(|(n, _)| *n).collect();
        for entry in Fields(encoded).map_while(Result::ok) {
            let Some(below) = self.0.get(&entry.number) else { continue };
            match (below.is_leaf(), message.position(entry.number).map(|at| &message.fields[at]), entry.value)
            {
                (false, Some(field), crate::wire::Value::Bytes(inner)) => {
                    missing.retain(|number| *number != entry.number);
                    below.copy_nested(field, inner, out);
                }
                _ => out.extend(entry.bytes),
            }
        }
        for number in missing {
            let Some(field) = message.position(number).map(|at| &message.fields[at]) else { continue };
            if field.oneof.is_none() {
                self.0[&number].copy_nested(field, &[], out);
            }
        }
    }

    fn copy_nested(&self, field: &Field, encoded: &[u8], out: &mut Vec<u8>) {
        let Kind::Message(id) = field.kind else { return };
        let mut kept = Vec::new();
        self.copy(SCHEMA.message(id), encoded, &mut kept);
        encode_key(field.number, WireType::LengthDelimited, out);
        encode_varint(kept.len() as u64, out);
        out.extend(kept);
    }
}

/// The numbers of the fields on a path; nothing is below a list.
fn resolve(path: &str) -> Option<Vec<u32>> {
    let mut message = Some(flow_message());
    path.split('.')
        .map(|name| {
            let field = message?.field(name)?;
            message = match field.kind {
                Kind::Message(id) if !field.repeated => Some(SCHEMA.message(id)),
                _ => None,
            };
            Some(field.number)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn masked(paths: &[&str], flow: &str) -> String {
        let flow = json::parse::<Flow>(flow).unwrap().message;
        json::to_string(&FieldMask::compile(paths).unwrap().apply(flow)).unwrap()
    }

    const FLOW: &str = r#"{"time":"1970-01-01T00:00:01Z","uuid":"u","verdict":"FORWARDED","l4":{"TCP":{"source_port":1,"flags":{"SYN":true}}},"source":{"ID":7,"identity":5,"labels":["k8s:a"]},"node_name":"k1","traffic_direction":"EGRESS","is_reply":false}"#;

    #[test]
    fn only_the_paths_are_kept_and_parents_are_always_there() {
        let table: [(&[&str], &str); 9] = [
            (&[], FLOW),
            (&["uuid"], r#"{"uuid":"u"}"#),
            (&["source.identity"], r#"{"source":{"identity":5}}"#),
            (&["source.identity", "destination.identity"], r#"{"source":{"identity":5},"destination":{}}"#),
            (&["source", "source.identity"], r#"{"source":{"ID":7,"identity":5,"labels":["k8s:a"]}}"#),
            (&["source.identity", "source"], r#"{"source":{"ID":7,"identity":5,"labels":["k8s:a"]}}"#),
            (&["l4.TCP.flags", "l4.UDP.source_port"], r#"{"l4":{"TCP":{"flags":{"SYN":true}}}}"#),
            (&["is_reply"], r#"{"is_reply":false}"#),
            (&["destination_names", "drop_reason"], "{}"),
        ];
        for (paths, expected) in table {
            assert_eq!(masked(paths, FLOW), expected, "{paths:?}");
        }
    }

    #[test]
    fn the_stock_default_is_answered_with_what_the_cli_prints_besides() {
        assert!(masked(&STOCK_DEFAULT, FLOW).contains(r#""traffic_direction":"EGRESS""#));
        let mut reversed = STOCK_DEFAULT;
        reversed.reverse();
        assert!(masked(&reversed, FLOW).contains(r#""traffic_direction":"EGRESS""#));
        assert!(!masked(&STOCK_DEFAULT[1..], FLOW).contains("traffic_direction"));
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        for path in [
            "nope",
            "",
            "source.nope",
            "verdict.x",
            "node_labels.x",
            "source.workloads.name",
            "nodeName",
            ".",
        ] {
            let error = FieldMask::compile(&["uuid", path]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("proto: invalid path \"{path}\" for message \"flow.Flow\"")
            );
        }
        FieldMask::compile(&["time.seconds", "is_reply.value", "source.workloads"]).unwrap();
    }
}
