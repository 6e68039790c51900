//! How long `policy simulate --input-file` takes over 1,000,000 flows with 200 policies and 1,000 pods, from lines of
//! JSON to the report, on one thread; time on the processor. Ends and ports are at random: most questions are asked a
//! few times only, and clients' ports hardly repeat. Pods look the same each time, as an agent records them; and, for
//! the worst case, with other labels in each flow. Lines are as an agent writes them, and as other programs do.

mod shared;

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use chrono::Utc;
use palomar_cli::{Surroundings, run};
use palomar_flow::json;
use palomar_proto::flow::{Endpoint, Ip, Layer4, Tcp, TcpFlags, layer4};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use serde_json::Value;
use shared::{Counted, FLOWS, fixture, timed};
use tokio::runtime;

const POLICIES: u32 = 200;
const PODS: u32 = 1_000;
const NAMESPACES: u32 = 20;
/// Distinct lines, and how often they come.
const LINES: u32 = 100_000;
const REPEATED: u32 = 10;
const GOAL_SECONDS: u32 = 5;

/// A text again and again.
struct Again<'a> {
    text: &'a [u8],
    at: usize,
    left: u32,
}

impl Read for Again<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut part = self.fill_buf()?;
        let read = part.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Again<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.text.len() && self.left > 0 {
            (self.at, self.left) = (0, self.left - 1);
        }
        Ok(&self.text[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

/// Pods with labels `app` (50 values) and `tier` (3).
fn pods() -> String {
    let mut yaml = String::new();
    for number in 0..PODS {
        let (namespace, app, tier) = (number % NAMESPACES, number % 50, number % 3);
        writeln!(
            yaml,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: pod{number}, namespace: ns{namespace}, labels: \
             {{app: app{app}, tier: tier{tier}}}}}\nspec: {{containers: [{{ports: [{{name: http, containerPort: \
             8080}}]}}]}}\nstatus: {{podIP: {}}}",
            address(number)
        )
        .expect("a String takes everything");
    }
    yaml
}

/// Policies of the numbers in `range`, which let in what has one of the tiers from `tier` on.
fn policies(range: std::ops::Range<u32>, tier: u32) -> String {
    let mut yaml = String::new();
    for number in range {
        writeln!(
            yaml,
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{number}, namespace: \
             ns{}}}\nspec:\n  podSelector: {{matchLabels: {{app: app{}}}}}\n  policyTypes: [Ingress, Egress]\n  \
             ingress:\n  - from: [{{namespaceSelector: {{}}, podSelector: {{matchLabels: {{tier: tier{}}}}}}}]\n    \
             ports: [{{port: http}}, {{port: 8000, endPort: 8009}}]\n  - from: [{{ipBlock: {{cidr: 10.0.0.0/14}}}}]\n  \
             egress:\n  - to: [{{namespaceSelector: {{}}}}]\n",
            number % NAMESPACES,
            number % 50,
            (number + tier) % 3,
        )
        .expect("a String takes everything");
    }
    yaml
}

fn address(pod: u32) -> String {
    format!("10.{}.{}.{}", pod / 100, pod % 100, 1)
}

/// How a pod looks in a flow.
#[derive(Debug, Clone, Copy)]
enum Looks {
    /// As in its other flows.
    Same,
    /// As an end of the flow's model in the fixture.
    Other,
}

/// How lines are written.
#[derive(Debug, Clone, Copy)]
enum Written {
    /// As an agent writes them.
    Usually,
    /// With their fields sorted by name, as other programs do.
    Sorted,
    /// The same with blanks between the words.
    Spaced,
    /// With the fields of the flow in an order of each line's own.
    Shuffled,
}

impl Written {
    fn write(self, line: &str, mut random: impl FnMut(u32) -> u32) -> String {
        let sort = || {
            let mut value: Value = serde_json::from_str(line).expect("it was printed");
            value.sort_all_objects();
            value
        };
        match self {
            Self::Usually => line.to_owned(),
            Self::Sorted => sort().to_string(),
            Self::Spaced => sort().to_string().replace("\":", "\": ").replace(",\"", ", \""),
            Self::Shuffled => {
                let mut value = sort();
                if let Some(flow) = value["flow"].as_object_mut() {
                    let mut fields: Vec<_> = std::mem::take(flow).into_iter().collect();
                    while !fields.is_empty() {
                        let at = random(u32::try_from(fields.len()).expect("a few"));
                        flow.extend([fields.swap_remove(at as usize)]);
                    }
                }
                value.to_string()
            }
        }
    }
}

/// Flows between pods at random, in the dress of the fixture's flows.
fn lines(looks: Looks, written: Written) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(state % u64::from(below)).expect("less than a u32")
    };
    let fixture = fixture();
    let dress: Vec<GetFlowsResponse> = fixture
        .lines()
        .filter_map(|line| json::parse::<GetFlowsResponse>(line).ok())
        .map(|parsed| parsed.message)
        .collect();
    assert_eq!(u64::try_from(dress.len()).ok(), Some(FLOWS));
    let end = |mut end: Endpoint, pod: u32| {
        end.namespace = format!("ns{}", pod % NAMESPACES);
        end.pod_name = format!("pod{pod}");
        end.workloads.clear();
        end
    };
    let mut text = String::new();
    for at in 0..LINES {
        let mut response = dress[(at as usize) % dress.len()].clone();
        let Some(ResponseTypes::Flow(flow)) = &mut response.response_types else { continue };
        let (from, to) = (random(PODS), random(PODS));
        let [source, destination] = match looks {
            Looks::Same => [dress_of(from, &dress, true), dress_of(to, &dress, true)],
            Looks::Other => [dress_of(at, &dress, true), dress_of(at, &dress, false)],
        };
        flow.source = Some(end(source, from));
        flow.destination = Some(end(destination, to));
        let ip = Ip { source: address(from), destination: address(to), ..flow.ip.take().unwrap_or_default() };
        flow.ip = Some(ip);
        flow.is_reply = Some(false);
        let flags = Some(TcpFlags { syn: at % 4 == 0, ack: at % 4 != 0, ..TcpFlags::default() });
        let tcp = Tcp { source_port: 30_000 + random(30_000), destination_port: 8_000 + random(20), flags };
        flow.l4 = Some(Layer4 { protocol: Some(layer4::Protocol::Tcp(tcp)) });
        text.push_str(&written.write(&json::to_string(&response).expect("it prints"), &mut random));
        text.push('\n');
    }
    text
}

fn dress_of(at: u32, dress: &[GetFlowsResponse], is_source: bool) -> Endpoint {
    match &dress[(at as usize) % dress.len()].response_types {
        Some(ResponseTypes::Flow(flow)) if is_source => flow.source.clone().unwrap_or_default(),
        Some(ResponseTypes::Flow(flow)) => flow.destination.clone().unwrap_or_default(),
        _ => Endpoint::default(),
    }
}

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = |name: &str| directory.path().join(name).display().to_string();
    let (now, new) = (place("now.yaml"), place("new.yaml"));
    fs::write(&now, pods() + &policies(0..POLICIES, 1)).expect("a file");
    fs::write(&new, policies(0..POLICIES / 10, 2)).expect("a file");
    let words = ["policy", "simulate", "--manifests", &now, "-f", &new, "--input-file", "-", "-o", "json"];
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let cases = [
        ("pods that look the same each time", Looks::Same, Written::Usually),
        ("other labels each time", Looks::Other, Written::Usually),
        ("fields sorted by name", Looks::Same, Written::Sorted),
        ("fields sorted by name, other labels each time", Looks::Other, Written::Sorted),
        ("fields sorted by name, blanks between them", Looks::Same, Written::Spaced),
        ("fields in another order each time", Looks::Same, Written::Shuffled),
    ];
    for (case, looks, written) in cases {
        let lines = lines(looks, written);
        println!(
            "{} flows of {} bytes, {POLICIES} policies, {case}",
            LINES * REPEATED,
            lines.len() / LINES as usize
        );
        for _ in 0..3 {
            simulate(&words, &lines);
        }
    }
}

fn simulate(words: &[String], lines: &str) {
    let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
    let written = Cell::new(0);
    let time = timed(1, || {
        let mut input = Again { text: lines.as_bytes(), at: 0, left: REPEATED - 1 };
        let code = runtime.block_on(run(
            words,
            &mut Surroundings {
                input: &mut input,
                out: &mut Counted(Some(&written)),
                err: &mut Counted(None),
                out_is_terminal: false,
                directory: PathBuf::from("/nonexistent"),
                now: Utc::now(),
                variables: &|_| None,
            },
        ));
        assert_eq!(code, 3, "some of the flows would be denied");
    });
    println!("  {time:.2?} on the processor (goal: {GOAL_SECONDS} s), a report of {} bytes", written.get());
}
