//! Pods that come and go while the agent runs. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use palomar_lab::{PodSpec, Topology};
use support::{
    ALLOW_ECHO, Agent, DEFAULT_DENY, Load, Options, PORT, Probe, echo, field, names_pod, np_demo, wait_for,
};

#[test]
fn a_pod_removed_under_traffic_and_added_again_is_followed_with_tcx() {
    removed_and_added("e2vetht", Topology::Bridge, "tcx");
}

#[test]
fn a_pod_removed_under_traffic_and_added_again_is_followed_with_clsact() {
    removed_and_added("e2vethc", Topology::Routed, "clsact");
}

fn removed_and_added(name: &str, topology: Topology, attach: &'static str) {
    let mut lab = np_demo(name, topology);
    let agent = Agent::start(&lab, Options::mode("enforce").attach(attach));
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_ECHO]);
    let place = |lab: &palomar_lab::Lab, pod: &str| lab.pod(&format!("np-demo/{pod}")).unwrap().clone();
    let (web, frontend, other) = (place(&lab, "web"), place(&lab, "frontend"), place(&lab, "other"));
    let _servers = echo(&web);
    let before = agent.endpoint("np-demo/frontend").unwrap();
    // traffic of its own goes with it: only that it was under way matters
    let own = Load::start(&frontend, &web);
    own.go_on(20);
    let spec = lab
        .pods()
        .find(|(_, place)| place.name() == "np-demo/frontend")
        .map(|(spec, _)| spec.clone())
        .unwrap();
    lab.remove_pod("np-demo/frontend").unwrap();
    drop(own);
    wait_for("its endpoint to go", || agent.endpoint("np-demo/frontend").is_none().then_some(()));
    lab.write_manifests(&agent.manifests).unwrap();
    let probe = Probe::start(&other, &web);
    probe.go_on(20);

    lab.add_pods(vec![PodSpec { addresses: Vec::new(), ..spec }]).unwrap();
    lab.write_manifests(&agent.manifests).unwrap();
    let after = agent.wait_for_endpoint("np-demo/frontend", "back", |_| true);
    assert_eq!(after["identity"], before["identity"]);
    assert_ne!(after["addresses"], before["addresses"]);
    assert_ne!(after["ifindex"], before["ifindex"]);
    let again = place(&lab, "frontend");
    let told: Vec<_> = again.addresses().iter().map(ToString::to_string).collect();
    for address in &told {
        assert!(after["addresses"].as_array().unwrap().iter().any(|a| a == address.as_str()), "{after}");
    }

    // its identity is allowed at its new address
    let load = Load::start(&again, &web);
    load.go_on(20);
    probe.nothing_has_passed(attach);
    let filters = ["--port", &load.open.port().to_string(), "--ip", &told[0]];
    agent.wait_for_flows("the connection of the new pod", &filters, |flows| {
        let flow = flows.iter().find(|flow| names_pod(flow, "frontend", "web"))?;
        assert_eq!(field(flow, "/source/identity"), &after["identity"], "{flow}");
        assert_eq!(field(flow, "/l4/TCP/destination_port"), PORT, "{flow}");
        Some(())
    });
    load.nothing_was_lost(attach);
    let list = agent.endpoint_list();
    assert_eq!(
        list["endpoints"].as_array().unwrap().iter().filter(|e| e["is_pod"] == true).count(),
        3,
        "{list}"
    );
    assert!(agent.is_running(), "{}", agent.log());
}
