//! A peer of a rule.

use palomar_model::netpol::Peer;

use super::{Checked, FieldPath, Reason, block, selector};
use crate::draft::{PeerDraft, SelectorDraft};

pub(super) fn validate(draft: PeerDraft, path: &FieldPath) -> Checked<Peer> {
    let PeerDraft { pod_selector, namespace_selector, ip_block } = draft;
    match (pod_selector, namespace_selector, ip_block) {
        (None, None, None) => Err(path.reject(Reason::EmptyPeer)),
        (None, None, Some(draft)) => Ok(Peer::Block(block::validate(draft, &path.key("ipBlock"))?)),
        (_, _, Some(_)) => Err(path.reject(Reason::BlockWithSelector)),
        (pods, namespaces, None) => {
            let check = |draft: Option<SelectorDraft>, field| {
                draft.map(|draft| selector::validate(draft, &path.key(field))).transpose()
            };
            let pods = check(pods, "podSelector")?;
            Ok(Peer::Pods { namespaces: check(namespaces, "namespaceSelector")?, pods })
        }
    }
}
