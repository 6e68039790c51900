//! What `tc` says of the node's interfaces.

use palomar_lab::Lab;

use super::PATIENCE;

/// Runs `tc` on the node and gives what it prints.
pub fn tc(lab: &Lab, args: &[&str]) -> String {
    let output = lab.node().command("tc").args(args.iter().copied()).output(PATIENCE).unwrap();
    assert!(output.status.success(), "tc {args:?}: {output:?}");
    output.stdout
}

/// The clsact filters of an interface, both hooks.
pub fn filters(lab: &Lab, interface: &str) -> String {
    ["ingress", "egress"].map(|hook| tc(lab, &["filter", "show", "dev", interface, hook])).concat()
}

/// The queueing disciplines of an interface.
pub fn qdiscs(lab: &Lab, interface: &str) -> String {
    tc(lab, &["qdisc", "show", "dev", interface])
}
