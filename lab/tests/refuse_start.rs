//! What an agent says when it cannot start, and with how little it can. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{self, File};
use std::os::unix::net::UnixListener;

use palomar_lab::{Lab, NetnsCommand, PodSpec, Topology};
use support::{Agent, Options, PATIENCE};

/// A node with one pod, for agents that will not start.
fn node(name: &str) -> Lab {
    Lab::new(name, Topology::Routed, vec![PodSpec::new("np-demo", "web")]).unwrap()
}

/// It ends, not with success, says all of this, and leaves nothing in the kernel.
fn assert_refused(agent: &Agent, command: &NetnsCommand, says: &[&str]) {
    let output = command.output(PATIENCE).unwrap();
    assert!(!output.status.success(), "{} has succeeded", command.line());
    let last = output.stderr.trim_end();
    for text in says {
        assert!(last.contains(text), "{}: no {text:?} in\n{last}", command.line());
    }
    assert_eq!(agent.pins(), Vec::<std::path::PathBuf>::new(), "{} has left pins", command.line());
    let filters = agent.node.command("tc").args(["qdisc", "show"]).output(PATIENCE).unwrap().stdout;
    assert!(!filters.contains("clsact"), "{} has left filters:\n{filters}", command.line());
}

#[test]
fn a_bad_flag_is_refused_by_name_with_what_can_be_chosen() {
    let lab = node("brflags");
    let agent = Agent::prepare(&lab, Options::mode("enforce"));
    let cases: [(&[&str], &[&str]); 19] = [
        (&["--ring-capacity", "1000"], &["--ring-capacity", "511", "1023"]),
        (&["--ring-capacity", "0"], &["--ring-capacity", "choose from 1"]),
        // Hubble's name for it
        (&["--event-buffer-capacity", "6"], &["--ring-capacity", "3 and 7"]),
        (&["--metrics", "flows"], &["--metrics", "flows", "flow, "]),
        (&["--metrics", "flow:colour=pod"], &["--metrics", "colour", "sourceContext"]),
        (&["--metrics-listen", "9965"], &["--metrics-listen", "127.0.0.1:PORT", ":PORT for every address"]),
        (&["--metrics-listen", "203.0.113.1:9965"], &["--metrics-listen", "203.0.113.1:9965"]),
        (&["--metrics-max-series", "0"], &["--metrics-max-series", "1..=1000000"]),
        (&["--kernel-ring-bytes", "100000"], &["--kernel-ring-bytes", "power of two", "65536"]),
        (&["--connection-capacity", "0"], &["--connection-capacity"]),
        (&["--stale-policy", "open"], &["--stale-policy", "keep, audit"]),
        (&["--cluster-source", "kubernets"], &["--cluster-source", "manifests, none"]),
        (&["--cluster-source", "none"], &["--manifests and --cluster-source none contradict"]),
        (&["--log", "palomar=loud"], &["palomar=loud", "error, warn, info, debug, trace"]),
        (&["--listen", "4244", "--disable-tls"], &["--listen", "127.0.0.1:PORT", ":PORT for every address"]),
        // an address that is not this node's
        (&["--listen", "203.0.113.1:4244", "--disable-tls"], &["--listen", "203.0.113.1:4244"]),
        (
            &["--listen", "127.0.0.1:4244"],
            &["--listen 127.0.0.1:4244 speaks TLS", "--tls-cert-file", "--tls-key-file", "--disable-tls"],
        ),
        (
            &["--listen", "127.0.0.1:4244", "--tls-key-file", "/etc/hosts"],
            &["--tls-cert-file and --tls-key-file are both required", "only --tls-key-file"],
        ),
        (
            &[
                "--listen",
                "127.0.0.1:4244",
                "--tls-cert-file",
                "/nowhere.crt",
                "--tls-key-file",
                "/etc/hosts",
            ],
            &["--tls-cert-file", "open /nowhere.crt: no such file or directory"],
        ),
    ];
    for (args, says) in cases {
        assert_refused(&agent, &agent.command().args(args.iter().copied()), says);
    }
    for (options, says) in [
        (Options::mode("block"), ["--policy-mode", "off, audit, enforce"]),
        (Options::mode("audit").attach("xdp"), ["--attach", "auto, tcx, clsact"]),
    ] {
        let agent = Agent::prepare(&lab, options);
        assert_refused(&agent, &agent.command(), &says);
    }
}

#[test]
fn a_missing_capability_is_named_and_the_three_are_enough() {
    let lab = node("brcaps");
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    for (missing, others) in [
        ("CAP_BPF", "-all,+net_admin,+perfmon"),
        ("CAP_NET_ADMIN", "-all,+bpf,+perfmon"),
        ("CAP_PERFMON", "-all,+bpf,+net_admin"),
    ] {
        let command = agent.command_under("setpriv", &["--bounding-set", others, "--inh-caps", "-all"]);
        assert_refused(&agent, &command, &["missing capability", missing, "run as root or grant"]);
    }
    let three = "-all,+bpf,+net_admin,+perfmon";
    agent.spawn_as(agent.command_under("setpriv", &["--bounding-set", three, "--inh-caps", "-all"]));
    agent.wait_until_serving();
    agent.wait_for_endpoint("np-demo/web", "attached", |_| true);
}

#[test]
fn a_bpf_file_system_that_is_not_mounted_is_named_with_the_command_that_mounts_it() {
    let lab = node("brbpffs");
    let agent = Agent::prepare(&lab, Options::mode("enforce"));
    let without = r#"umount /sys/fs/bpf && exec "$0" "$@""#;
    let command = agent.command_under("unshare", &["--mount", "sh", "-c", without]);
    assert_refused(&agent, &command, &["is not on bpffs", "mount -t bpf bpf /sys/fs/bpf"]);
}

#[test]
fn a_kernel_without_btf_is_no_hindrance() {
    let lab = node("brbtf");
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    let empty = lab.files_dir().unwrap().join("empty");
    fs::create_dir(&empty).unwrap();
    let without = r#"mount --bind "$0" /sys/kernel/btf && ! test -e /sys/kernel/btf/vmlinux && exec "$@""#;
    let empty = empty.to_str().unwrap();
    agent.spawn_as(agent.command_under("unshare", &["--mount", "sh", "-c", without, empty]));
    agent.wait_until_serving();
    agent.wait_for_endpoint("np-demo/web", "attached", |_| true);
}

#[test]
fn a_manifests_directory_that_was_named_must_be_there() {
    let lab = node("brdir");
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    agent.manifests = agent.manifests.join("absent");
    let path = agent.manifests.to_str().unwrap().to_owned();
    assert_refused(&agent, &agent.command(), &[&path, "must be there", "No such file"]);
}

#[test]
fn a_socket_that_answers_is_left_to_its_owner_and_a_file_in_its_place_is_left_alone() {
    let lab = node("brsocket");
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    let owner = UnixListener::bind(&agent.socket).unwrap();
    let path = agent.socket.to_str().unwrap().to_owned();
    assert_refused(&agent, &agent.command(), &["--socket", &path, "in use by another server"]);
    drop(owner);
    agent.socket = agent.manifests.join("00-namespace.yaml");
    assert_refused(&agent, &agent.command(), &["--socket", "00-namespace.yaml", "is not a socket"]);
    assert!(agent.socket.is_file());
}

#[test]
fn a_state_directory_that_is_taken_or_unusable_is_named() {
    let lab = node("brstate");
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    fs::create_dir_all(&agent.state).unwrap();
    let path = agent.state.to_str().unwrap().to_owned();
    let lock = File::create(agent.state.join("lock")).unwrap();
    lock.lock().unwrap();
    assert_refused(&agent, &agent.command(), &[&path, "in use by another agent", "--state-dir"]);
    drop(lock);

    fs::create_dir(agent.state.join("tables.json")).unwrap();
    assert_refused(&agent, &agent.command(), &["tables.json", "directory"]);
    fs::remove_dir(agent.state.join("tables.json")).unwrap();

    agent.state = agent.manifests.join("00-namespace.yaml").join("state");
    assert_refused(&agent, &agent.command(), &["cannot make the state directory", "00-namespace.yaml/state"]);
}

#[test]
fn a_state_file_that_is_damaged_is_told_and_does_not_keep_the_agent_from_starting() {
    let lab = node("brdamage");
    let mut agent = Agent::start(&lab, Options::mode("enforce"));
    let identity = agent.wait_for_endpoint("np-demo/web", "known", |e| e["identity"].as_u64() >= Some(256));
    assert!(agent.terminate().success());
    for name in ["tables.json", "identities.json", "manifests.json"] {
        fs::write(agent.state.join(name), "{ this is no").unwrap();
        agent.start_again();
        assert!(agent.log().contains("damaged") && agent.log().contains(name), "{name}:\n{}", agent.log());
        let again = agent.wait_for_endpoint("np-demo/web", "known", |e| e["identity"].as_u64() >= Some(256));
        assert_eq!(again["identity"], identity["identity"], "{name}");
        assert!(agent.terminate().success());
    }
}
