//! What has to be appended to one encoded message so that it reads as another.
//!
//! Encoded messages that stand one after the other read as one: of a single field the last value counts, messages are
//! merged, lists are joined. So nearly everything can be added or changed; what is there as a message or in a list
//! cannot be taken away.

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::schema::{Field, Kind, Message, SCHEMA};
use crate::wire::{Entry, Fields, Malformed, Value};

/// Why no bytes do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Inexpressible {
    /// A message or an element of a list would have to be taken away.
    #[error("what field {0} has cannot be taken away")]
    Surplus(String),
    /// Bytes that are no encoded message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The bytes that make `wanted` of `base`; none if the two are equal. Both must be encoded as prost does it: a single
/// field at most once, and not at all where it has its default.
pub(crate) fn difference(message: &Message, base: &[u8], wanted: &[u8]) -> Result<Vec<u8>, Inexpressible> {
    let mut out = Vec::new();
    append(message, base, wanted, &mut out)?;
    Ok(out)
}

fn append(message: &Message, base: &[u8], wanted: &[u8], out: &mut Vec<u8>) -> Result<(), Inexpressible> {
    let entries = |bytes| Fields(bytes).collect::<Result<Vec<_>, _>>();
    let (base, wanted) = (entries(base)?, entries(wanted)?);
    for field in &message.fields {
        let base = base.iter().filter(|entry| entry.number == field.number);
        let wanted = wanted.iter().filter(|entry| entry.number == field.number);
        if field.repeated {
            append_list(field, base, wanted, out)?;
        } else {
            append_single(field, base, wanted, out)?;
        }
    }
    Ok(())
}

/// A list grows at its end.
fn append_list<'a>(
    field: &Field,
    mut base: impl Iterator<Item = &'a Entry<'a>>,
    mut wanted: impl Iterator<Item = &'a Entry<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), Inexpressible> {
    if base.any(|element| wanted.next().is_none_or(|wanted| wanted.bytes != element.bytes)) {
        return Err(Inexpressible::Surplus(field.name.clone()));
    }
    wanted.for_each(|element| out.extend_from_slice(element.bytes));
    Ok(())
}

fn append_single<'a>(
    field: &Field,
    mut base: impl Iterator<Item = &'a Entry<'a>>,
    mut wanted: impl Iterator<Item = &'a Entry<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), Inexpressible> {
    match (field.kind, base.next(), wanted.next()) {
        (_, None, None) => {}
        (_, Some(base), Some(wanted)) if base.bytes == wanted.bytes => {}
        (Kind::Message(_), Some(_), None) => return Err(Inexpressible::Surplus(field.name.clone())),
        (Kind::Message(id), Some(base), Some(wanted)) => {
            let (Value::Bytes(base), Value::Bytes(wanted)) = (base.value, wanted.value) else {
                return Err(Malformed.into());
            };
            let mut nested = Vec::new();
            append(SCHEMA.message(id), base, wanted, &mut nested)?;
            encode_key(field.number, WireType::LengthDelimited, out);
            encode_varint(nested.len() as u64, out);
            out.extend(nested);
        }
        (_, _, Some(wanted)) => out.extend_from_slice(wanted.bytes),
        // the default, written out, counts as the last value
        (_, Some(base), None) => append_default(field, base.value, out),
    }
    Ok(())
}

fn append_default(field: &Field, of: Value<'_>, out: &mut Vec<u8>) {
    let (wire_type, bytes) = match of {
        Value::Varint(_) => (WireType::Varint, 1),
        Value::Bytes(_) => (WireType::LengthDelimited, 1),
        Value::Fixed64(_) => (WireType::SixtyFourBit, 8),
        Value::Fixed32(_) => (WireType::ThirtyTwoBit, 4),
    };
    encode_key(field.number, wire_type, out);
    out.extend(std::iter::repeat_n(0, bytes));
}

#[cfg(test)]
mod tests {
    use palomar_proto::flow::Flow;
    use prost::Message as _;

    use super::*;
    use crate::json;

    fn flow(json: &str) -> Vec<u8> {
        json::parse::<Flow>(json).unwrap().message.encode_to_vec()
    }

    fn between(base: &str, wanted: &str) -> Result<Vec<u8>, Inexpressible> {
        difference(SCHEMA.message(SCHEMA.find("flow.Flow").unwrap()), &flow(base), &flow(wanted))
    }

    #[test]
    fn what_is_appended_makes_the_one_of_the_other() {
        for (base, wanted) in [
            ("{}", "{}"),
            ("{}", r#"{"verdict":"DROPPED","source":{"ID":1},"node_labels":["a"],"is_reply":true}"#),
            (r#"{"verdict":"DROPPED","Summary":"UDP"}"#, "{}"),
            (r#"{"verdict":"DROPPED"}"#, r#"{"verdict":"AUDIT"}"#),
            (r#"{"source":{"ID":1,"pod_name":"a"}}"#, r#"{"source":{"pod_name":"b","namespace":"c"}}"#),
            (r#"{"source":{"labels":["a"]}}"#, r#"{"source":{"labels":["a","b","a"]}}"#),
            (r#"{"is_reply":true}"#, r#"{"is_reply":false}"#),
            (r#"{"is_reply":false}"#, r#"{"is_reply":true}"#),
            (
                r#"{"l4":{"TCP":{"source_port":1,"flags":{"SYN":true}}}}"#,
                r#"{"l4":{"TCP":{"flags":{"ACK":true}}}}"#,
            ),
            (r#"{"source":{"workloads":[{"name":"a"}]}}"#, r#"{"source":{"workloads":[{"name":"a"},{}]}}"#),
        ] {
            let added = between(base, wanted).unwrap();
            let both = [flow(base), added.clone()].concat();
            assert_eq!(Flow::decode(&both[..]).unwrap().encode_to_vec(), flow(wanted), "{base} {wanted}");
            assert_eq!(added.is_empty(), base == wanted, "{base} {wanted}");
        }
    }

    #[test]
    fn messages_choices_and_elements_cannot_be_taken_away() {
        for (base, wanted, field) in [
            (r#"{"source":{}}"#, "{}", "source"),
            (r#"{"is_reply":false}"#, "{}", "is_reply"),
            (r#"{"l4":{"TCP":{}}}"#, r#"{"l4":{"UDP":{}}}"#, "TCP"),
            (r#"{"node_labels":["a","b"]}"#, r#"{"node_labels":["a"]}"#, "node_labels"),
            (r#"{"node_labels":["a"]}"#, r#"{"node_labels":["b","a"]}"#, "node_labels"),
            (r#"{"source":{"workloads":[{"name":"a"}]}}"#, r#"{"source":{"workloads":[{}]}}"#, "workloads"),
        ] {
            assert_eq!(between(base, wanted), Err(Inexpressible::Surplus(field.into())), "{base} {wanted}");
        }
    }
}
