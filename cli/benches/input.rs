//! How quickly `observe --input-file` reads: each format without filters and with some, on one thread, through the same
//! code that the program runs. Times are those of the processor. Then, of the program itself, how much memory it has
//! had at most over a long input, and how long it takes to start.

#[path = "shared/formats.rs"]
mod formats;
mod shared;

use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use criterion::{Criterion, Throughput, criterion_group};
use formats::FORMATS;
use palomar_cli::{Surroundings, run};
use shared::{Counted, FLOWS, fixture, timed};
use tokio::runtime;

/// Filters of each kind: of an end by its name, by its labels, of the event, of the headers.
const FILTERS: [(&str, &[&str]); 5] = [
    ("no filter", &[]),
    ("--to-pod", &["--to-pod", "checkout/checkout-api"]),
    ("--from-label", &["--from-label", "k8s:app.kubernetes.io/name=coredns"]),
    ("--verdict", &["--verdict", "DROPPED"]),
    ("--port --protocol", &["--port", "53", "--protocol", "udp"]),
];

/// How often the flows of the fixture stand in the input of one round.
const REPEATED: usize = 4;

/// Flows that the program reads while its memory is looked at.
const MANY: u64 = 1_000_000;

/// Runs a command line over an input; gives the bytes written.
fn observe(input: &str, words: &[&str], legacy: bool) -> u64 {
    let written = Cell::new(0);
    let words: Vec<String> =
        ["observe", "--input-file", "-"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
    let code = runtime.block_on(run(
        &words,
        &mut Surroundings {
            input: &mut Cursor::new(input),
            out: &mut Counted(Some(&written)),
            err: &mut Counted(None),
            out_is_terminal: false,
            directory: PathBuf::from("/nonexistent"),
            now: Utc::now(),
            variables: &|name| (legacy && name == "PALOMAR_COMPAT").then(|| "legacy-json-output".to_owned()),
        },
    ));
    assert_eq!(code, 0, "{words:?}");
    written.get()
}

fn speeds(criterion: &mut Criterion) {
    let input = fixture().repeat(REPEATED);
    let flows = FLOWS * u64::try_from(REPEATED).expect("small");
    for (what, filter) in FILTERS {
        let mut group = criterion.benchmark_group(what);
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(3))
            .throughput(Throughput::Elements(flows));
        for format in FORMATS.into_iter().chain(["legacy json"]) {
            let is_legacy = format == "legacy json";
            let words = [&["-o", if is_legacy { "json" } else { format }], filter].concat();
            let bytes = observe(&input, &words, is_legacy);
            println!("{what}, {format}: {} bytes in, {bytes} out, {flows} flows", input.len());
            group.bench_function(format, |bencher| {
                bencher.iter_custom(|rounds| {
                    timed(rounds, || {
                        black_box(observe(black_box(&input), &words, is_legacy));
                    })
                });
            });
        }
        group.finish();
    }
}

/// The program as it was built for this bench.
fn palomar(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_palomar"));
    command.args(words).env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The most memory that the program has had, in KiB, while it read [`MANY`] flows from a pipe.
fn peak_memory(words: &[&str], lines: &str) -> u64 {
    let mut child = palomar(&[&["observe", "--input-file", "-"], words].concat()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("it has an input");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..MANY / FLOWS {
                input.write_all(lines.as_bytes()).expect("it reads on");
            }
        });
        // the kernel keeps the peak for as long as the process lives: what is missed is the last of these
        while child.try_wait().expect("it is ours").is_none() {
            let told = fs::read_to_string(&status).unwrap_or_default();
            let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            peak = kibibytes.unwrap_or(0).max(peak);
            thread::sleep(Duration::from_millis(5));
        }
    });
    peak
}

fn memory() {
    let lines = fixture();
    println!("\nmemory of the program at most, over {MANY} flows from a pipe (goal: 16,384 KiB)");
    for format in FORMATS {
        for filter in [&[][..], &["--to-pod", "checkout/checkout-api"]] {
            let words = [&["-o", format], filter].concat();
            println!("  {:<28} {:>7} KiB", words.join(" "), peak_memory(&words, &lines));
        }
    }
}

/// Half of all starts take no longer.
fn start_up() {
    println!("\nfrom start to end of the program, median and quickest of 51 (goal: 10 ms)");
    for words in [&["version"][..], &["observe", "--input-file", "-"], &["observe", "--help"]] {
        let mut times: Vec<Duration> = (0..51)
            .map(|_| {
                let start = Instant::now();
                let status = palomar(words).stdin(Stdio::null()).status().expect("it starts");
                assert!(status.success(), "{words:?}");
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("  {:<28} {:>9.3?} {:>9.3?}", words.join(" "), times[times.len() / 2], times[0]);
    }
}

criterion_group!(all, speeds);

fn main() {
    all();
    memory();
    start_up();
    Criterion::default().configure_from_args().final_summary();
}
