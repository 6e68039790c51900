//! Which objects are ours, by `apiVersion` and `kind`.

use crate::error::quoted;
use crate::key::Kind;
use crate::suggest::nearest;
use crate::syntax;

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Class {
    /// An object that Palomar reads.
    Ours(Kind),
    /// A list: of this kind, or of objects that say their own.
    List(Option<Kind>),
    /// Another object, e.g. `apps/v1 Deployment`.
    Ignored(String),
}

/// A field that cannot be meant as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) field: &'static str,
    pub(crate) reason: String,
}

/// Sorts a document. A kind of ours under somebody else's API group is another kind (Knative's `Service`, Calico's
/// `NetworkPolicy`); under one of Kubernetes' own it is a mistake, and so is a kind that reads like a slip of ours.
pub(crate) fn classify(api_version: &str, kind: &str) -> Result<Class, Misfit> {
    let ignored = || Class::Ignored(format!("{api_version} {kind}"));
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if syntax::kind(kind).is_err() || api_version.len() > 253 {
        return Err(Misfit { field: "kind", reason: format!("{} is not a kind", quoted(kind)) });
    }
    if kind == "List" && group.is_empty() {
        return Ok(Class::List(None));
    }
    let item = kind.strip_suffix("List").unwrap_or(kind);
    let Some(ours) = Kind::from_name(item) else {
        let is_list_of_others = kind != item;
        return match near_kind(kind) {
            Some(meant)
                if !is_list_of_others && matches!(group, "" | "networking.k8s.io" | "discovery.k8s.io") =>
            {
                Err(Misfit { field: "kind", reason: format!("unknown kind; did you mean {meant}?") })
            }
            _ => Ok(ignored()),
        };
    };
    if api_version == ours.api_version() {
        return Ok(if kind == item { Class::Ours(ours) } else { Class::List(Some(ours)) });
    }
    if is_foreign(group) {
        return Ok(ignored());
    }
    let reason = format!("{} has no {kind}; write {}", quoted(api_version), ours.api_version());
    Err(Misfit { field: "apiVersion", reason })
}

fn near_kind(kind: &str) -> Option<&'static str> {
    nearest(kind, &Kind::ALL.map(Kind::name))
}

/// Whether an API group is neither Kubernetes' own nor a slip of one of ours.
fn is_foreign(group: &str) -> bool {
    group.contains('.')
        && group != "k8s.io"
        && !group.ends_with(".k8s.io")
        && nearest(group, &["networking.k8s.io", "discovery.k8s.io"]).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_sorted_by_their_group() {
        let ignored = |text: &str| Ok(Class::Ignored(text.to_owned()));
        let table = [
            ("a pod", "v1", "Pod", Ok(Class::Ours(Kind::Pod))),
            ("a policy", "networking.k8s.io/v1", "NetworkPolicy", Ok(Class::Ours(Kind::NetworkPolicy))),
            ("a slice", "discovery.k8s.io/v1", "EndpointSlice", Ok(Class::Ours(Kind::EndpointSlice))),
            ("endpoints of the old kind", "v1", "Endpoints", ignored("v1 Endpoints")),
            ("a list of anything", "v1", "List", Ok(Class::List(None))),
            ("a list of pods", "v1", "PodList", Ok(Class::List(Some(Kind::Pod)))),
            ("a deployment", "apps/v1", "Deployment", ignored("apps/v1 Deployment")),
            ("a secret", "v1", "Secret", ignored("v1 Secret")),
            ("a list of secrets", "v1", "SecretList", ignored("v1 SecretList")),
            (
                "Knative's Service",
                "serving.knative.dev/v1",
                "Service",
                ignored("serving.knative.dev/v1 Service"),
            ),
            (
                "Calico's policy",
                "projectcalico.org/v3",
                "NetworkPolicy",
                ignored("projectcalico.org/v3 NetworkPolicy"),
            ),
            (
                "Cilium's policy",
                "cilium.io/v2",
                "CiliumNetworkPolicy",
                ignored("cilium.io/v2 CiliumNetworkPolicy"),
            ),
        ];
        for (name, api_version, kind, expected) in table {
            assert_eq!(classify(api_version, kind), expected, "{name}");
        }
    }

    #[test]
    fn what_can_only_be_a_slip_is_refused() {
        let table = [
            ("v1", "NetworkPolicy", "apiVersion", "\"v1\" has no NetworkPolicy; write networking.k8s.io/v1"),
            (
                "extensions/v1beta1",
                "NetworkPolicy",
                "apiVersion",
                "\"extensions/v1beta1\" has no NetworkPolicy; write networking.k8s.io/v1",
            ),
            (
                "networking.k8s.oi/v1",
                "NetworkPolicy",
                "apiVersion",
                "\"networking.k8s.oi/v1\" has no NetworkPolicy; write networking.k8s.io/v1",
            ),
            (
                "discovery.k8s.io/v1beta1",
                "EndpointSlice",
                "apiVersion",
                "\"discovery.k8s.io/v1beta1\" has no EndpointSlice; write discovery.k8s.io/v1",
            ),
            ("v2", "Pod", "apiVersion", "\"v2\" has no Pod; write v1"),
            ("v1", "pod", "kind", "unknown kind; did you mean Pod?"),
            ("networking.k8s.io/v1", "NetworkPolcy", "kind", "unknown kind; did you mean NetworkPolicy?"),
            ("v1", "a b", "kind", "\"a b\" is not a kind"),
        ];
        for (api_version, kind, field, reason) in table {
            assert_eq!(classify(api_version, kind), Err(Misfit { field, reason: reason.to_owned() }));
        }
    }
}
