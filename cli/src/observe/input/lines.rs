//! Lines of bounded length out of any reader.

use std::io::{self, BufRead, BufReader, Read};

use super::BUFFER;

/// Bytes of a line; a longer one is passed over without being held. A flow that came over gRPC has less.
pub const LINE_LIMIT: usize = 2 << 20;

/// A line as it was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Without its end.
    Whole(&'a [u8]),
    /// One of more than [`LINE_LIMIT`] bytes.
    TooLong,
}

/// Reads line by line.
pub struct Lines<R> {
    reader: BufReader<R>,
    /// A line that did not stand in the reader's buffer as a whole.
    line: Vec<u8>,
    /// Bytes of the buffer that the last line took.
    taken: usize,
}

impl<R: Read> Lines<R> {
    /// Lines from here on.
    pub fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER, reader), line: Vec::new(), taken: 0 }
    }

    /// The next line; `None` at the end. `idle` is called before the reader may have to wait for more.
    pub fn next(&mut self, idle: impl FnMut() -> io::Result<()>) -> io::Result<Option<Line<'_>>> {
        self.reader.consume(std::mem::take(&mut self.taken));
        let Some(length) = memchr::memchr(b'\n', self.reader.buffer()) else { return self.gathered(idle) };
        self.taken = length + 1;
        Ok(Some(Line::Whole(&self.reader.buffer()[..length])))
    }

    /// A line that reaches beyond the buffer.
    fn gathered(&mut self, mut idle: impl FnMut() -> io::Result<()>) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let (mut length, mut ended) = (0, false);
        while !ended {
            if self.reader.buffer().is_empty() {
                idle()?;
            }
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            length += part.len();
            if length <= LINE_LIMIT {
                self.line.extend_from_slice(part);
            } else {
                self.line = Vec::new();
            }
            ended = end.is_some();
            let used = part.len() + usize::from(ended);
            self.reader.consume(used);
        }
        Ok(match (length, ended) {
            (0, false) => None,
            (length, _) if length > LINE_LIMIT => Some(Line::TooLong),
            _ => Some(Line::Whole(&self.line)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &[u8]) -> Vec<Option<usize>> {
        let mut lines = Lines::new(text);
        let mut found = Vec::new();
        while let Some(line) = lines.next(|| Ok(())).unwrap() {
            found.push(match line {
                Line::Whole(line) => Some(line.len()),
                Line::TooLong => None,
            });
        }
        found
    }

    #[test]
    fn lines_end_with_the_text_as_well() {
        assert_eq!(lengths(b""), []);
        assert_eq!(lengths(b"\n"), [Some(0)]);
        assert_eq!(lengths(b"ab\n\nc"), [Some(2), Some(0), Some(1)]);
        // of all lengths around that of the buffer
        let all: Vec<usize> = (0..40).map(|at| BUFFER / 20 * at).collect();
        let text: Vec<u8> =
            all.iter().flat_map(|length| [vec![b'x'; *length], vec![b'\n']].concat()).collect();
        assert_eq!(lengths(&text), all.into_iter().map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let mut text = vec![b'x'; LINE_LIMIT];
        text.push(b'\n');
        text.extend(vec![b'y'; LINE_LIMIT + 1]);
        text.extend(b"\nz\n");
        assert_eq!(lengths(&text), [Some(LINE_LIMIT), None, Some(1)]);
    }

    #[test]
    fn nothing_of_an_endless_line_is_held() {
        let mut lines = Lines::new(io::repeat(b'x').take(64 << 20));
        assert_eq!(lines.next(|| Ok(())).unwrap(), Some(Line::TooLong));
        assert!(lines.line.capacity() <= 2 * LINE_LIMIT);
    }
}
