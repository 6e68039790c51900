//! An object's source as JSON, cut down to the fields that are read: what an agent keeps of it.
//!
//! Annotations, environment variables and the rest may hold secrets, and nobody needs them to read the object again.

use serde_json::{Map, Number};

use crate::key::Kind;
use crate::tree::{Node, Value};

/// Which parts of a tree stay. A list's items are each cut the same way.
#[derive(Debug, Clone, Copy)]
enum Keep {
    All,
    Fields(&'static [(&'static str, Keep)]),
}

const METADATA: (&str, Keep) = (
    "metadata",
    Keep::Fields(&[
        ("name", Keep::All),
        ("namespace", Keep::All),
        ("uid", Keep::All),
        ("labels", Keep::All),
        ("deletionTimestamp", Keep::All),
        (
            "ownerReferences",
            Keep::Fields(&[("kind", Keep::All), ("name", Keep::All), ("controller", Keep::All)]),
        ),
    ]),
);
const POD: Keep = Keep::Fields(&[
    METADATA,
    (
        "spec",
        Keep::Fields(&[
            ("serviceAccountName", Keep::All),
            ("serviceAccount", Keep::All),
            ("nodeName", Keep::All),
            ("hostNetwork", Keep::All),
            ("containers", CONTAINERS),
            ("initContainers", CONTAINERS),
        ]),
    ),
    (
        "status",
        Keep::Fields(&[
            ("phase", Keep::All),
            ("podIP", Keep::All),
            ("podIPs", Keep::All),
            ("conditions", Keep::Fields(&[("type", Keep::All), ("status", Keep::All)])),
        ]),
    ),
]);
const CONTAINERS: Keep = Keep::Fields(&[
    ("restartPolicy", Keep::All),
    ("ports", Keep::Fields(&[("name", Keep::All), ("protocol", Keep::All), ("containerPort", Keep::All)])),
]);
const SERVICE: Keep = Keep::Fields(&[
    METADATA,
    (
        "spec",
        Keep::Fields(&[
            ("clusterIP", Keep::All),
            ("clusterIPs", Keep::All),
            ("externalIPs", Keep::All),
            ("externalTrafficPolicy", Keep::All),
            ("internalTrafficPolicy", Keep::All),
            ("type", Keep::All),
            (
                "ports",
                Keep::Fields(&[
                    ("name", Keep::All),
                    ("protocol", Keep::All),
                    ("port", Keep::All),
                    ("targetPort", Keep::All),
                    ("nodePort", Keep::All),
                ]),
            ),
            ("selector", Keep::All),
            ("publishNotReadyAddresses", Keep::All),
        ]),
    ),
    (
        "status",
        Keep::Fields(&[(
            "loadBalancer",
            Keep::Fields(&[("ingress", Keep::Fields(&[("ip", Keep::All), ("ipMode", Keep::All)]))]),
        )]),
    ),
]);
const ENDPOINT_SLICE: Keep = Keep::Fields(&[
    METADATA,
    ("addressType", Keep::All),
    ("ports", Keep::Fields(&[("name", Keep::All), ("protocol", Keep::All), ("port", Keep::All)])),
    (
        "endpoints",
        Keep::Fields(&[("addresses", Keep::All), ("conditions", Keep::All), ("nodeName", Keep::All)]),
    ),
]);
const NODE: Keep = Keep::Fields(&[METADATA, ("status", Keep::Fields(&[("addresses", Keep::All)]))]);
const NAMESPACE: Keep = Keep::Fields(&[METADATA]);
const POLICY: Keep = Keep::Fields(&[METADATA, ("spec", Keep::All)]);

/// The JSON of an object, on one line.
pub(crate) fn source(kind: Kind, root: &Node) -> String {
    let keep = match kind {
        Kind::Namespace => NAMESPACE,
        Kind::Node => NODE,
        Kind::Pod => POD,
        Kind::Service => SERVICE,
        Kind::EndpointSlice => ENDPOINT_SLICE,
        Kind::NetworkPolicy => POLICY,
    };
    let mut json = Map::new();
    json.insert("apiVersion".to_owned(), kind.api_version().into());
    json.insert("kind".to_owned(), kind.name().into());
    if let serde_json::Value::Object(rest) = cut(root, keep) {
        json.extend(rest);
    }
    serde_json::Value::Object(json).to_string()
}

fn cut(node: &Node, keep: Keep) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => Number::from_f64(*number).map_or(serde_json::Value::Null, Into::into),
        Value::Str(text) => (&**text).into(),
        Value::Seq(items) => items.iter().map(|item| cut(item, keep)).collect(),
        Value::Map(entries) => {
            let kept = entries.iter().filter_map(|(key, node)| {
                let keep = match keep {
                    Keep::All => Keep::All,
                    Keep::Fields(fields) => fields.iter().find(|(name, _)| *name == &*key.text)?.1,
                };
                Some((key.text.to_string(), cut(node, keep)))
            });
            serde_json::Value::Object(kept.collect())
        }
    }
}
