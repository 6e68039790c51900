//! Numbers that stand for interned things in a record.

use std::num::NonZeroU32;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub(super) NonZeroU32);

        impl $name {
            /// A dense index, counted from 0, for tables of one's own beside the names.
            pub fn index(self) -> usize {
                super::table::index(self.0)
            }
        }
    };
}

id!(
    /// An end of a flow: see [`Names::endpoint`](super::Names::endpoint).
    EndpointId
);
id!(
    /// A service: see [`Names::service`](super::Names::service).
    ServiceId
);
id!(
    /// An interface: see [`Names::interface`](super::Names::interface).
    InterfaceId
);
id!(
    /// A list of policies: see [`Names::policies`](super::Names::policies).
    PoliciesId
);
id!(
    /// What a flow's message says beyond its record: see [`Names::rest`](super::Names::rest).
    RestId
);
