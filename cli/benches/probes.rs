//! How many probes a second `policy explain --probes` answers, from a line of JSON to a line of JSON: 200 policies over
//! 1,000 pods, spread over 20 namespaces and all in one, where some forty policies judge each pod; ends and ports at
//! random, so that hardly a probe repeats.

#[path = "shared/time.rs"]
mod time;

use std::fmt::Write;
use std::io;

use palomar_cli::policy::{Manifests, answer_all};
use time::timed;

const POLICIES: u32 = 200;
const PODS: u32 = 1000;
const PROBES: u32 = 100_000;
const ROUNDS: usize = 5;
const GOAL: u32 = 200_000;

/// A cluster as YAML: labels `app` (50 values) and `tier` (3), policies that select by either or everything, with
/// selectors, ports by number and name, ranges and ipBlocks.
fn cluster(namespaces: u32) -> String {
    let mut yaml = String::new();
    for number in 0..PODS {
        let (namespace, app, tier) = (number % namespaces, number % 50, number % 3);
        writeln!(
            yaml,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: pod{number}, namespace: ns{namespace}, labels: \
             {{app: app{app}, tier: tier{tier}}}}}\nspec: {{containers: [{{ports: [{{name: http, containerPort: \
             {}}}]}}]}}\nstatus: {{podIP: 10.{}.{}.1}}",
            8000 + number % 10,
            number / 250,
            number % 250,
        )
        .expect("a String takes everything");
    }
    for number in 0..POLICIES {
        let namespace = number % namespaces;
        let selector = match number % 10 {
            0 => "{}".to_owned(),
            1..=3 => format!("{{matchLabels: {{tier: tier{}}}}}", number % 3),
            _ => format!("{{matchLabels: {{app: app{}}}}}", number % 50),
        };
        writeln!(
            yaml,
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{number}, namespace: \
             ns{namespace}}}\nspec:\n  podSelector: {selector}\n  policyTypes: [Ingress, Egress]\n  ingress:\n  - from: \
             [{{podSelector: {{matchLabels: {{tier: tier{tier}}}}}}}, {{namespaceSelector: {{matchLabels: \
             {{kubernetes.io/metadata.name: ns{other}}}}}}}]\n    ports: [{{port: http}}, {{port: {port}}}]\n  - from: \
             [{{ipBlock: {{cidr: 10.0.0.0/9, except: [10.1.0.0/16]}}}}]\n    ports: [{{port: 9000, endPort: 9100}}]\n  \
             egress:\n  - to: [{{namespaceSelector: {{}}}}]\n    ports: [{{port: {port}}}, {{port: http}}]\n  - ports: \
             [{{port: 53, protocol: UDP}}]",
            tier = (number + 1) % 3,
            other = (number + 7) % namespaces,
            port = 8000 + number % 10,
        )
        .expect("a String takes everything");
    }
    yaml
}

/// Probes at random, the same ones each time.
fn probes(namespaces: u32) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(state % u64::from(below)).expect("less than a u32")
    };
    let mut text = String::new();
    for _ in 0..PROBES {
        let (from, to, port) = (random(PODS), random(PODS), 8000 + random(20));
        let (from_namespace, to_namespace) = (from % namespaces, to % namespaces);
        writeln!(
            text,
            "{{\"from\":\"ns{from_namespace}/pod{from}\",\"to\":\"ns{to_namespace}/pod{to}\",\"port\":{port},\
             \"protocol\":\"TCP\"}}"
        )
        .expect("a String takes everything");
    }
    text
}

/// Probes a second of time on the processor.
fn rate(manifests: &Manifests, probes: &str) -> f64 {
    let time = timed(1, || {
        let refused = answer_all(manifests, probes.as_bytes(), io::sink()).expect("a sink takes everything");
        assert_eq!(refused.count, 0, "every line is a probe");
    });
    f64::from(PROBES) / time.as_secs_f64()
}

fn main() {
    println!("{PROBES} probes, {POLICIES} policies, {PODS} pods (goal: {GOAL} a second on the processor)");
    for namespaces in [20, 1] {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("cluster.yaml");
        std::fs::write(&file, cluster(namespaces)).expect("a file");
        let manifests = Manifests::load(&[&file], &mut io::empty()).expect("good manifests");
        let probes = probes(namespaces);
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(&manifests, &probes)).collect();
        rates.sort_by(f64::total_cmp);
        let (least, middle, most) = (rates[0], rates[ROUNDS / 2], rates[ROUNDS - 1]);
        println!("  in {namespaces:>2} namespaces: {middle:.0} a second ({least:.0} to {most:.0})");
    }
}
