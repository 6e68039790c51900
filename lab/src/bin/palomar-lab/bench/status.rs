//! What `palomar status` prints, as far as the bench needs it.

use anyhow::Context as _;

/// The agent's own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Flows in the ring.
    pub flows: u64,
    /// Flows that it can hold.
    pub max_flows: u64,
    /// Kernel memory of the maps, with its unit.
    pub kernel_maps: String,
    /// Events that never became flows.
    pub lost: u64,
}

/// Reads the text.
pub fn parse(text: &str) -> anyhow::Result<Status> {
    read(text).with_context(|| format!("not a status: {text}"))
}

fn read(text: &str) -> Option<Status> {
    let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let number = |text: &str| text.replace(',', "").parse::<u64>().ok();
    let (flows, max_flows) = after("Current/Max Flows: ")?.split_once('/')?;
    Some(Status {
        flows: number(flows)?,
        max_flows: number(max_flows.split(' ').next()?)?,
        kernel_maps: after("Kernel: ")?.split_once(" of maps")?.0.to_owned(),
        lost: number(after("Lost Events: ")?.trim())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_matter_are_read() {
        let text = "Healthcheck (via x): Ok\nCurrent/Max Flows: 262,143/262,143 (100.00%)\n\
            Kernel: 39.7 MiB of maps, 0 packets of unknown connections\nLost Events: 1,002\n  - queue_full: 1,002\n";
        let expected =
            Status { flows: 262_143, max_flows: 262_143, kernel_maps: "39.7 MiB".to_owned(), lost: 1002 };
        assert_eq!(parse(text).unwrap(), expected);
        assert!(parse("Current/Max Flows: 1/2\n").is_err());
    }
}
