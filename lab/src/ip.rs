//! `ip -batch`: many changes of links, addresses and routes for one process start.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::{LabError, Netns};

/// Runs the lines in the namespace of the calling thread. Stops at the first that fails.
fn run(lines: &[String], place: &str) -> Result<(), LabError> {
    if lines.is_empty() {
        return Ok(());
    }
    let io = |call| LabError::io(call, "ip (package iproute2)");
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io("start"))?;
    let mut input = lines.join("\n");
    input.push('\n');
    // an ip that gave up early closes its end; its message says more than the broken pipe
    let written = child.stdin.take().expect("invariant: stdin was asked for").write_all(input.as_bytes());
    let output = child.wait_with_output().map_err(io("wait for"))?;
    if output.status.success() {
        return written.map_err(io("write to"));
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(LabError::Ip {
        place: place.to_owned(),
        line: failed_line(&message).and_then(|n| lines.get(n - 1)).cloned().unwrap_or_default(),
        message: message.lines().next().unwrap_or("failed without a message").to_owned(),
    })
}

/// Runs the lines in the namespace that the caller is in.
pub(crate) fn batch_on_host(lines: &[String]) -> Result<(), LabError> {
    run(lines, "the host")
}

/// Runs the lines inside a network namespace.
pub(crate) fn batch(netns: &Netns, lines: &[String]) -> Result<(), LabError> {
    netns.enter(|| run(lines, netns.name()))?
}

/// The line number, from 1, in `Command failed -:3`.
fn failed_line(message: &str) -> Option<usize> {
    let (_, number) = message.rsplit_once("Command failed -:")?;
    number.lines().next()?.trim().parse().ok().filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_failing_line_is_found() {
        let message = "RTNETLINK answers: File exists\nCommand failed -:3\n";
        assert_eq!(super::failed_line(message), Some(3));
        for strange in ["", "Command failed -:", "Command failed -:0", "Error: x"] {
            assert_eq!(super::failed_line(strange), None, "{strange:?}");
        }
    }
}
