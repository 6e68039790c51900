//! Flow filters, and the rim between typed flows and protobuf.
//!
//! * [`filter`]: Hubble's `FlowFilter`, compiled, over any [`view::FlowView`] of a flow.
//! * [`convert`]: typed flows to Hubble's messages, and back; [`rest`]: what a message says beyond a typed flow.
//! * [`mask`]: only the fields that were asked for.
//! * [`encode`]: the same messages as bytes, for streams: spliced from parts, without building them.
//! * [`json`]: the JSON of those messages, byte for byte as Hubble's CLI prints it.
//! * [`skim`]: single values of encoded messages, without decoding all of each.
//! * [`bytes`]: looks at short texts byte by byte.
//! * [`summary`]: the text in brackets at the end of a line.

#![forbid(unsafe_code)]

pub mod bytes;
pub mod convert;
mod difference;
pub mod encode;
pub mod filter;
pub mod go;
pub mod json;
pub mod mask;
pub mod rest;
mod schema;
pub mod selector;
pub mod sighting;
pub mod skim;
pub mod summary;
pub mod uuid;
pub mod view;
mod wire;
