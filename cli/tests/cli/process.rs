//! The program itself: signals and readers that go away.

use std::process::Stdio;
use std::time::Duration;

use crate::server::{Stub, flow_response};
use crate::support::fixture;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

fn palomar(words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_palomar"))
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn end(mut child: Child) -> (Option<i32>, String) {
    let mut err = String::new();
    let mut stderr = child.stderr.take().unwrap();
    let ended = timeout(PATIENCE, async {
        stderr.read_to_string(&mut err).await.unwrap();
        child.wait().await.unwrap()
    });
    (ended.await.expect("the program should end").code(), err)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_prints_each_flow_as_it_comes_and_ends_well_when_interrupted() {
    let stub = Stub {
        flows: Ok(vec![flow_response("first"), flow_response("second")]),
        endless: true,
        ..Stub::default()
    };
    let address = stub.serve().to_string();
    let mut child = palomar(&["observe", "-f", "--server", &address]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for summary in ["first", "second"] {
        let line =
            timeout(PATIENCE, lines.next_line()).await.expect("a line before the end").unwrap().unwrap();
        assert!(line.ends_with(&format!("({summary})")), "{line}");
    }
    let pid = child.id().unwrap().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    assert!(killed.success());
    assert_eq!(end(child).await, (Some(0), String::new()));
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows.jsonl");
    std::fs::write(&path, fixture("flows-5k.jsonl.gz")).unwrap();
    for format in ["compact", "table", "json"] {
        let mut child = palomar(&["observe", "--input-file", path.to_str().unwrap(), "-o", format]);
        drop(child.stdout.take());
        assert_eq!(end(child).await, (Some(0), String::new()), "{format}");
    }
}

#[tokio::test]
async fn a_failure_is_one_line_on_stderr_and_exit_code_1() {
    let (code, err) = end(palomar(&["observe", "--verdict", "dropped"])).await;
    let wanted = "invalid argument \"dropped\" for \"--verdict\" flag: invalid --verdict value: dropped\n";
    assert_eq!((code, err.as_str()), (Some(1), wanted));
}
