//! What `palomar endpoint list -o json` tells, as far as the demo and the bench wait for it.

use anyhow::Context as _;
use serde::Deserialize;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Endpoint {
    namespace: String,
    pod_name: String,
    ingress: Option<Attachment>,
    egress: Option<Attachment>,
    /// Its addresses as text.
    pub addresses: Vec<String>,
    /// Whether a policy isolates it for packets to it.
    pub ingress_isolated: bool,
    /// The policies that do.
    pub ingress_policies: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Attachment {
    attach_error: String,
}

#[derive(Debug, Deserialize)]
struct List {
    endpoints: Vec<Endpoint>,
}

// === impl Endpoint ===

impl Endpoint {
    /// Whether it is this pod, as `namespace/name`.
    pub fn is(&self, pod: &str) -> bool {
        pod.split_once('/') == Some((&self.namespace, &self.pod_name))
    }

    /// Whether its packets are seen in both directions.
    pub fn is_watched(&self) -> bool {
        let works =
            |attachment: &Option<Attachment>| attachment.as_ref().is_some_and(|a| a.attach_error.is_empty());
        works(&self.ingress) && works(&self.egress)
    }
}

/// Reads the list.
pub fn parse(json: &str) -> anyhow::Result<Vec<Endpoint>> {
    let list: List =
        serde_json::from_str(json).with_context(|| format!("not a list of endpoints: {json}"))?;
    Ok(list.endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ingress: &str, egress: &str) -> String {
        format!(
            r#"{{"endpoints":[{{"id":3,"namespace":"a","pod_name":"web","ingress":{ingress},"egress":{egress},
            "addresses":["10.0.0.1"],"ingress_isolated":true,"ingress_policies":["p"]}}],"unseen_pods":[]}}"#
        )
    }

    #[test]
    fn an_endpoint_is_watched_when_both_directions_are() {
        let works = r#"{"kind":"tcx","attach_error":"","first_in_order":true}"#;
        let fails = r#"{"kind":"tcx","attach_error":"no","first_in_order":false}"#;
        for (ingress, egress, watched) in
            [(works, works, true), (works, fails, false), ("null", works, false)]
        {
            let endpoints = parse(&list(ingress, egress)).unwrap();
            assert_eq!(endpoints[0].is_watched(), watched, "{ingress} {egress}");
            assert!(endpoints[0].is("a/web") && !endpoints[0].is("a/we") && !endpoints[0].is("web"));
        }
        assert!(parse("{}").is_err() && parse("").is_err());
    }
}
