//! The messages of the contract as data: what JSON and field masks need to know of each field.

use std::collections::HashMap;
use std::sync::LazyLock;

use palomar_proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Every message and enum of the contract.
pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET);
    Schema::build(&files.expect("invariant: the build wrote a descriptor set"))
});

/// Most field numbers are small: these are looked up, not searched.
const DENSE: u32 = 64;

/// Where a message stands in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageId(usize);

/// Where an enum stands in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EnumId(usize);

#[derive(Debug)]
pub(crate) struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    by_name: HashMap<String, MessageId>,
    enums_by_name: HashMap<String, EnumId>,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) name: String,
    /// In the order of declaration.
    pub(crate) fields: Vec<Field>,
    /// The positions of the numbers below [`DENSE`].
    dense: Vec<Option<usize>>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug)]
pub(crate) struct Field {
    /// As declared, e.g. `node_name`.
    pub(crate) name: String,
    /// The same in lower camel case.
    pub(crate) json_name: String,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) repeated: bool,
    /// The group of fields that it excludes.
    pub(crate) oneof: Option<i32>,
    /// The name as JSON has it after a quote: `node_name":`.
    pub(crate) key: String,
    /// The first eight bytes of the key as a number, and which of them it has.
    pub(crate) key_head: u64,
    pub(crate) key_mask: u64,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Double,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
    /// A type that no message of the contract uses; some of `google.protobuf` do.
    Foreign,
}

#[derive(Debug)]
pub(crate) struct Enum {
    /// Sorted by number.
    names: Vec<(i32, String)>,
    numbers: HashMap<String, i32>,
}

impl Schema {
    pub(crate) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    pub(crate) fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0]
    }

    /// A message by its full name, e.g. `flow.Flow`.
    pub(crate) fn find(&self, name: &str) -> Option<MessageId> {
        self.by_name.get(name).copied()
    }

    /// An enum by its full name, e.g. `flow.Verdict`.
    pub(crate) fn find_enum(&self, name: &str) -> Option<EnumId> {
        self.enums_by_name.get(name).copied()
    }

    fn build(files: &FileDescriptorSet) -> Self {
        let mut declared = Declared::default();
        for file in &files.file {
            let package = file.package();
            file.message_type.iter().for_each(|message| declared.add_message(package, message));
            file.enum_type.iter().for_each(|enumeration| declared.add_enum(package, enumeration));
        }
        let names = |names: Vec<&String>| names.into_iter().cloned().zip(0..).collect::<HashMap<_, _>>();
        let message_ids = names(declared.messages.iter().map(|(name, _)| name).collect());
        let enum_ids = names(declared.enums.iter().map(|(name, _)| name).collect());
        let kind = |field: &FieldDescriptorProto| {
            let target = field.type_name().trim_start_matches('.');
            match field.r#type() {
                Type::Enum => Kind::Enum(EnumId(enum_ids[target])),
                Type::Message => Kind::Message(MessageId(message_ids[target])),
                scalar => Kind::of_scalar(scalar),
            }
        };
        Self {
            messages: declared
                .messages
                .iter()
                .map(|(name, message)| Message::build(name, message, kind))
                .collect(),
            enums: declared.enums.iter().map(|(_, enumeration)| Enum::build(enumeration)).collect(),
            by_name: message_ids.into_iter().map(|(name, at)| (name, MessageId(at))).collect(),
            enums_by_name: enum_ids.iter().map(|(name, at)| (name.clone(), EnumId(*at))).collect(),
        }
    }
}

/// Everything that the files declare, with full names.
#[derive(Default)]
struct Declared<'a> {
    messages: Vec<(String, &'a DescriptorProto)>,
    enums: Vec<(String, &'a EnumDescriptorProto)>,
}

impl<'a> Declared<'a> {
    fn add_message(&mut self, scope: &str, message: &'a DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        message.nested_type.iter().for_each(|nested| self.add_message(&name, nested));
        message.enum_type.iter().for_each(|nested| self.add_enum(&name, nested));
        self.messages.push((name, message));
    }

    fn add_enum(&mut self, scope: &str, enumeration: &'a EnumDescriptorProto) {
        self.enums.push((format!("{scope}.{}", enumeration.name()), enumeration));
    }
}

impl Message {
    fn build(name: &str, message: &DescriptorProto, kind: impl Fn(&FieldDescriptorProto) -> Kind) -> Self {
        let fields: Vec<_> = message
            .field
            .iter()
            .map(|field| (field, format!("{}\":", field.name())))
            .map(|(field, key)| Field {
                key_head: key_head(key.as_bytes()),
                key_mask: key_head(&vec![0xff; key.len()]),
                key,
                name: field.name().to_owned(),
                json_name: field.json_name().to_owned(),
                number: u32::try_from(field.number()).expect("invariant: field numbers are positive"),
                kind: kind(field),
                repeated: field.label() == Label::Repeated,
                oneof: field.oneof_index,
            })
            .collect();
        let both_names = |(at, field): (usize, &FieldDescriptorProto)| {
            [(field.name().to_owned(), at), (field.json_name().to_owned(), at)]
        };
        Self {
            name: name.to_owned(),
            dense: (0..DENSE).map(|number| fields.iter().position(|field| field.number == number)).collect(),
            by_name: message.field.iter().enumerate().flat_map(both_names).collect(),
            fields,
        }
    }

    /// The position of a field by its number.
    pub(crate) fn position(&self, number: u32) -> Option<usize> {
        if number < DENSE {
            self.dense[number as usize]
        } else {
            self.fields.iter().position(|field| field.number == number)
        }
    }

    /// A field by its declared name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The position of a field by its declared name or its name in lower camel case.
    pub(crate) fn json_position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

/// The first eight bytes of a text as a number; fewer, as if zeros followed.
pub(crate) fn key_head(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(8);
    bytes[..length].copy_from_slice(&text[..length]);
    u64::from_le_bytes(bytes)
}

impl Kind {
    /// The name of the kind in a `.proto` file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Uint32 => "uint32",
            Self::Int64 => "int64",
            Self::Uint64 => "uint64",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Enum(_) => "enum",
            Self::Message(_) => "message",
            Self::Foreign => "foreign",
        }
    }

    fn of_scalar(scalar: Type) -> Self {
        match scalar {
            Type::Bool => Self::Bool,
            Type::Int32 => Self::Int32,
            Type::Uint32 => Self::Uint32,
            Type::Int64 => Self::Int64,
            Type::Uint64 => Self::Uint64,
            Type::Double => Self::Double,
            Type::String => Self::String,
            Type::Bytes => Self::Bytes,
            _ => Self::Foreign,
        }
    }
}

impl Enum {
    fn build(enumeration: &EnumDescriptorProto) -> Self {
        let mut names: Vec<_> =
            enumeration.value.iter().map(|value| (value.number(), value.name().to_owned())).collect();
        let numbers = names.iter().map(|(number, name)| (name.clone(), *number)).collect();
        // of two names for one number the first is printed
        names.sort_by_key(|(number, _)| *number);
        names.dedup_by_key(|(number, _)| *number);
        Self { names, numbers }
    }

    /// The name of a number; `None` for a number that the contract does not know.
    pub(crate) fn name(&self, number: i32) -> Option<&str> {
        let at = self.names.binary_search_by_key(&number, |(candidate, _)| *candidate).ok()?;
        Some(&self.names[at].1)
    }

    /// The number of a name, as quickly as can be in a short list.
    pub(crate) fn find(&self, name: &str) -> Option<i32> {
        if self.names.len() > 16 {
            return self.number(name);
        }
        self.names.iter().find(|(_, known)| known == name).map(|(number, _)| *number)
    }

    /// The number of a name.
    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        self.numbers.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_the_order_of_declaration_and_are_found_by_each_name() {
        let flow = SCHEMA.message(SCHEMA.find("flow.Flow").unwrap());
        let names: Vec<_> = flow.fields.iter().take(4).map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["time", "uuid", "emitter", "verdict"]);
        assert_eq!(flow.json_position("nodeName"), flow.json_position("node_name"));
        assert!(flow.json_position("nodeName").is_some());
        assert_eq!(flow.position(34), Some(1));
        assert_eq!(flow.json_position("nope"), None);
    }

    #[test]
    fn no_message_of_the_contract_uses_a_type_that_json_does_not_know() {
        let own = SCHEMA.messages.iter().filter(|message| !message.name.starts_with("google."));
        let foreign: Vec<_> = own
            .flat_map(|message| message.fields.iter().map(move |field| (message, field)))
            .filter(|(_, field)| field.kind == Kind::Foreign)
            .map(|(message, field)| format!("{}.{}", message.name, field.name))
            .collect();
        assert_eq!(foreign, Vec::<String>::new());
    }
}
