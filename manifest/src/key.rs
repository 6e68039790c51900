//! Which object: its kind and name.

use std::fmt;

use palomar_model::object::ObjectName;

/// The kinds that Palomar reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` `Namespace`.
    Namespace,
    /// `v1` `Node`.
    Node,
    /// `v1` `Pod`.
    Pod,
    /// `v1` `Service`.
    Service,
    /// `discovery.k8s.io/v1` `EndpointSlice`.
    EndpointSlice,
    /// `networking.k8s.io/v1` `NetworkPolicy`.
    NetworkPolicy,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Namespace, Self::Node, Self::Pod, Self::Service, Self::EndpointSlice, Self::NetworkPolicy];

    /// The kind as Kubernetes writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::NetworkPolicy => "NetworkPolicy",
        }
    }

    /// The `apiVersion` it belongs to.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "networking.k8s.io/v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
            Self::Namespace | Self::Node | Self::Pod | Self::Service => "v1",
        }
    }

    /// Whether its objects live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        match self {
            Self::Namespace | Self::Node => false,
            Self::Pod | Self::Service | Self::EndpointSlice | Self::NetworkPolicy => true,
        }
    }

    /// The kind of this name; `None` for kinds that Palomar does not read.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The name that an object is known by. Prints as `Pod np-demo/web` or `Node n1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKey {
    /// A namespace.
    Namespace(String),
    /// A node.
    Node(String),
    /// A pod.
    Pod(ObjectName),
    /// A service.
    Service(ObjectName),
    /// An endpoint slice.
    EndpointSlice(ObjectName),
    /// A network policy.
    NetworkPolicy(ObjectName),
}

impl ObjectKey {
    /// The key of an object of this kind. The namespace is not looked at where the kind has none.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        match kind {
            Kind::Namespace => Self::Namespace(name.to_owned()),
            Kind::Node => Self::Node(name.to_owned()),
            Kind::Pod => Self::Pod(ObjectName::new(namespace, name)),
            Kind::Service => Self::Service(ObjectName::new(namespace, name)),
            Kind::EndpointSlice => Self::EndpointSlice(ObjectName::new(namespace, name)),
            Kind::NetworkPolicy => Self::NetworkPolicy(ObjectName::new(namespace, name)),
        }
    }

    /// The kind of the object.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::NetworkPolicy(_) => Kind::NetworkPolicy,
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().name();
        match self {
            Self::Namespace(name) | Self::Node(name) => write!(f, "{kind} {name}"),
            Self::Pod(name) | Self::Service(name) | Self::EndpointSlice(name) | Self::NetworkPolicy(name) => {
                write!(f, "{kind} {name}")
            }
        }
    }
}
