//! What a Palomar agent tells beyond Hubble's status.

use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::Result;
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_proto::palomar::v1::{
    AttachKind, ClusterSource, ForeignDrops, Gap, GapCause, GetAgentStatusRequest, GetAgentStatusResponse,
    GetLossRequest, GetLossResponse, LossCounter, PolicyMode, StageCounts,
};
use tonic::{Code, Status};

use super::grouped;
use crate::connection::{Connection, Link};
use crate::log;
use crate::render::Columns;
use crate::render::escape::escape;
use crate::surroundings::Surroundings;
use crate::time::TimeFormat;

/// Prints the agent's lines; nothing if the server is no Palomar agent.
pub async fn print(
    connection: &Connection,
    channel: Link,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let mut client = PalomarClient::new(channel);
    let agent = connection
        .call(surroundings.err, GetAgentStatusRequest {}, |request| client.get_agent_status(request))
        .await;
    if let Some(agent) = told(agent, "agent", surroundings)? {
        print_agent(&agent, surroundings.out)?;
    }
    let loss = connection.call(surroundings.err, GetLossRequest {}, |request| client.get_loss(request)).await;
    if let Some(loss) = told(loss, "losses", surroundings)? {
        print_loss(&loss, surroundings.out)?;
    }
    Ok(())
}

fn told<T>(
    answer: Result<T, Status>,
    what: &str,
    surroundings: &mut Surroundings<'_>,
) -> io::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => {
            let message = format!("the server did not tell of its {what}");
            log::line(surroundings.err, log::Level::Warn, &message, &[("error", status.message().into())])?;
            Ok(None)
        }
    }
}

fn print_agent(agent: &GetAgentStatusResponse, out: &mut dyn Write) -> io::Result<()> {
    let GetAgentStatusResponse {
        instance,
        node_name,
        version,
        mode,
        cluster_source,
        attach,
        endpoints,
        kernel_map_bytes,
        conntrack_midstream_misses,
        refused_manifests,
        foreign_drops,
        foreign_drops_error,
    } = agent;
    writeln!(
        out,
        "Agent: Palomar {} on node {}, instance {}",
        escape(version),
        escape(node_name),
        escape(instance)
    )?;
    writeln!(
        out,
        "Policy: {}, with objects from {}",
        mode_name(*mode),
        match ClusterSource::try_from(*cluster_source) {
            Ok(ClusterSource::None) => "nobody",
            Ok(ClusterSource::Manifests) => "manifests",
            Ok(ClusterSource::Kubernetes) => "Kubernetes",
            Ok(ClusterSource::Unspecified) | Err(_) => "an unknown source",
        }
    )?;
    writeln!(out, "Endpoints: {}, attached with {}", grouped((*endpoints).into()), attach_name(*attach))?;
    writeln!(
        out,
        "Kernel: {} of maps, {} packets of unknown connections",
        mebibytes(*kernel_map_bytes),
        grouped(*conntrack_midstream_misses)
    )?;
    match ForeignDrops::try_from(*foreign_drops) {
        Ok(ForeignDrops::Off) => writeln!(out, "Drops by Others: off")?,
        Ok(ForeignDrops::On) => writeln!(out, "Drops by Others: told")?,
        Ok(ForeignDrops::Unavailable) => {
            writeln!(out, "Drops by Others: cannot be told: {}", escape(foreign_drops_error))?;
        }
        Ok(ForeignDrops::Unspecified) | Err(_) => {}
    }
    if refused_manifests.is_empty() {
        return Ok(());
    }
    // What belongs to no file stands for itself.
    let files: BTreeSet<&str> = refused_manifests.iter().map(|refused| refused.file.as_str()).collect();
    let whole = refused_manifests.iter().filter(|refused| refused.file.is_empty()).count();
    let (count, mistakes) = (files.len() + whole.saturating_sub(1), refused_manifests.len());
    write!(out, "Refused Manifests: {count}")?;
    if mistakes > count {
        write!(out, " ({mistakes} mistakes)")?;
    }
    writeln!(out)?;
    for refused in refused_manifests {
        write!(out, "  - {}", escape(&refused.file))?;
        if refused.line > 0 {
            write!(out, ":{}", refused.line)?;
        }
        if !refused.field.is_empty() {
            write!(out, ": {}", escape(&refused.field))?;
        }
        writeln!(out, ": {}", escape(&refused.reason))?;
    }
    Ok(())
}

fn print_loss(loss: &GetLossResponse, out: &mut dyn Write) -> io::Result<()> {
    let GetLossResponse { counters, stages, gaps } = loss;
    writeln!(out, "Lost Events: {}", grouped(sum(counters)))?;
    if stages.is_empty() {
        for counter in counters.iter().filter(|counter| counter.count > 0) {
            writeln!(out, "  - {}: {}", escape(&counter.source), grouped(counter.count))?;
        }
    } else {
        print_stages(stages, out)?;
    }
    print_gaps(gaps, out)
}

/// One line a gap; nothing if there is none.
fn print_gaps(gaps: &[Gap], out: &mut dyn Write) -> io::Result<()> {
    if gaps.is_empty() {
        return Ok(());
    }
    writeln!(out, "Gaps: {}", gaps.len())?;
    for Gap { first, last, cause, flows } in gaps {
        let time = |time| TimeFormat::Rfc3339.print(time);
        let last = time(last.as_ref());
        match first {
            Some(first) => write!(out, "  - {} to {last}: ", time(Some(first)))?,
            None => write!(out, "  - until {last}: ")?,
        }
        let missing = match flows {
            Some(flows) => format!("up to {} flows are missing", grouped(*flows)),
            None => "what passed is not known".to_owned(),
        };
        writeln!(out, "{}; {missing}", cause_text(*cause))?;
    }
    Ok(())
}

fn cause_text(cause: i32) -> &'static str {
    match GapCause::try_from(cause) {
        Ok(GapCause::NothingRan) => "no agent and no programs",
        Ok(GapCause::NotSaved) => "flows that an agent saw were not saved",
        Ok(GapCause::Unreadable) => "saved flows could not be read",
        Ok(GapCause::Replaced) => "the programs were replaced by those of another version",
        Ok(GapCause::Unspecified) | Err(_) => "for an unknown reason",
    }
}

/// One line a stage: what came in, what went on, what was left out, what was lost and where.
fn print_stages(stages: &[StageCounts], out: &mut dyn Write) -> io::Result<()> {
    let mut columns = Columns::default();
    columns.line(&["  STAGE", "IN", "OUT", "FILTERED", "LOST"]);
    for StageCounts { stage, taken, given, left_out, lost } in stages {
        let reasons: Vec<String> = lost
            .iter()
            .filter(|counter| counter.count > 0)
            .map(|counter| format!("{} {}", grouped(counter.count), escape(&counter.source)))
            .collect();
        let lost = match reasons.as_slice() {
            [] => "0".to_owned(),
            [reason] => reason.clone(),
            reasons => format!("{}: {}", grouped(sum(lost)), reasons.join(", ")),
        };
        columns.line(&[
            &format!("  {}", escape(stage)),
            &grouped(*taken),
            &grouped(*given),
            &grouped(*left_out),
            &lost,
        ]);
    }
    columns.write(out)
}

fn sum(counters: &[LossCounter]) -> u64 {
    counters.iter().map(|counter| counter.count).fold(0, u64::saturating_add)
}

/// `off`, `audit`, `enforce`.
pub fn mode_name(mode: i32) -> &'static str {
    match PolicyMode::try_from(mode) {
        Ok(PolicyMode::Off) => "off",
        Ok(PolicyMode::Audit) => "audit",
        Ok(PolicyMode::Enforce) => "enforce",
        Ok(PolicyMode::Unspecified) | Err(_) => "unknown",
    }
}

/// `tcx`, `clsact`; `nothing` where no program is.
pub fn attach_name(kind: i32) -> &'static str {
    match AttachKind::try_from(kind) {
        Ok(AttachKind::Tcx) => "tcx",
        Ok(AttachKind::Clsact) => "clsact",
        Ok(AttachKind::Unspecified) | Err(_) => "nothing",
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
