//! Turns the `.proto` files into Rust and into a descriptor set for reflection; no `protoc` is needed.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

const FILES: [&str; 5] = [
    "flow/flow.proto",
    "observer/observer.proto",
    "peer/peer.proto",
    "relay/relay.proto",
    "palomar/v1/palomar.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    // the definition of definitions, to print those of other servers by
    let commented = protox::compile(FILES.into_iter().chain(["google/protobuf/descriptor.proto"]), ["."])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("descriptors.bin"), without_comments(commented.clone()).encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(without_deprecation(commented))?;
    Ok(())
}

/// Reflection needs names and numbers only; comments would treble its answers.
fn without_comments(mut set: FileDescriptorSet) -> FileDescriptorSet {
    for file in &mut set.file {
        file.source_code_info = None;
    }
    set
}

/// Clients still read the fields that Hubble calls deprecated, so an agent has to fill them: the descriptors
/// keep the mark, the Rust code goes without its warnings.
fn without_deprecation(mut set: FileDescriptorSet) -> FileDescriptorSet {
    for file in &mut set.file {
        file.message_type.iter_mut().for_each(revive_message);
        file.enum_type.iter_mut().for_each(revive_enum);
    }
    set
}

fn revive_message(message: &mut DescriptorProto) {
    for options in message.field.iter_mut().filter_map(|field| field.options.as_mut()) {
        options.deprecated = None;
    }
    message.nested_type.iter_mut().for_each(revive_message);
    message.enum_type.iter_mut().for_each(revive_enum);
}

fn revive_enum(enumeration: &mut prost_types::EnumDescriptorProto) {
    for options in enumeration.value.iter_mut().filter_map(|value| value.options.as_mut()) {
        options.deprecated = None;
    }
}
