//! Palomar's gRPC contract: Hubble's messages and our own services.
//!
//! Everything in the modules is generated from the `.proto` files of this crate, whose comments say what
//! absent and zero mean. Nothing but the contract lives here.

pub use prost;
pub use prost_types;

/// A module with the code generated from one protobuf package.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $package:literal) => {
        $(#[$doc])*
        #[allow(
            missing_docs,
            unused_qualifications,
            clippy::all,
            clippy::pedantic,
            clippy::cast_possible_truncation,
            clippy::unwrap_used,
            reason = "generated code"
        )]
        pub mod $name {
            tonic::include_proto!($package);
        }
    };
}

package!(
    /// What Hubble calls a flow, with all that it is made of, and the filters over it.
    flow,
    "flow"
);
package!(
    /// The service that Hubble's CLI, Relay and UI speak.
    observer,
    "observer"
);
package!(
    /// How a relay learns which nodes there are.
    peer,
    "peer"
);
package!(
    /// What a relay tells about its nodes.
    relay,
    "relay"
);

/// Palomar's own services.
pub mod palomar {
    package!(
        /// Identities, endpoints, connections, losses and the agent's own state.
        v1,
        "palomar.v1"
    );
}

/// An encoded `google.protobuf.FileDescriptorSet` with every file of this crate and those they import, for
/// the reflection service. It holds no comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
