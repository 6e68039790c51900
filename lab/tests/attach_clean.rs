//! What of us is left in the kernel, and what is taken away: SIGTERM, `palomar-agent audit`, `clean` and `check`. Needs
//! root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use palomar_lab::traffic::TrafficError;
use palomar_lab::{Lab, Topology};
use support::{ALLOW_FRONTEND, Agent, DEFAULT_DENY, Options, PORT, SHORT, filters, np_demo, qdiscs, tc};

const PODS: [&str; 3] = ["np-demo/web", "np-demo/frontend", "np-demo/other"];

#[test]
fn what_is_ours_goes_when_asked_and_what_is_not_stays_with_tcx() {
    the_ways_out(&np_demo("e2outt", Topology::Routed), "tcx");
}

#[test]
fn what_is_ours_goes_when_asked_and_what_is_not_stays_with_clsact() {
    the_ways_out(&np_demo("e2outc", Topology::Bridge), "clsact");
}

fn the_ways_out(lab: &Lab, attach: &'static str) {
    let web = lab.pod("np-demo/web").unwrap();
    let _server = web.serve_http(PORT).unwrap();
    let get = |from: &str| lab.pod(from).unwrap().get_within(&web.url(PORT), SHORT);
    let interface = |pod: &str| lab.pod(pod).unwrap().host_interface().unwrap().to_owned();
    // somebody else's, on one of the three veths
    let foreign = interface("np-demo/web");
    tc(lab, &["qdisc", "add", "dev", &foreign, "clsact"]);
    for hook in ["ingress", "egress"] {
        tc(
            lab,
            &[
                "filter", "add", "dev", &foreign, hook, "pref", "7", "protocol", "all", "u32", "match",
                "u32", "0", "0",
            ],
        );
    }
    let before = PODS.map(|pod| (filters(lab, &interface(pod)), qdiscs(lab, &interface(pod))));

    let check = Agent::prepare(lab, Options::mode("audit")).tool("check");
    assert!(check.status.success(), "{check:?}");
    assert!(check.stdout.lines().filter(|line| line.starts_with("ok ")).count() >= 5, "{check:?}");
    assert_eq!(
        PODS.map(|pod| (filters(lab, &interface(pod)), qdiscs(lab, &interface(pod)))),
        before,
        "check changes something"
    );

    let mut agent = Agent::start(lab, Options::mode("enforce").attach(attach));
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
    assert_eq!(get("np-demo/frontend").as_deref(), Ok("web\n"));
    assert_eq!(get("np-demo/other"), Err(TrafficError::Timeout));
    for pod in PODS {
        let found = filters(lab, &interface(pod));
        let ours = found.matches("handle 0x50414c4f").count();
        assert_eq!(ours, if attach == "clsact" { 2 } else { 0 }, "{pod}: {found}");
    }
    let refused = agent.tool("clean");
    assert!(!refused.status.success() && refused.stderr.contains(&agent.pid().to_string()), "{refused:?}");

    assert!(agent.terminate().success(), "{}", agent.log());
    assert_eq!(get("np-demo/other"), Err(TrafficError::Timeout), "SIGTERM has opened what was closed");
    assert_eq!(get("np-demo/frontend").as_deref(), Ok("web\n"));

    let audit = agent.tool("audit");
    assert!(audit.status.success() && audit.stdout.contains("no packet is dropped"), "{audit:?}");
    assert_eq!(get("np-demo/other").as_deref(), Ok("web\n"), "the panic switch has not opened");
    let again = agent.tool("audit");
    assert!(again.status.success() && again.stdout.contains("already"), "{again:?}");

    // the next agent puts its mode in force again, also when the switch is used while it runs
    agent.start_again();
    assert_eq!(get("np-demo/other"), Err(TrafficError::Timeout));
    assert!(agent.tool("audit").status.success());
    assert_eq!(get("np-demo/other").as_deref(), Ok("web\n"), "the panic switch has not opened");
    agent.restart();
    assert_eq!(get("np-demo/other"), Err(TrafficError::Timeout));

    agent.kill9();
    assert!(!agent.pins().is_empty());
    let clean = agent.tool("clean");
    assert!(clean.status.success(), "{clean:?}");
    assert_eq!(agent.pins(), [""; 0].map(std::path::PathBuf::from), "pins are left");
    // programs that enforced would still drop it
    assert_eq!(get("np-demo/other").as_deref(), Ok("web\n"), "programs are left");
    assert_eq!(PODS.map(|pod| (filters(lab, &interface(pod)), qdiscs(lab, &interface(pod)))), before);
    let twice = agent.tool("clean");
    assert!(twice.status.success(), "{twice:?}");
}
