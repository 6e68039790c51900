//! What flows take of memory.

use palomar_agent::ring::Record;

use crate::report::{Goal, heading, row};
use crate::site::Site;

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

pub fn memory() {
    heading("Memory");
    let before = resident_bytes();
    let site = Site::full(1_048_575);
    let grown = resident_bytes() - before;
    row("a record", size_of::<Record>() as f64, "B", Goal::AtMost(128.0));
    row("a flow, all in, of 1,048,575", grown as f64 / site.ring.len() as f64, "B", Goal::AtMost(160.0));
    row("this process with them", resident_bytes() as f64 / 1e6, "MB", Goal::AtMost(190.0));
}
