//! Commands over our own service.

use crate::server::{Agent, Stub};
use crate::support::{Outcome, palomar};
use palomar_proto::palomar::v1::*;

async fn run(stub: &Stub, words: &[&str]) -> Outcome {
    let address = stub.serve().to_string();
    let outcome = palomar(&[words, &["--server", &address]].concat()).run_async().await;
    let shown = |text: String| text.replace(&address, "SERVER");
    Outcome { code: outcome.code, out: shown(outcome.out), err: shown(outcome.err) }
}

fn identity(number: u32, labels: &[&str], reserved: bool, pods: u32) -> Identity {
    Identity { identity: number, labels: labels.iter().map(ToString::to_string).collect(), reserved, pods }
}

fn attachment(kind: AttachKind, error: &str, first: bool) -> Attachment {
    Attachment { kind: kind.into(), attach_error: error.to_owned(), first_in_order: first }
}

fn loss() -> GetLossResponse {
    let counter = |source: &str, count| LossCounter { source: source.to_owned(), count };
    let stage = |stage: &str, taken, given, left_out, lost| StageCounts {
        stage: stage.to_owned(),
        taken,
        given,
        left_out,
        lost,
    };
    let at = |seconds| prost_types::Timestamp { seconds, nanos: 0 };
    let gap = |first: Option<i64>, cause: GapCause, flows| Gap {
        first: first.map(at),
        last: Some(at(1_772_600_761)),
        cause: cause.into(),
        flows,
    };
    GetLossResponse {
        counters: vec![counter("rate_limited", 1_000), counter("kernel_ring", 0), counter("decode\u{7}", 24)],
        stages: vec![
            stage(
                "kernel",
                13_345,
                12_345,
                0,
                vec![counter("rate_limited", 1_000), counter("kernel_ring", 0)],
            ),
            stage("enricher", 12_345, 12_300, 0, vec![counter("decode\u{7}", 23), counter("other", 1)]),
            stage("queries", 24_600, 600, 24_000, vec![counter("reader_overtaken", 0)]),
        ],
        gaps: vec![
            gap(None, GapCause::Unreadable, None),
            gap(Some(1_772_600_700), GapCause::Unreadable, Some(1_200)),
            gap(Some(1_772_600_720), GapCause::NotSaved, None),
            gap(Some(1_772_600_730), GapCause::NothingRan, None),
            gap(Some(1_772_600_740), GapCause::Replaced, None),
        ],
    }
}

fn agent() -> Stub {
    let status = GetAgentStatusResponse {
        instance: "4026531840".to_owned(),
        node_name: "k1".to_owned(),
        version: "0.1.0".to_owned(),
        mode: PolicyMode::Audit.into(),
        cluster_source: ClusterSource::Manifests.into(),
        attach: AttachKind::Tcx.into(),
        endpoints: 3,
        kernel_map_bytes: 40 << 20,
        conntrack_midstream_misses: 1_234,
        foreign_drops: ForeignDrops::Unavailable.into(),
        foreign_drops_error: "no types\x1b[2J of the kernel".to_owned(),
        refused_manifests: vec![
            RefusedManifest {
                file: "web.yaml".to_owned(),
                line: 7,
                field: "spec.ingress[0].ports[1].port".to_owned(),
                reason: "no number\x1b[2J from 1 to 65535".to_owned(),
            },
            RefusedManifest {
                file: "web.yaml".to_owned(),
                line: 9,
                field: "spec.egress".to_owned(),
                reason: "must be a list".to_owned(),
            },
            RefusedManifest {
                file: "gone.yaml".to_owned(),
                reason: "cannot be read".to_owned(),
                ..Default::default()
            },
        ],
    };
    let web = Endpoint {
        id: 7,
        is_pod: true,
        namespace: "shop".to_owned(),
        pod_name: "web".to_owned(),
        identity: 60_437,
        labels: vec!["k8s:app=web".to_owned()],
        addresses: vec!["10.0.1.7".to_owned(), "fd00::7".to_owned()],
        ifindex: 12,
        interface: "veth7".to_owned(),
        ingress: Some(attachment(AttachKind::Tcx, "", true)),
        egress: Some(attachment(AttachKind::Tcx, "", false)),
        ingress_isolated: true,
        egress_isolated: false,
        ingress_policies: vec!["allow-front".to_owned()],
        egress_policies: Vec::new(),
        mode: PolicyMode::Enforce.into(),
        policy_revision: 3,
        ingress_verdicts: Some(VerdictCounts {
            allowed: 1_000,
            denied: 20,
            unattributed: 4,
            policies: vec![PolicyHits {
                policy: "allow-front".to_owned(),
                rules: vec![RuleHits { rule: 2, connections: 996 }],
                denied: 20,
            }],
        }),
        egress_verdicts: Some(VerdictCounts { allowed: 500, ..VerdictCounts::default() }),
        policy_set: 12,
    };
    let stray = Endpoint {
        id: 8,
        identity: 3,
        interface: "veth8".to_owned(),
        ingress: Some(attachment(AttachKind::Clsact, "", true)),
        egress: Some(attachment(AttachKind::Unspecified, "no room", false)),
        mode: PolicyMode::Audit.into(),
        ..Endpoint::default()
    };
    let unseen = UnseenPod {
        namespace: "kube-system".to_owned(),
        pod_name: "proxy".to_owned(),
        reason: UnseenReason::HostNetwork.into(),
        detail: String::new(),
    };
    let agent = Agent {
        status,
        loss: loss(),
        identities: vec![
            identity(2, &["reserved:world"], true, 0),
            identity(60_437, &["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"], false, 1),
        ],
        endpoints: ListEndpointsResponse {
            endpoints: vec![web, stray],
            unseen_pods: vec![unseen],
            verdicts_since: Some(prost_types::Timestamp { seconds: 1_772_600_000, nanos: 0 }),
        },
        ..Agent::default()
    };
    Stub { agent: Some(agent), ..Stub::default() }
}

#[tokio::test]
async fn status_tells_of_the_agent_and_its_losses() {
    let outcome = run(&agent(), &["status"]).await;
    let wanted = "\
Healthcheck (via SERVER): Ok
Current/Max Flows: 0/0
Flows/s: N/A
Agent: Palomar 0.1.0 on node k1, instance 4026531840
Policy: audit, with objects from manifests
Endpoints: 3, attached with tcx
Kernel: 40.0 MiB of maps, 1,234 packets of unknown connections
Drops by Others: cannot be told: no types^[[2J of the kernel
Refused Manifests: 2 (3 mistakes)
  - web.yaml:7: spec.ingress[0].ports[1].port: no number^[[2J from 1 to 65535
  - web.yaml:9: spec.egress: must be a list
  - gone.yaml: cannot be read
Lost Events: 1,024
  STAGE      IN       OUT      FILTERED   LOST
  kernel     13,345   12,345   0          1,000 rate_limited
  enricher   12,345   12,300   0          24: 23 decode\\x07, 1 other
  queries    24,600   600      24,000     0
Gaps: 5
  - until 2026-03-04T05:06:01Z: saved flows could not be read; what passed is not known
  - 2026-03-04T05:05:00Z to 2026-03-04T05:06:01Z: saved flows could not be read; up to 1,200 flows are missing
  - 2026-03-04T05:05:20Z to 2026-03-04T05:06:01Z: flows that an agent saw were not saved; what passed is not known
  - 2026-03-04T05:05:30Z to 2026-03-04T05:06:01Z: no agent and no programs; what passed is not known
  - 2026-03-04T05:05:40Z to 2026-03-04T05:06:01Z: the programs were replaced by those of another version; what passed is not known
";
    assert_eq!((outcome.out.as_str(), outcome.err.as_str(), outcome.code), (wanted, "", 0));
}

#[tokio::test]
async fn identities_are_found_by_number_and_by_name() {
    let table: [(&[&str], &str); 4] = [
        (&["identity", "get", "60437"], "60437\nk8s:app=web\nk8s:io.kubernetes.pod.namespace=shop\n"),
        (&["identity", "get", "world"], "2\nreserved:world\n"),
        (
            &["identity", "get", "2", "-o", "json"],
            "{\n  \"identity\": 2,\n  \"labels\": [\n    \"reserved:world\"\n  ],\n  \"reserved\": true,\n  \"pods\": 0\n}\n",
        ),
        (
            &["identity", "list"],
            "\
IDENTITY   NAME    PODS   LABELS
2          world   0      reserved:world
60437      -       1      k8s:app=web,k8s:io.kubernetes.pod.namespace=shop
",
        ),
    ];
    for (words, wanted) in table {
        let outcome = run(&agent(), words).await;
        assert_eq!((outcome.out.as_str(), outcome.err.as_str(), outcome.code), (wanted, "", 0), "{words:?}");
    }
}

#[tokio::test]
async fn endpoints_are_listed_with_what_cannot_be_seen() {
    let outcome = run(&agent(), &["endpoint", "list"]).await;
    let wanted = "\
ENDPOINT   POD        IDENTITY        INTERFACE   INGRESS   EGRESS            ISOLATED   MODE      ALLOWED   DENIED   ADDRESSES
7          shop/web   60437           veth7       tcx       tcx (not first)   ingress    enforce   1,500     20       10.0.1.7,fd00::7
8          -          3 (unmanaged)   veth8       clsact    error: no room    -          audit     -         -        -

NOT SEEN            WHY            DETAIL
kube-system/proxy   host network   -
";
    assert_eq!((outcome.out.as_str(), outcome.err.as_str(), outcome.code), (wanted, "", 0));
    let json = run(&agent(), &["endpoint", "list", "-o", "json"]).await.out;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["endpoints"][0]["ingress_policies"][0], "allow-front");
    assert_eq!(value["endpoints"][1]["egress"]["attach_error"], "no room");
    assert_eq!(value["unseen_pods"][0]["reason"], "host network");
    assert_eq!(value["verdicts_since"], "2026-03-04T04:53:20Z");
    assert_eq!(
        value["endpoints"][0]["ingress_verdicts"],
        serde_json::json!({
            "allowed": 1_000, "denied": 20, "unattributed": 4,
            "policies": [
                { "policy": "allow-front", "rules": [{ "rule": 2, "allowed": 996 }], "denied": 20 },
            ],
        })
    );
    assert_eq!(value["endpoints"][1]["ingress_verdicts"], serde_json::Value::Null);
}

#[tokio::test]
async fn what_cannot_be_answered_is_an_error_that_says_why() {
    let table: [(Stub, &[&str], &str); 7] = [
        (agent(), &["identity", "get", "5"], "no identity 5 is known to the agent at SERVER"),
        (
            agent(),
            &["identity", "get", "nope"],
            "\"nope\": invalid security identity, expected one of [host world unmanaged health init remote-node \
             kube-apiserver ingress world-ipv4 world-ipv6 11] or a numeric value",
        ),
        (agent(), &["identity", "get"], "missing argument: an identity, as a number or a reserved name"),
        (agent(), &["identity", "get", "1", "2"], "unexpected argument \"2\""),
        (
            agent(),
            &["identity", "list", "-o", "yaml"],
            "unknown output format: yaml; choose from: table, json",
        ),
        (Stub::default(), &["identity", "list"], "the server at SERVER is no Palomar agent, it cannot tell"),
        (Stub::default(), &["endpoint", "list"], "the server at SERVER is no Palomar agent, it cannot tell"),
    ];
    for (stub, words, wanted) in table {
        let outcome = run(&stub, words).await;
        assert_eq!(
            (outcome.out.as_str(), outcome.err.trim_end(), outcome.code),
            ("", wanted, 1),
            "{words:?}"
        );
    }
}
