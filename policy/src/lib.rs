//! `NetworkPolicy` as users mean it: validate, select, decide, compile.
//!
//! | module | holds |
//! |---|---|
//! | [`draft`] | the spec as its author wrote it, absent and empty kept apart |
//! | [`validate`] | draft → [`palomar_model::netpol::NetworkPolicy`], or everything that is wrong with it, by field |
//! | [`mod@decide`] | the oracle: one packet, straight from the text of `NetworkPolicy` |
//! | [`explain`] | the same question with all its reasons, and where the ends are names |
//! | [`set`] | which policies select a pod |
//! | [`cidr`] | CIDR classes: which ipBlocks cover an address |
//! | [`universe`] | the internal identities and classes that a table is compiled for |
//! | [`mod@compile`] | a set of policies → the entries of the kernel's `rules` map |
//! | [`compiled`] | those entries, and the kernel's look-up as a function |
//! | `behind` | who stands behind a service: its endpoint slices, or the pods of its selector |
//! | [`service`] | service addresses, judged by their backends |
//! | [`scope`] | protocols and ports as prefixes |
//! | [`yaml`] | a policy as text that kubectl takes |
//! | [`rule_sets`] | interned numbers for sets of rules |
//!
//! Pure: no I/O, no async, no clock, no protobuf.

#![forbid(unsafe_code)]

mod behind;
pub mod cidr;
pub mod compile;
pub mod compiled;
pub mod decide;
pub mod draft;
pub mod explain;
mod interner;
pub mod rule_sets;
pub mod scope;
pub mod service;
pub mod set;
pub mod subject;
pub mod universe;
pub mod validate;
pub mod yaml;

pub use cidr::{CidrClass, ClassTable, Classes};
pub use compile::{Compiler, compile};
pub use compiled::{CompiledSet, Entry, Lookup, PeerKey, Probe};
pub use decide::{Decision, Exemption, PeerKind, PeerView, Traffic, decide};
pub use draft::{NetworkPolicyDraft, SpecDraft};
pub use rule_sets::{RuleSet, RuleSets};
pub use scope::{PortPrefix, Scope};
pub use service::{Backend, Backends};
pub use set::{PolicySet, select, select_subject};
pub use subject::{Subject, selects_pod};
pub use universe::{IdentityLabels, Universe};
pub use validate::{Fault, FieldPath, InvalidPolicy, Reason};
