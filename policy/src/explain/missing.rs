//! What would have to be known for an answer.

use std::net::IpAddr;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;

use super::answer::shown_port;

/// A fact that is missing. Prints as the fact, e.g. `the address of pod np-demo/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Missing {
    /// Nobody told of such a pod.
    #[error("pod {name}: there is none of that name{}", near(near_names))]
    Pod {
        /// As it was asked for.
        name: ObjectName,
        /// Pods of that namespace whose names begin alike, a few.
        near_names: Vec<ObjectName>,
    },
    /// Nobody told of such a service.
    #[error("service {name}: there is none of that name")]
    Service {
        /// As it was asked for.
        name: ObjectName,
    },
    /// Neither a pod nor a service.
    #[error("{name}: there is neither a pod nor a service of that name{}", near(near_names))]
    PodOrService {
        /// As it was asked for.
        name: ObjectName,
        /// Pods of that namespace whose names begin alike, a few.
        near_names: Vec<ObjectName>,
    },
    /// The pod has no address any more.
    #[error("an address of pod {name}, which has ended")]
    Ended {
        /// The pod.
        name: ObjectName,
    },
    /// An ipBlock decides, and the pod has no address yet.
    #[error("the address of pod {name}, which an ipBlock asks for")]
    Address {
        /// The pod.
        name: ObjectName,
    },
    /// A selector asks for a label of a namespace of which there is no object.
    #[error("the labels of namespace {name}, of which there is no Namespace object")]
    NamespaceLabels {
        /// The namespace.
        name: String,
    },
    /// Two pods say that they have the address.
    #[error("which of the pods {} has the address {address}", listed(pods))]
    Owner {
        /// The address.
        address: IpAddr,
        /// The pods; at least two.
        pods: Vec<ObjectName>,
    },
    /// The ends have no address of one family, or of none that the protocol goes by.
    #[error("an address family that both {from} and {to} have{}", of_protocol(*protocol))]
    Family {
        /// Who connects.
        from: String,
        /// To whom.
        to: String,
        /// The protocol asked for.
        protocol: Protocol,
    },
    /// Traffic of a node to its own pods is always allowed.
    #[error("the node that {who} is on: a node may always connect to its own pods")]
    Node {
        /// A pod, or an address that is a node's.
        who: String,
    },
    /// A service is asked about as the end that connects.
    #[error("who connects: service {service} is connected to, and connects to nobody")]
    Client {
        /// The service.
        service: ObjectName,
    },
    /// A service without a selector and without endpoint slices.
    #[error("who stands behind service {service}: it has neither a selector nor an endpoint slice")]
    Backends {
        /// The service.
        service: ObjectName,
    },
    /// A service behind which nobody stands who is ready and has an address; or nobody on the client's node, where the
    /// service leads to that alone.
    #[error("a ready endpoint behind {} of service {service}{}", shown_port(*protocol, *port), on(node.as_deref()))]
    Backend {
        /// The service.
        service: ObjectName,
        /// The protocol asked for.
        protocol: Protocol,
        /// The port asked for.
        port: Option<u16>,
        /// The client's node, in words, where the service leads to that alone.
        node: Option<String>,
    },
    /// A port that the service does not have.
    #[error("a port {} of service {service}; it has {choices}", shown_port(*protocol, *port))]
    ServicePort {
        /// The service.
        service: ObjectName,
        /// The protocol asked for.
        protocol: Protocol,
        /// The port asked for.
        port: Option<u16>,
        /// The ports that it has, in words.
        choices: String,
    },
    /// A port at a node, and a pod of which it is not known whether it is there.
    #[error("whether {pod} is on {node}: another node judges that connection as one to this node")]
    ClientNode {
        /// The pod.
        pod: String,
        /// The node.
        node: String,
    },
    /// The service's endpoints do not all have the same verdict.
    #[error("which endpoint behind service {service} answers: {allowed} of {of} may be reached")]
    WhichBackend {
        /// The service.
        service: ObjectName,
        /// Of how many the verdict is allowed.
        allowed: usize,
        /// How many there are.
        of: usize,
    },
    /// The verdict differs between IPv4 and IPv6.
    #[error("the address family: the verdict is not the same over IPv4 and IPv6; ask for addresses")]
    WhichFamily,
    /// Nodes may write their own address into what comes to a service from outside.
    #[error(
        "the source address that pods behind service {service} see: nodes may have replaced it by their own"
    )]
    Source {
        /// The service.
        service: ObjectName,
    },
}

fn on(node: Option<&str>) -> String {
    node.map(|node| format!(" on {node}: it leads nowhere else")).unwrap_or_default()
}

fn of_protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Icmp => ", and that ICMP goes by, which is IPv4",
        Protocol::Icmpv6 => ", and that ICMPv6 goes by, which is IPv6",
        _ => "",
    }
}

fn near(names: &[ObjectName]) -> String {
    if names.is_empty() { String::new() } else { format!("; there is {}", listed(names)) }
}

fn listed(names: &[ObjectName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
