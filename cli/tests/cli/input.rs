//! `--input-file`: several files, packed files, and files that are not what they should be.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Outcome, assert_same, fixture, fixture_path, palomar};
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);

fn observe(files: &[&str], words: &[&str]) -> Outcome {
    let inputs = files.iter().flat_map(|file| ["--input-file", file]);
    palomar(&["observe"].into_iter().chain(inputs).chain(words.iter().copied()).collect::<Vec<_>>()).run()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn with(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn line(summary: &str) -> String {
    format!("{{\"flow\":{{\"Summary\":\"{summary}\"}}}}\n")
}

/// What stands in the brackets at the end of each line.
fn summaries(out: &str) -> Vec<String> {
    out.lines().map(|line| line.rsplit_once('(').unwrap().1.trim_end_matches(')').to_owned()).collect()
}

#[test]
fn packed_files_are_known_by_their_content_and_not_by_their_name() {
    let files = Files::new();
    let flows = fixture("flows-5k.jsonl.gz");
    let wanted = fixture("flows-5k.compact.txt.gz");
    let (half, rest) = flows.split_at(flows.find('\n').unwrap() * 2 + 1);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
    let table = [
        ("plain, called packed", files.with("plain.gz", &flows)),
        ("gzip", fixture_path("flows-5k.jsonl.gz").to_str().unwrap().to_owned()),
        (
            "gzip in two members",
            files.with("members", [gzip(half.as_bytes()), gzip(rest.as_bytes())].concat()),
        ),
        ("zstd", files.with("zstd.txt", zstd(flows.as_bytes()))),
        (
            "zstd in two frames, with one for somebody else between",
            files.with("frames", [zstd(half.as_bytes()), skipped, zstd(rest.as_bytes())].concat()),
        ),
    ];
    for (what, path) in table {
        let outcome = observe(&[&path], &[]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{what}");
        assert_same(what, &outcome.out, &wanted);
    }
}

#[test]
fn files_are_read_one_after_the_other_as_one_input() {
    let files = Files::new();
    let one = files.with("one", line("a") + &line("b"));
    let two = files.with("two", gzip((line("c") + line("d").trim_end()).as_bytes()));
    let all = observe(&[&one, &two], &[]).out;
    assert_eq!(summaries(&all), ["a", "b", "c", "d"]);
    assert_eq!(summaries(&observe(&[&two, &one, &two], &["--last", "3"]).out), ["b", "c", "d"]);
    assert_eq!(summaries(&observe(&[&one, &two], &["--first", "3"]).out), ["a", "b", "c"]);
    let stdin = palomar(&["observe", "--input-file", &one, "--input-file", "-"]).input(&line("in")).run();
    assert_eq!(summaries(&stdin.out), ["a", "b", "in"]);
    let twice = observe(&["-", "-"], &[]);
    assert_eq!((twice.err.as_str(), twice.code), ("--input-file - can be given once only\n", 1));
    let missing = observe(&[&one, "/nonexistent"], &[]);
    assert_eq!(
        (missing.out.as_str(), missing.err.as_str(), missing.code),
        ("", "open /nonexistent: no such file or directory\n", 1)
    );
    let directory = observe(&[files.dir.path().to_str().unwrap()], &[]);
    assert!(directory.code == 1 && directory.err.contains("Is a directory"), "{}", directory.err);
}

#[test]
fn what_comes_before_a_broken_end_is_printed() {
    let files = Files::new();
    let text = (0..2000).map(|at| line(&format!("flow {at}"))).collect::<String>();
    let (gzipped, packed) = (gzip(text.as_bytes()), zstd(text.as_bytes()));
    let mut wrong_sum = packed.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    let table = [
        ("half a gzip file", files.with("half.gz", &gzipped[..gzipped.len() / 2])),
        ("half a zstd file", files.with("half.zst", &packed[..packed.len() - 20])),
        ("a wrong checksum", files.with("sum.zst", &wrong_sum)),
    ];
    for (what, path) in table {
        let outcome = observe(&[&path], &[]);
        assert_eq!(outcome.code, 1, "{what}");
        assert!(
            outcome.err.lines().last().unwrap().starts_with(&format!("read {path}: ")),
            "{what}: {}",
            outcome.err
        );
    }
    assert!(observe(&[&files.with("half.gz", &gzipped[..gzipped.len() / 2])], &[]).out.contains("flow 0"));
    let half_written = files.with("half.jsonl", line("whole") + "{\"flow\":{\"Summary\":\"ha");
    let outcome = observe(&[&half_written], &[]);
    assert_eq!((outcome.code, summaries(&outcome.out)), (0, vec!["whole".to_owned()]));
    assert!(
        outcome.err.contains("a line is left out") && outcome.err.contains("unexpected EOF"),
        "{}",
        outcome.err
    );
    let no_utf8 = files.with("latin1", b"{\"flow\":{\"Summary\":\"\xe4\"}}\n");
    assert_eq!(summaries(&observe(&[&no_utf8], &[]).out), ["\u{fffd}"]);
}

#[tokio::test]
async fn a_line_of_any_length_is_passed_over_in_little_memory() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_palomar"))
        .args(["observe", "--input-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (mut out, mut err) = (BufReader::new(child.stdout.take().unwrap()), child.stderr.take().unwrap());
    let piece = vec![b'x'; 1 << 20];
    let fed = async {
        for _ in 0..1024 {
            stdin.write_all(&piece).await.unwrap();
        }
        stdin.write_all(("\n".to_owned() + &line("after")).as_bytes()).await.unwrap();
        let mut printed = String::new();
        // while more may come the line is there already
        out.read_line(&mut printed).await.unwrap();
        printed
    };
    let printed = timeout(PATIENCE * 5, fed).await.expect("a gigabyte should be passed over");
    assert_eq!(summaries(&printed), ["after"]);
    let status = fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(peak_kib < 64 << 10, "{peak_kib} KiB were resident");
    drop(stdin);
    let mut told = String::new();
    err.read_to_string(&mut told).await.unwrap();
    assert!(told.contains("a line is left out") && told.contains("longer than 2097152 bytes"), "{told}");
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}
