//! What the benches of `observe` share: the flows of the fixture, time on the processor, an output that counts.

mod time;

use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;
pub use time::timed;

/// How many flows the fixture has.
pub const FLOWS: u64 = 5_000;

/// The lines of 5,000 realistic flows, as the stock CLI saved them.
pub fn fixture() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/flows-5k.jsonl.gz");
    let packed = fs::read(path).expect("the fixture is there");
    let mut text = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("the fixture is gzip");
    text
}

/// Counts what is written, and forgets it.
#[derive(Debug, Default)]
pub struct Counted<'a>(pub Option<&'a Cell<u64>>);

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(count) = self.0 {
            count.set(count.get() + u64::try_from(bytes.len()).expect("a length fits"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
