//! Draft → policy: Kubernetes' own rules of what is valid, its defaults filled in, and errors that name the field.

mod block;
mod invalid;
mod label_syntax;
mod peer;
mod port;
mod selector;

use palomar_model::netpol::{NetworkPolicy, Rule};

use crate::draft::{EgressDraft, IngressDraft, NetworkPolicyDraft, PeerDraft, PortDraft, SpecDraft};

use invalid::Faults;
pub use invalid::{Fault, FieldPath, InvalidPolicy, Reason, Segment};

impl NetworkPolicyDraft {
    /// The policy, with Kubernetes' defaults; or everything that is wrong with it. Rules of a direction that `policyTypes`
    /// leaves out are checked and then dropped, as Kubernetes does.
    pub fn validate(self) -> Result<NetworkPolicy, InvalidPolicy> {
        let mut faults = Faults::default();
        match self.checked(&mut faults) {
            Some(policy) if faults.0.is_empty() => Ok(policy),
            _ => Err(InvalidPolicy { faults: faults.0 }),
        }
    }

    /// `None` only where a fault was noted.
    fn checked(self, faults: &mut Faults) -> Option<NetworkPolicy> {
        let Self { name, spec } = self;
        let path = FieldPath::root("spec");
        let Some(SpecDraft { pod_selector, policy_types, ingress, egress }) = spec else {
            return faults.reject(&path, Reason::Missing);
        };
        let at = path.key("podSelector");
        let pod_selector = match pod_selector {
            Some(draft) => Some(selector::validate(draft, &at, faults)),
            None => faults.reject(&at, Reason::MissingPodSelector),
        };
        let types =
            types(policy_types.unwrap_or_default(), egress.as_deref(), &path.key("policyTypes"), faults);
        let split = |IngressDraft { from, ports }| ("from", from, ports);
        let ingress = rules(ingress, &path.key("ingress"), faults, split);
        let split = |EgressDraft { to, ports }| ("to", to, ports);
        let egress = rules(egress, &path.key("egress"), faults, split);
        Some(NetworkPolicy {
            name,
            pod_selector: pod_selector?,
            ingress: types.ingress.then_some(ingress),
            egress: types.egress.then_some(egress),
        })
    }
}

/// Which directions a policy isolates.
struct Types {
    ingress: bool,
    egress: bool,
}

/// An empty `egress` list counts as none, as in the API server's defaults.
fn types(
    written: Vec<String>,
    egress: Option<&[EgressDraft]>,
    path: &FieldPath,
    faults: &mut Faults,
) -> Types {
    if written.is_empty() {
        return Types { ingress: true, egress: egress.is_some_and(|rules| !rules.is_empty()) };
    }
    if written.len() > 2 {
        faults.reject::<()>(path, Reason::TooManyPolicyTypes { count: written.len() });
    }
    let mut types = Types { ingress: false, egress: false };
    for (index, written) in written.into_iter().enumerate() {
        match written.as_str() {
            "Ingress" => types.ingress = true,
            "Egress" => types.egress = true,
            _ => drop(faults.reject::<()>(&path.index(index), Reason::UnknownPolicyType { written })),
        }
    }
    types
}

fn rules<D>(
    drafts: Option<Vec<D>>,
    path: &FieldPath,
    faults: &mut Faults,
    split: impl Fn(D) -> (&'static str, Option<Vec<PeerDraft>>, Option<Vec<PortDraft>>),
) -> Vec<Rule> {
    each(drafts, path, faults, |draft, path, faults| {
        let (side, peers, ports) = split(draft);
        Some(Rule {
            peers: each(peers, &path.key(side), faults, peer::validate),
            ports: each(ports, &path.key("ports"), faults, port::validate),
        })
    })
}

/// Checks every item of a list; absent is empty. What is left is what is good.
fn each<D, T>(
    drafts: Option<Vec<D>>,
    path: &FieldPath,
    faults: &mut Faults,
    check: impl Fn(D, &FieldPath, &mut Faults) -> Option<T>,
) -> Vec<T> {
    let drafts = drafts.unwrap_or_default().into_iter().enumerate();
    drafts.filter_map(|(index, draft)| check(draft, &path.index(index), faults)).collect()
}
