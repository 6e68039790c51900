//! What of us is left in the kernel, and what is taken away: SIGTERM, `palomar-agent audit`, `clean` and `check`. Needs
//! root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use palomar_lab::Topology;
use palomar_lab::traffic::TrafficError;
use support::{ALLOW_FRONTEND, Agent, DEFAULT_DENY, Options, PORT, SHORT, np_demo};

#[test]
fn the_panic_switch_opens_at_once_without_an_agent_and_clean_takes_everything_away() {
    let lab = np_demo("e2aclean", Topology::Routed);
    let web = lab.pod("np-demo/web").unwrap();
    let _server = web.serve_http(PORT).unwrap();
    let get = |from: &str| lab.pod(from).unwrap().get_within(&web.url(PORT), SHORT);
    let mut agent = Agent::start(&lab, Options::mode("enforce"));
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
    assert_eq!(get("np-demo/frontend").as_deref(), Ok("web\n"));
    assert_eq!(get("np-demo/other"), Err(TrafficError::Timeout));

    assert!(agent.terminate().success(), "{}", agent.log());
    assert_eq!(get("np-demo/other"), Err(TrafficError::Timeout), "SIGTERM has opened what was closed");
    let audit = agent.tool("audit");
    assert!(audit.status.success(), "{audit:?}");
    assert_eq!(get("np-demo/other").as_deref(), Ok("web\n"));
}
