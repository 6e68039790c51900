//! Who decided: the policies of a policy-verdict event.

use palomar_proto::flow::Policy;

use super::escape::push_escaped;

/// Appends ` BY name (Kind), name (Kind)`; nothing if no policy is told by both name and kind.
pub fn push_policies(out: &mut String, policies: &[Policy]) {
    let told = policies.iter().filter(|policy| !policy.name.is_empty() && !policy.kind.is_empty());
    for (at, policy) in told.enumerate() {
        out.push_str(if at == 0 { " BY " } else { ", " });
        push_escaped(out, &policy.name);
        out.push_str(" (");
        push_escaped(out, &policy.kind);
        out.push(')');
    }
}
