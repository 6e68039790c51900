//! Draft → policy: Kubernetes' own rules of what is valid, its defaults filled in, and errors that name the field.

mod block;
mod invalid;
mod label_syntax;
mod peer;
mod port;
mod selector;

use palomar_model::netpol::{NetworkPolicy, Rule};

use crate::draft::{EgressDraft, IngressDraft, NetworkPolicyDraft, PeerDraft, PortDraft, SpecDraft};

pub use invalid::{FieldPath, InvalidPolicy, Reason, Segment};

/// What is valid of a part, or what is wrong with it.
type Checked<T> = Result<T, InvalidPolicy>;

impl NetworkPolicyDraft {
    /// The policy, with Kubernetes' defaults; or the first error, in the order of the fields. Rules of a direction
    /// that `policyTypes` leaves out are checked and then dropped, as Kubernetes does.
    pub fn validate(self) -> Result<NetworkPolicy, InvalidPolicy> {
        let Self { name, spec } = self;
        let path = FieldPath::root("spec");
        let Some(SpecDraft { pod_selector, policy_types, ingress, egress }) = spec else {
            return Err(path.reject(Reason::Missing));
        };
        let at = path.key("podSelector");
        let Some(pod_selector) = pod_selector else {
            return Err(at.reject(Reason::MissingPodSelector));
        };
        let pod_selector = selector::validate(pod_selector, &at)?;
        let types = types(policy_types.unwrap_or_default(), egress.as_deref(), &path.key("policyTypes"))?;
        let ingress =
            rules(ingress, &path.key("ingress"), |IngressDraft { from, ports }| ("from", from, ports))?;
        let egress = rules(egress, &path.key("egress"), |EgressDraft { to, ports }| ("to", to, ports))?;
        Ok(NetworkPolicy {
            name,
            pod_selector,
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
fn types(written: Vec<String>, egress: Option<&[EgressDraft]>, path: &FieldPath) -> Checked<Types> {
    if written.is_empty() {
        return Ok(Types { ingress: true, egress: egress.is_some_and(|rules| !rules.is_empty()) });
    }
    if written.len() > 2 {
        return Err(path.reject(Reason::TooManyPolicyTypes { count: written.len() }));
    }
    let mut types = Types { ingress: false, egress: false };
    for (index, written) in written.into_iter().enumerate() {
        match written.as_str() {
            "Ingress" => types.ingress = true,
            "Egress" => types.egress = true,
            _ => return Err(path.index(index).reject(Reason::UnknownPolicyType { written })),
        }
    }
    Ok(types)
}

fn rules<D>(
    drafts: Option<Vec<D>>,
    path: &FieldPath,
    split: impl Fn(D) -> (&'static str, Option<Vec<PeerDraft>>, Option<Vec<PortDraft>>),
) -> Checked<Vec<Rule>> {
    each(drafts, path, |draft, path| {
        let (side, peers, ports) = split(draft);
        Ok(Rule {
            peers: each(peers, &path.key(side), peer::validate)?,
            ports: each(ports, &path.key("ports"), port::validate)?,
        })
    })
}

/// Checks every item of a list; absent is empty.
fn each<D, T>(
    drafts: Option<Vec<D>>,
    path: &FieldPath,
    check: impl Fn(D, &FieldPath) -> Checked<T>,
) -> Checked<Vec<T>> {
    let drafts = drafts.unwrap_or_default().into_iter().enumerate();
    drafts.map(|(index, draft)| check(draft, &path.index(index))).collect()
}
