//! JSON lines, as protobuf's JSON mapping has them.

use std::io::{self, ErrorKind, Write};

use palomar_flow::json::{JsonMessage, Unprintable, Writer};

/// Writes messages, one a line, with the buffers of the first.
#[derive(Debug, Default)]
pub struct Lines {
    writer: Writer,
    text: String,
}

impl Lines {
    /// Writes one line. A message that has no JSON form, such as one with a time out of range, is an error.
    pub fn write(&mut self, out: &mut impl Write, message: &impl JsonMessage) -> io::Result<()> {
        self.text.clear();
        let written = self.writer.write(message, &mut self.text);
        self.hand_on(out, written)
    }

    /// The same of a message that is encoded, and was skimmed.
    pub fn write_encoded<M: JsonMessage>(&mut self, out: &mut impl Write, encoded: &[u8]) -> io::Result<()> {
        self.text.clear();
        let written = Writer::write_encoded::<M>(encoded, &mut self.text);
        self.hand_on(out, written)
    }

    fn hand_on(&mut self, out: &mut impl Write, written: Result<(), Unprintable>) -> io::Result<()> {
        written.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        self.text.push('\n');
        out.write_all(self.text.as_bytes())
    }
}
