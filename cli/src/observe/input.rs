//! Files of JSON lines, packed or not, as one sequence of lines.

mod lines;
mod zstd;

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};

use anyhow::{Result, bail};
use flate2::bufread::MultiGzDecoder;

pub use lines::{LINE_LIMIT, Line, Lines};
use palomar_transport::errno;

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Opens every file before any of them is read; `-` is stdin. The errors are worded as Go's.
pub fn open<'a>(names: &'a [String], stdin: &'a mut dyn Read) -> Result<Vec<(&'a str, Box<dyn Read + 'a>)>> {
    let mut stdin = Some(stdin);
    let mut opened: Vec<(&str, Box<dyn Read>)> = Vec::new();
    for name in names {
        let reader: Box<dyn Read> = if name == "-" {
            match stdin.take() {
                Some(stdin) => Box::new(stdin),
                None => bail!("--input-file - can be given once only"),
            }
        } else {
            match File::open(name) {
                Ok(file) => Box::new(file),
                Err(error) => bail!("open {name}: {}", errno::text(&error)),
            }
        };
        opened.push((name, reader));
    }
    Ok(opened)
}

/// Unpacks what begins as gzip or zstd do, whatever its name; anything else is taken as it is.
pub fn unpacked<'a>(mut reader: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    let mut beginning = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut beginning)?;
    let packing = (beginning.starts_with(GZIP), beginning.starts_with(ZSTD));
    let whole = Cursor::new(beginning).chain(reader);
    Ok(match packing {
        (true, _) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole))),
        (_, true) => Box::new(zstd::Reader::new(BufReader::with_capacity(BUFFER, whole))),
        _ => Box::new(whole),
    })
}
