//! What is asked: may this end connect to that one?

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;

/// A connection that somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Who connects.
    pub from: End,
    /// To whom.
    pub to: End,
    /// The IP protocol.
    pub protocol: Protocol,
    /// The destination port as the client uses it; `None` for protocols without ports.
    pub port: Option<u16>,
}

/// One end, as users write it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// An address: a pod's, a service's, a node's, or the world's.
    Address(IpAddr),
    /// The pod of this name; where there is none, the service.
    Named(ObjectName),
    /// The pod of this name.
    Pod(ObjectName),
    /// The service of this name.
    Service(ObjectName),
    /// Whoever a node hides behind this address of its own: rules see the address alone. As the end that connects; users
    /// have no word for it.
    Masked(IpAddr),
}

/// A text that names no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no end of a connection; choose from: namespace/pod, namespace/service, pod/namespace/name, \
     svc/namespace/name, an IP address"
)]
pub struct InvalidEnd(pub String);

impl FromStr for End {
    type Err = InvalidEnd;

    /// A name without a namespace is in `default`.
    fn from_str(text: &str) -> Result<Self, InvalidEnd> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(|part| is_name(part)) {
            return Err(InvalidEnd(text.to_owned()));
        }
        match parts.as_slice() {
            [name] => Ok(Self::Named(ObjectName::new("default", *name))),
            // A range of addresses is no end, though it looks like two names.
            [namespace, _] if namespace.contains('.') => Err(InvalidEnd(text.to_owned())),
            [namespace, name] => Ok(Self::Named(ObjectName::new(*namespace, *name))),
            ["pod", namespace, name] => Ok(Self::Pod(ObjectName::new(*namespace, *name))),
            ["svc" | "service", namespace, name] => Ok(Self::Service(ObjectName::new(*namespace, *name))),
            _ => Err(InvalidEnd(text.to_owned())),
        }
    }
}

/// What every name of an object looks like; a mistyped address does as well, and is then not found.
fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(is_inner)
}

/// As it is written; a pod or service of one name as `namespace/name`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Named(name) => write!(f, "{name}"),
            Self::Pod(name) => write!(f, "pod/{name}"),
            Self::Service(name) => write!(f, "svc/{name}"),
            Self::Masked(address) => write!(f, "{address} (a node's, which hides who it is)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_addresses_or_names_and_the_rest_is_refused() {
        let name = |namespace: &str, name: &str| ObjectName::new(namespace, name);
        let table = [
            ("10.0.0.1", Some(End::Address("10.0.0.1".parse().unwrap()))),
            ("::ffff:10.0.0.1", Some(End::Address("10.0.0.1".parse().unwrap()))),
            ("fd00::1", Some(End::Address("fd00::1".parse().unwrap()))),
            ("shop/web", Some(End::Named(name("shop", "web")))),
            ("web", Some(End::Named(name("default", "web")))),
            ("pod/shop/web", Some(End::Pod(name("shop", "web")))),
            ("svc/shop/web", Some(End::Service(name("shop", "web")))),
            ("service/shop/web", Some(End::Service(name("shop", "web")))),
            ("node/shop/web", None),
            ("shop/", None),
            ("", None),
            ("Shop/web", None),
            ("shop/web\u{1b}[2J", None),
            ("10.0.0.0/8", None),
            ("10.0.0.0/8/1", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<End>().ok(), expected, "{text:?}");
        }
    }
}
