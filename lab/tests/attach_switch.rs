//! The hook is changed under traffic: nothing denied passes meanwhile, and nothing of the old hook is left. Needs root.

mod support;

use palomar_lab::Topology;
use support::{ALLOW_ECHO, Agent, DEFAULT_DENY, Load, Options, Probe, echo, filters, np_demo, qdiscs};

/// Three pods and the uplink.
const VETHS: usize = 4;

#[test]
fn the_hook_is_changed_back_and_forth_without_a_gap() {
    for (name, topology) in [("e2swir", Topology::Routed), ("e2swib", Topology::Bridge)] {
        let lab = np_demo(name, topology);
        let [web, frontend, other] =
            ["web", "frontend", "other"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
        let _servers = echo(web);
        let mut agent = Agent::start(&lab, Options::mode("enforce").attach("tcx"));
        agent.isolate_web(&[DEFAULT_DENY, ALLOW_ECHO]);
        let (load, probe) = (Load::start(frontend, web), Probe::start(other, web));
        for attach in ["clsact", "tcx", "clsact", "tcx"] {
            let context = format!("{topology:?}, to {attach}");
            agent.options.attach = attach;
            agent.restart();
            load.go_on(20);
            probe.go_on(20);
            probe.nothing_has_passed(&context);
            let endpoint =
                agent.wait_for_endpoint("np-demo/web", "isolated", |web| web["ingress_isolated"] == true);
            let kind = endpoint["ingress"]["kind"].as_str().unwrap_or_default().to_lowercase();
            assert!(kind.ends_with(attach), "{context}: {endpoint}");
            let links = agent
                .pins()
                .iter()
                .filter(|pin| pin.components().any(|part| part.as_os_str() == "links"))
                .count();
            assert_eq!(links, if attach == "tcx" { 2 * VETHS } else { 0 }, "{context}: {:?}", agent.pins());
            for pod in [web, frontend, other] {
                let interface = pod.host_interface().unwrap();
                let (filters, qdiscs) = (filters(&lab, interface), qdiscs(&lab, interface));
                assert_eq!(
                    filters.matches("handle 0x50414c4f").count(),
                    if attach == "tcx" { 0 } else { 2 },
                    "{context}: {filters}"
                );
                assert_eq!(qdiscs.contains("clsact"), attach == "clsact", "{context}: {qdiscs}");
            }
        }
        load.no_connection_failed(&format!("{topology:?}"));
    }
}
