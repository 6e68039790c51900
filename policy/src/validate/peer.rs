//! A peer of a rule.

use palomar_model::netpol::Peer;

use super::{Faults, FieldPath, Reason, block, selector};
use crate::draft::PeerDraft;

pub(super) fn validate(draft: PeerDraft, path: &FieldPath, faults: &mut Faults) -> Option<Peer> {
    let PeerDraft { pod_selector, namespace_selector, ip_block } = draft;
    if pod_selector.is_none() && namespace_selector.is_none() && ip_block.is_none() {
        return faults.reject(path, Reason::EmptyPeer);
    }
    if ip_block.is_some() && (pod_selector.is_some() || namespace_selector.is_some()) {
        faults.reject::<()>(path, Reason::BlockWithSelector);
    }
    let pods = pod_selector.map(|draft| selector::validate(draft, &path.key("podSelector"), faults));
    let at = path.key("namespaceSelector");
    let namespaces = namespace_selector.map(|draft| selector::validate(draft, &at, faults));
    match ip_block {
        Some(draft) => block::validate(draft, &path.key("ipBlock"), faults).map(Peer::Block),
        None => Some(Peer::Pods { namespaces, pods }),
    }
}
