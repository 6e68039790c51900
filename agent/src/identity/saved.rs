//! The numbers on disk.

use std::io;
use std::path::Path;
use std::sync::Arc;

use palomar_model::labels::{Label, LabelSet, Labels};
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPort;
use palomar_model::shared_map::SharedMap;
use serde::{Deserialize, Serialize};

use super::numbers::{Numbers, Slot, UnixSeconds};
use super::{PodFacts, Registry};
use crate::durable::{self, Loaded};

const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: u32,
    identities: Vec<SavedIdentity>,
    internal: Vec<SavedInternal>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedIdentity {
    number: u32,
    /// Keys and values; a key may stand there twice. All are labels of Kubernetes (source `k8s`).
    labels: Vec<(String, String)>,
    unused_since: Option<UnixSeconds>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedInternal {
    id: u32,
    namespace: String,
    namespace_labels: Labels,
    service_account: String,
    pod_labels: Labels,
    /// Name, IP protocol and number; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    named_ports: Vec<(String, u8, u16)>,
    unused_since: Option<UnixSeconds>,
}

type AllNumbers = (Numbers<LabelSet>, Numbers<PodFacts>);

pub(super) fn load(path: &Path) -> io::Result<Loaded<AllNumbers>> {
    durable::load(path, decode)
}

pub(super) fn encode(
    shown: &SharedMap<u32, Slot<LabelSet>>,
    internal: &SharedMap<u32, Slot<PodFacts>>,
) -> Vec<u8> {
    let identities = shown.iter().map(|(number, slot)| SavedIdentity {
        number: *number,
        labels: slot.key.iter().map(|Label { source: _, key, value }| (key.clone(), value.clone())).collect(),
        unused_since: slot.unused_since,
    });
    let internal = internal.iter().map(|(id, slot)| {
        let PodFacts { namespace, namespace_labels, service_account, pod_labels, named_ports } = &slot.key;
        let ports = named_ports.iter().map(|port| (port.name.clone(), port.protocol.number(), port.number));
        SavedInternal {
            id: *id,
            namespace: namespace.to_string(),
            namespace_labels: namespace_labels.as_ref().clone(),
            service_account: service_account.to_string(),
            pod_labels: pod_labels.as_ref().clone(),
            named_ports: ports.collect(),
            unused_since: slot.unused_since,
        }
    });
    let saved = Saved { format: FORMAT, identities: identities.collect(), internal: internal.collect() };
    serde_json::to_vec(&saved).expect("invariant: numbers and strings always make JSON")
}

fn decode(bytes: &[u8]) -> Result<AllNumbers, String> {
    let saved: Saved = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let Saved { format, identities, internal: internals } = saved;
    if format != FORMAT {
        return Err(format!("format {format} is not {FORMAT}"));
    }
    let (mut shown, mut internal) = Registry::no_numbers();
    for SavedIdentity { number, labels, unused_since } in identities {
        let labels = labels.into_iter().map(|(key, value)| Label::k8s(key, value)).collect();
        shown.restore(number, Slot { key: LabelSet::new(labels), unused_since })?;
    }
    for saved in internals {
        let SavedInternal {
            id,
            namespace,
            namespace_labels,
            service_account,
            pod_labels,
            named_ports,
            unused_since,
        } = saved;
        let ports = named_ports.into_iter().map(|(name, protocol, number)| NamedPort {
            name,
            protocol: Protocol::from_number(protocol),
            number,
        });
        let key = PodFacts {
            namespace: namespace.into(),
            namespace_labels: Arc::new(namespace_labels),
            service_account: service_account.into(),
            pod_labels: Arc::new(pod_labels),
            named_ports: ports.collect(),
        };
        internal.restore(id, Slot { key, unused_since })?;
    }
    Ok((shown, internal))
}
