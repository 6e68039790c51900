//! What policy comes to where nodes hide who connects to services: by `--masquerade-all`, or because an agent says so.
//! After a change that is meant, `PALOMAR_BLESS=1` writes the fixture anew.

use std::fs;

use palomar_manifest::parse;
use palomar_proto::palomar::v1 as own;
use palomar_proto::palomar::v1::OwnNode;
use prost_types::Timestamp;

use crate::server::{Agent, Stub};
use crate::simulate::{lines, syn};
use crate::support::{Outcome, assert_same, fixture_path, palomar};

/// A client that may connect to one of two pods behind a service.
const MANIFESTS: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: shop, labels: {app: client}}, spec: {}, status: {podIP: 10.1.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: good, namespace: shop, labels: {app: web, side: good}}, spec: {}, status: {podIP: 10.1.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: bad, namespace: shop, labels: {app: web, side: bad}}, spec: {}, status: {podIP: 10.1.0.3}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}}
---
";
const OUT: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {LABEL}}}]}]
";
const EXPLAIN: [&str; 8] =
    ["policy", "explain", "--from", "shop/client", "--to", "svc/shop/web", "--port", "80"];
/// What is said without it.
const WHICH: &str = "which endpoint behind service shop/web answers: 1 of 2 may be reached";

/// Words of a command and its input; what is in its answer, and the code, without the flag and with it.
type Row<'a> = (&'a [&'a str], &'a str, [&'a str; 2], [u8; 2]);

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = |label: &str| OUT.replace("LABEL", label);
        for (name, text) in [
            ("all.yaml", format!("{MANIFESTS}{}", text("app: web"))),
            ("one.yaml", format!("{MANIFESTS}{}", text("side: good"))),
            ("new.yaml", text("side: good")),
            (
                "expected.yaml",
                "- {from: shop/client, to: svc/shop/web, port: 80, expect: denied}\n".to_owned(),
            ),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn run(&self, words: &[&str], input: &str) -> Outcome {
        let outcome = palomar(words).input(input).run();
        Outcome { out: outcome.out.replace(&self.path(""), ""), ..outcome }
    }
}

#[test]
fn a_service_is_closed_to_a_pod_that_may_not_go_to_all_behind_it_and_the_other_one_is_named() {
    let files = Files::new();
    let one = files.path("one.yaml");
    let words = [&EXPLAIN[..], &["--manifests", &one]].concat();
    let without = files.run(&words, "");
    assert!(without.out.contains("TCP 80: undecidable\n") && without.out.contains(WHICH), "{}", without.out);
    let with = files.run(&[&words[..], &["--masquerade-all"]].concat(), "");
    let path = fixture_path("policy").join("masquerade-all.txt");
    if std::env::var_os("PALOMAR_BLESS").is_some() {
        fs::write(&path, &with.out).unwrap();
    }
    assert_same("masquerade-all.txt", &with.out, &fs::read_to_string(&path).unwrap());
    let json = files.run(&[&words[..], &["--masquerade-all", "-o", "json"]].concat(), "").out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["verdict"], &json["egress"]["by"][0]["name"]), (&"denied".into(), &"out".into()));
    let closed_by: Vec<_> =
        json["paths"].as_array().unwrap().iter().map(|path| &path["closed_by"]["name"]).collect();
    assert_eq!(closed_by, [&"shop/bad".into(), &serde_json::Value::Null].map(|name| name), "{json}");
}

#[test]
fn probes_expectations_and_simulations_know_it_as_well() {
    let files = Files::new();
    let [all, one, new, expected] =
        ["all.yaml", "one.yaml", "new.yaml", "expected.yaml"].map(|name| files.path(name));
    let probe = "{\"from\":\"shop/client\",\"to\":\"10.96.0.1\",\"port\":80}\n";
    let flow = lines(&[syn(("shop/client", "10.1.0.1"), ("2", "10.96.0.1"), 40_000, 80)]);
    let table: [Row<'_>; 3] = [
        (
            &["policy", "explain", "--probes", "-", "--manifests", &one],
            probe,
            ["\"verdict\":\"undecidable\"", "\"verdict\":\"denied\",\"ingress\""],
            [0, 0],
        ),
        (&["policy", "test", &expected, "--manifests", &one], "", ["FAIL", "ok "], [3, 0]),
        (
            &["policy", "simulate", "--input-file", "-", "-f", &new, "--manifests", &all],
            &flow,
            [WHICH, "denied"],
            [0, 3],
        ),
    ];
    for (words, input, expected, codes) in table {
        for (flags, expected, code) in
            [(&[][..], expected[0], codes[0]), (&["--masquerade-all"][..], expected[1], codes[1])]
        {
            let outcome = files.run(&[words, flags].concat(), input);
            assert_eq!(outcome.code, code, "{words:?} {flags:?}: {}{}", outcome.out, outcome.err);
            assert!(outcome.out.contains(expected), "{words:?} {flags:?}: {}", outcome.out);
        }
    }
}

#[tokio::test]
async fn an_agent_says_itself_whether_its_node_does() {
    let files = Files::new();
    let text = fs::read_to_string(files.path("one.yaml")).unwrap();
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let objects = parse("one.yaml", &text).objects.into_iter().map(|object| own::ClusterObject {
        in_force_since: at(1),
        json: object.source,
        file: "one.yaml".to_owned(),
        line: object.line,
    });
    let objects: Vec<_> = objects.collect();
    for (masquerades_all, expected) in [(false, "TCP 80: undecidable\n"), (true, "TCP 80: denied\n")] {
        let node = OwnNode { name: "n1".to_owned(), addresses: Vec::new(), masquerades_all };
        let totals = own::ObjectTotals { objects: 6, known_since: at(1), as_of: at(2) };
        let answer = own::ListObjectsResponse {
            objects: objects.clone(),
            totals: Some(totals),
            node: Some(node),
            ..own::ListObjectsResponse::default()
        };
        let agent = Agent {
            objects: std::sync::Arc::new(std::sync::Mutex::new(vec![vec![answer]])),
            ..Agent::default()
        };
        let server = Stub { agent: Some(agent), ..Stub::default() }.serve().to_string();
        let outcome = palomar(&[&EXPLAIN[..], &["--server", &server]].concat()).run_async().await;
        assert!(outcome.out.contains(expected), "{}{}", outcome.out, outcome.err);
        let flagged = [&EXPLAIN[..], &["--server", &server, "--masquerade-all"]].concat();
        let outcome = palomar(&flagged).run_async().await;
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
        assert!(outcome.err.contains("--masquerade-all goes with --manifests"), "{}", outcome.err);
    }
}
