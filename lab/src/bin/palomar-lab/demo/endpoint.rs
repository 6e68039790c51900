//! What `palomar endpoint list -o json` tells, as far as the story waits for it.

use anyhow::Context as _;
use serde::Deserialize;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Endpoint {
    #[serde(default)]
    namespace: String,
    #[serde(default, alias = "podName")]
    pod_name: String,
    /// Its addresses as text.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Whether a policy isolates it for packets to it.
    #[serde(default, alias = "ingressIsolated")]
    pub ingress_isolated: bool,
    /// The policies that do.
    #[serde(default, alias = "ingressPolicies")]
    pub ingress_policies: Vec<String>,
}

/// A list, bare or as the answer that holds it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum List {
    Bare(Vec<Endpoint>),
    Answer {
        #[serde(default)]
        endpoints: Vec<Endpoint>,
    },
}

// === impl Endpoint ===

impl Endpoint {
    /// Whether it is this pod, as `namespace/name`.
    pub fn is(&self, pod: &str) -> bool {
        pod.split_once('/') == Some((&self.namespace, &self.pod_name))
    }
}

/// Reads the list.
pub fn parse(json: &str) -> anyhow::Result<Vec<Endpoint>> {
    match serde_json::from_str(json).with_context(|| format!("not a list of endpoints: {json}"))? {
        List::Bare(endpoints) | List::Answer { endpoints } => Ok(endpoints),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_bare_and_wrapped_in_either_case_of_names() {
        let camel = r#"{"endpoints":[{"id":3,"namespace":"a","podName":"web","ingressIsolated":true,"ingressPolicies":["p"]}]}"#;
        let snake =
            r#"[{"id":3,"namespace":"a","pod_name":"web","ingress_isolated":true,"ingress_policies":["p"]}]"#;
        for text in [camel, snake] {
            let list = parse(text).unwrap();
            assert!(list[0].is("a/web") && list[0].ingress_isolated, "{text}");
            assert_eq!(list[0].ingress_policies, ["p"]);
            assert!(!list[0].is("a/we") && !list[0].is("web"));
        }
        assert_eq!(parse("{}").unwrap(), []);
        assert!(parse("").is_err());
    }
}
