//! Compares the descriptors with the list of Hubble v1.19's services, messages and enums, item by item, in
//! declaration order and in both directions.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod listing;

use std::collections::BTreeSet;

use listing::{Enum, Field, Item, Message, Method, Service};
use palomar_proto::FILE_DESCRIPTOR_SET;
use palomar_proto::prost::Message as _;
use palomar_proto::prost_types::field_descriptor_proto::{Label, Type};
use palomar_proto::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueOptions, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};

const LISTING: &str = include_str!("fixtures/hubble-v1.19.txt");
const PACKAGES: [&str; 4] = ["flow", "observer", "peer", "relay"];

fn files() -> Vec<FileDescriptorProto> {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file
}

#[test]
fn every_item_is_declared_as_hubble_declares_it() {
    let files = files();
    for package in PACKAGES {
        let file = files.iter().find(|file| file.package() == package).unwrap();
        assert_eq!(file.name(), format!("{package}/{package}.proto"));
        let declared = items_of(file);
        let listed: Vec<Item> = listing::parse(LISTING, package);
        for wanted in &listed {
            let found = declared.iter().find(|item| item.name() == wanted.name());
            assert_eq!(found, Some(wanted), "{package}");
        }
        let names = |items: &[Item]| items.iter().map(|item| item.name().to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(names(&declared), names(&listed), "{package} declares something that Hubble does not");
    }
}

#[test]
fn the_listing_is_read_whole() {
    let count = |package| listing::parse(LISTING, package).len();
    assert_eq!(PACKAGES.map(count), [61, 18, 5, 2]);
    let lines = LISTING.lines().filter(|line| line.starts_with("- ")).count();
    assert_eq!(PACKAGES.map(count).iter().sum::<usize>(), lines);
}

#[test]
fn top_level_messages_keep_their_order() {
    for package in PACKAGES {
        let files = files();
        let file = files.iter().find(|file| file.package() == package).unwrap();
        let declared: Vec<&str> = file.message_type.iter().map(DescriptorProto::name).collect();
        let listed = listing::parse(LISTING, package);
        let listed: Vec<&str> = listed
            .iter()
            .filter_map(|item| match item {
                Item::Message(message) if !message.name.contains('.') => Some(message.name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(declared, listed);
    }
}

#[test]
fn reflection_can_serve_every_import() {
    let files = files();
    let names: BTreeSet<&str> = files.iter().map(FileDescriptorProto::name).collect();
    assert!(names.contains("palomar/v1/palomar.proto"));
    for file in &files {
        for import in &file.dependency {
            assert!(names.contains(import.as_str()), "{} imports {import}", file.name());
        }
    }
}

// === descriptors → the listing's types ===

fn items_of(file: &FileDescriptorProto) -> Vec<Item> {
    let mut items: Vec<Item> = file.service.iter().map(|service| service_item(service, file)).collect();
    items.extend(file.enum_type.iter().map(|of| enum_item(of, "")));
    for message in &file.message_type {
        message_items(message, "", file.package(), &mut items);
    }
    items
}

fn service_item(service: &ServiceDescriptorProto, file: &FileDescriptorProto) -> Item {
    let local = |name: &str| name.trim_start_matches(&format!(".{}.", file.package())).to_owned();
    let methods = service
        .method
        .iter()
        .map(|method| Method {
            name: method.name().to_owned(),
            input: local(method.input_type()),
            output: local(method.output_type()),
            streams_input: method.client_streaming(),
            streams_output: method.server_streaming(),
        })
        .collect();
    Item::Service(Service { name: service.name().to_owned(), methods })
}

fn enum_item(of: &EnumDescriptorProto, parent: &str) -> Item {
    let values = of
        .value
        .iter()
        .map(|value| {
            let deprecated = value.options.as_ref().is_some_and(EnumValueOptions::deprecated);
            (value.number(), value.name().to_owned(), deprecated)
        })
        .collect();
    // enum ranges include their end
    let reserved = of.reserved_range.iter().flat_map(|range| range.start()..=range.end()).collect();
    Item::Enum(Enum { name: format!("{parent}{}", of.name()), values, reserved })
}

fn message_items(message: &DescriptorProto, parent: &str, package: &str, items: &mut Vec<Item>) {
    let name = format!("{parent}{}", message.name());
    let fields = message.field.iter().map(|field| field_of(field, message, &name, package)).collect();
    // message ranges end before their end
    let reserved = message.reserved_range.iter().flat_map(|range| range.start()..range.end()).collect();
    let inside = format!("{name}.");
    items.push(Item::Message(Message { name, fields, reserved }));
    items.extend(message.enum_type.iter().map(|of| enum_item(of, &inside)));
    for nested in &message.nested_type {
        message_items(nested, &inside, package, items);
    }
}

fn field_of(field: &FieldDescriptorProto, message: &DescriptorProto, name: &str, package: &str) -> Field {
    Field {
        number: field.number(),
        name: field.name().to_owned(),
        type_name: type_name(field, name, package),
        repeated: field.label() == Label::Repeated,
        optional: field.proto3_optional(),
        oneof: field.oneof_index.map(|index| {
            let index = usize::try_from(index).unwrap();
            message.oneof_decl[index].name().to_owned()
        }),
        deprecated: field.options.as_ref().is_some_and(FieldOptions::deprecated),
    }
}

/// The type as the listing spells it: relative to the package, and to the message for what it nests.
fn type_name(field: &FieldDescriptorProto, message: &str, package: &str) -> String {
    let scalar = match field.r#type() {
        Type::Message | Type::Enum => {
            let absolute = field.type_name().trim_start_matches('.');
            let local = absolute.strip_prefix(&format!("{package}.")).unwrap_or(absolute);
            return local.strip_prefix(&format!("{message}.")).unwrap_or(local).to_owned();
        }
        Type::Bool => "bool",
        Type::Double => "double",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::String => "string",
        Type::Uint32 => "uint32",
        Type::Uint64 => "uint64",
        other => panic!("{} has a type that Hubble uses nowhere: {other:?}", field.name()),
    };
    scalar.to_owned()
}
