//! `namespace/prefix`, as filters on pods and services have it.

/// Names of which one must match.
#[derive(Debug)]
pub(super) struct NamePrefixes(Vec<NamePrefix>);

/// The namespace is exact, the name a prefix; an empty one matches anything.
#[derive(Debug)]
struct NamePrefix {
    namespace: String,
    prefix: String,
}

impl NamePrefixes {
    /// `None` where a name is empty. Without a slash the namespace is `default`; what follows a second slash does
    /// not count.
    pub(super) fn compile(names: &[String]) -> Option<Self> {
        names.iter().map(|name| NamePrefix::compile(name)).collect::<Option<_>>().map(Self)
    }

    /// Something without namespace and name never matches.
    pub(super) fn matches(&self, namespace: &str, name: &str) -> bool {
        let is_named = !(namespace.is_empty() && name.is_empty());
        is_named && self.0.iter().any(|wanted| wanted.matches(namespace, name))
    }
}

impl NamePrefix {
    fn compile(name: &str) -> Option<Self> {
        let mut parts = name.split('/');
        let (namespace, prefix) = match (parts.next()?, parts.next()) {
            ("", None) => return None,
            (name, None) => ("default", name),
            (namespace, Some(name)) => (namespace, name),
        };
        Some(Self { namespace: namespace.to_owned(), prefix: prefix.to_owned() })
    }

    fn matches(&self, namespace: &str, name: &str) -> bool {
        (self.namespace.is_empty() || self.namespace == namespace) && name.starts_with(&self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_exact_and_names_are_prefixes() {
        let table = [
            ("shop/fr", "shop", "front", true),
            ("shop/fr", "shop2", "front", false),
            ("shop/fr", "shop", "afront", false),
            ("fr", "default", "front", true),
            ("fr", "shop", "front", false),
            ("shop/", "shop", "front", true),
            ("shop/", "shop", "", true),
            ("shop/", "other", "front", false),
            ("/fr", "shop", "front", true),
            ("/fr", "", "front", true),
            ("/", "", "front", true),
            ("/", "shop", "", true),
            ("/", "", "", false),
            ("shop/fr/x", "shop", "front", true),
        ];
        for (filter, namespace, name, expected) in table {
            let names = NamePrefixes::compile(&[filter.to_owned()]).unwrap();
            assert_eq!(names.matches(namespace, name), expected, "{filter} on {namespace}/{name}");
        }
        assert!(NamePrefixes::compile(&[String::new()]).is_none());
    }
}
