//! The demo tells its story on real packets, with both kinds of nodes, and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test fails where a step fails")]

mod support;

use std::process::Command;

use support::binary;

fn demo(topology: &str) {
    let name = format!("demo{topology}{}", std::process::id() % 10_000);
    let output = Command::new(env!("CARGO_BIN_EXE_palomar-lab"))
        .args(["demo", "--topology", topology, "--name", &name])
        .arg("--agent")
        .arg(binary("palomar-agent"))
        .arg("--palomar")
        .arg(binary("palomar"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complaints}");
    for line in [
        "Policy denied DROPPED (TCP Flags: SYN)",
        "to-endpoint FORWARDED (TCP Flags: SYN)",
        "k8s:role=frontend",
    ] {
        assert!(told.contains(line), "the demo shows no {line:?}:\n{told}");
    }
    let labs = palomar_lab::list().unwrap();
    assert!(!labs.iter().any(|lab| lab.name == name), "the demo left its lab");
}

#[test]
fn the_demo_passes_on_a_routed_node() {
    demo("routed");
}

#[test]
fn the_demo_passes_on_a_bridged_node() {
    demo("bridge");
}
