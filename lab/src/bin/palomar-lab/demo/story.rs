//! The story, step by step, with the outcome that each step must have.

use anyhow::{bail, ensure};

use super::files::{ALLOW_FRONTEND, DEFAULT_DENY};
use super::shape::Shape;
use super::stage::{PORT, Stage, say};

const DROPPED: &str =
    "np-demo/other:PORT (ID:N) <> np-demo/web:8080 (ID:M) Policy denied DROPPED (TCP Flags: SYN)";
const DENIED: &str = "np-demo/other:PORT (ID:N) <> np-demo/web:8080 (ID:M) policy-verdict:MATCH INGRESS DENIED (TCP Flags: SYN)";
const ALLOWED: &str = "np-demo/frontend:PORT (ID:N) -> np-demo/web:8080 (ID:M) policy-verdict:MATCH INGRESS ALLOWED (TCP Flags: SYN)";
const FORWARDED: &str =
    "np-demo/frontend:PORT (ID:N) -> np-demo/web:8080 (ID:M) to-endpoint FORWARDED (TCP Flags: SYN)";
/// curl's exit status for an operation that timed out.
const CURL_TIMEOUT: i32 = 28;

/// What a client must see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Web,
    Timeout,
}

/// Tells it all.
pub fn tell(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    say("No policy: both clients reach web");
    ask(stage, "frontend", Outcome::Web)?;
    ask(stage, "other", Outcome::Web)?;

    say("A policy that selects web and allows nothing: both time out");
    stage.apply(DEFAULT_DENY)?;
    wait_for_policy(stage, "default-deny")?;
    ask(stage, "frontend", Outcome::Timeout)?;
    ask(stage, "other", Outcome::Timeout)?;

    say("A second policy allows role=frontend on TCP 8080: frontend reaches web, other times out");
    stage.apply(ALLOW_FRONTEND)?;
    wait_for_policy(stage, "allow-frontend")?;
    ask(stage, "frontend", Outcome::Web)?;
    ask(stage, "other", Outcome::Timeout)?;

    say("What happened to connections to web?");
    let seen = ["observe", "--to-pod", "np-demo/web", "--last", "12", "-o", "compact"];
    let [_, _, _, frontend] = observe(stage, &seen, [DROPPED, DENIED, ALLOWED, FORWARDED])?;

    say("Who is that identity?");
    identity(stage, frontend)?;

    say("frontend is made again, with another address: the identity follows its labels");
    stage.recreate("frontend")?;
    let address = stage.pod("frontend")?.address().to_string();
    stage.wait_for("the agent to watch the new frontend", |endpoints| {
        endpoints.iter().any(|e| e.is("np-demo/frontend") && e.is_watched() && e.addresses.contains(&address))
    })?;
    ask(stage, "frontend", Outcome::Web)?;
    let seen = ["observe", "--from-ip", &address, "--to-pod", "np-demo/web", "--last", "6", "-o", "compact"];
    let [again] = observe(stage, &seen, [FORWARDED])?;
    ensure!(again == frontend, "the new frontend has identity {again}, the old one had {frontend}");
    Ok(())
}

/// A client asks web over IPv4.
fn ask(stage: &Stage<'_>, client: &str, expected: Outcome) -> anyhow::Result<()> {
    let url = palomar_lab::url(stage.pod("web")?.v4()?, PORT);
    let output = stage.in_pod(client, "curl", &["-sS", "-m", "2", &url])?;
    let outcome = match output.status.code() {
        Some(0) if output.stdout == "web\n" => Outcome::Web,
        Some(CURL_TIMEOUT) => Outcome::Timeout,
        _ => bail!("{client}'s curl ended with {}", output.status),
    };
    ensure!(outcome == expected, "{client} has seen {outcome:?}, expected {expected:?}");
    Ok(())
}

/// Until the kernel isolates web by a policy.
fn wait_for_policy(stage: &Stage<'_>, policy: &str) -> anyhow::Result<()> {
    stage.wait_for(&format!("policy {policy} to be in the kernel"), |endpoints| {
        let web = endpoints.iter().find(|endpoint| endpoint.is("np-demo/web"));
        web.is_some_and(|web| web.ingress_isolated && web.ingress_policies.iter().any(|name| name == policy))
    })
}

/// Shows flows, which must hold a line of each shape; the identity of each line's source.
fn observe<const N: usize>(stage: &Stage<'_>, args: &[&str], lines: [&str; N]) -> anyhow::Result<[u32; N]> {
    let shapes = lines.map(Shape::new);
    stage.palomar_until(args, |output| {
        let mut identities = [0; N];
        for (identity, shape) in identities.iter_mut().zip(&shapes) {
            *identity =
                shape.find(output).ok_or_else(|| format!("no line of the shape: {}", shape.text()))?;
        }
        Ok(identities)
    })
}

/// Shows an identity, which must be frontend's.
fn identity(stage: &Stage<'_>, number: u32) -> anyhow::Result<()> {
    let output = stage.palomar(&["identity", "get", &number.to_string()])?;
    ensure!(output.status.success(), "palomar ended with {}", output.status);
    ensure!(output.stdout.contains("k8s:role=frontend"), "identity {number} is not frontend's");
    Ok(())
}
