//! One agent for one network namespace, and as many as there are namespaces. Needs root.

mod support;

use palomar_lab::Topology;
use support::{Agent, Options, PATIENCE, PORT, np_demo};

#[test]
fn a_second_agent_for_one_node_is_refused_and_told_who_holds_it() {
    let lab = np_demo("e2twice", Topology::Routed);
    let first = Agent::start(&lab, Options::mode("audit"));
    let mut second = Agent::prepare(&lab, Options::mode("enforce"));
    second.state = first.state.with_file_name("state-of-the-second");
    second.socket = first.socket.with_file_name("second.sock");
    let refused = second.command().output(PATIENCE).unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stderr.contains(&format!("process {}", first.pid())), "{refused:?}");
    assert!(!second.socket.exists(), "the second has served");
    // the first goes on, in its own mode
    let web = first.endpoint("np-demo/web").unwrap();
    assert!(web["mode"].as_str().unwrap().to_lowercase().ends_with("audit"), "{web}");
}

#[test]
fn agents_of_two_nodes_run_side_by_side_and_see_their_own_pods() {
    let labs = [np_demo("e2nodea", Topology::Routed), np_demo("e2nodeb", Topology::Bridge)];
    let first = Agent::start(&labs[0], Options::mode("audit"));
    let mut second = Agent::prepare(&labs[1], Options::mode("audit"));
    // one BPF file system for both, as on a host
    second.bpf.clone_from(&first.bpf);
    let state = std::mem::replace(&mut second.state, first.state.clone());
    let refused = second.command().output(PATIENCE).unwrap();
    assert!(!refused.status.success() && refused.stderr.contains("in use by another agent"), "{refused:?}");
    second.state = state;
    second.start_again();

    // the same names and addresses on both nodes
    for (lab, from) in labs.iter().zip(["np-demo/frontend", "np-demo/other"]) {
        let web = lab.pod("np-demo/web").unwrap();
        let _server = web.serve_http(PORT).unwrap();
        assert_eq!(lab.pod(from).unwrap().get(&web.url(PORT)).as_deref(), Ok("web\n"));
    }
    for (agent, seen, unseen) in [(&first, "frontend", "other"), (&second, "other", "frontend")] {
        let flows = |pod: &str| agent.flows(&["--from-pod", &format!("np-demo/{pod}"), "--to-port", "8080"]);
        support::wait_for("its own pods' flows", || (!flows(seen).is_empty()).then_some(()));
        assert!(flows(unseen).is_empty(), "a flow of the other node: {:#?}", flows(unseen));
    }
    // what one leaves behind is not the other's
    let mut second = second;
    second.kill9();
    assert!(second.tool("clean").status.success());
    let web = first.endpoint("np-demo/web").unwrap();
    assert_eq!(web["ingress"]["attach_error"], "", "{web}");
    assert!(!first.pins().is_empty());
}
