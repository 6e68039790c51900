//! A table of any length in little memory: rows that do not fit wait in a file without a name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};

use super::Columns;
use super::columns::{cell_width, column_width};

/// Bytes of rows that are held; more go to the file.
const HELD: usize = 4 << 20;
/// Bytes that go to the file at once, and come back from it; few enough to be in the processor's cache still.
const AT_ONCE: usize = 64 << 10;
/// Rows of odd length that are laid out together.
const MOST_ODD: usize = 1 << 14;

/// Rows of cells that all have a cell in each column. A row with more cells, because of a tab in one of them, is odd.
#[derive(Debug, Default)]
pub struct Sheet {
    /// The longest cell of each column but the last.
    longest: Vec<usize>,
    rows: String,
    /// Of each row that is held, how many cells it has, and where in it each of them ends; a row that is not ASCII has
    /// none noted.
    ends: Vec<u32>,
    file: Option<File>,
    /// Whether rows had to be held because there is no place for a file.
    homeless: bool,
}

impl Sheet {
    /// Whether there is no row.
    pub const fn is_empty(&self) -> bool {
        self.longest.is_empty()
    }

    /// Adds a row, its cells separated by tabs; the first row says how many columns there are.
    pub fn row(&mut self, row: &str) -> io::Result<()> {
        if self.is_empty() {
            self.longest = vec![0; row.matches('\t').count()];
        }
        let first = self.ends.len();
        self.ends.push(0);
        let (mut longest, mut end) = (self.longest.iter_mut(), 0);
        for cell in Cells::of(row) {
            if let Some(longest) = longest.next() {
                *longest = (*longest).max(cell.width);
            }
            end += cell.text.len();
            self.ends.push(u32::try_from(end).unwrap_or(u32::MAX));
            end += 1;
        }
        if row.is_ascii() && u32::try_from(row.len()).is_ok() {
            self.ends[first] = u32::try_from(self.ends.len() - first - 1).unwrap_or(0);
        } else {
            self.ends.truncate(first + 1);
        }
        self.rows.push_str(row);
        self.rows.push('\n');
        let held = if self.file.is_some() { AT_ONCE } else { HELD };
        if self.rows.len() < held || self.homeless {
            return Ok(());
        }
        if self.file.is_none() {
            match tempfile::tempfile() {
                Ok(file) => self.file = Some(file),
                // a system without a place for files may still have memory
                Err(_) => self.homeless = true,
            }
        }
        if let Some(file) = &mut self.file {
            file.write_all(self.rows.as_bytes())?;
            self.rows.clear();
            self.ends.clear();
        }
        Ok(())
    }

    /// Writes all rows. The last cell of a row gets no padding.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        let widths: Vec<usize> = self.longest.iter().map(|longest| column_width(*longest)).collect();
        let mut layout = Layout { widths, odd: Vec::new(), line: String::new() };
        if let Some(mut file) = self.file {
            file.seek(SeekFrom::Start(0))?;
            let (mut file, mut row) = (BufReader::with_capacity(AT_ONCE, file), String::new());
            while file.read_line(&mut row)? > 0 {
                let whole = row.trim_end_matches('\n');
                layout.row(whole, Cells::of(whole), out)?;
                row.clear();
            }
        }
        let (mut rest, mut ends) = (self.rows.as_str(), self.ends.as_slice());
        while let Some((count, behind)) = ends.split_first() {
            let (own, behind) = behind.split_at((*count as usize).min(behind.len()));
            ends = behind;
            let length =
                own.last().map_or_else(|| rest.find('\n').unwrap_or(rest.len()), |end| *end as usize);
            let (row, behind) = rest.split_at(length);
            rest = behind.strip_prefix('\n').unwrap_or(behind);
            if own.is_empty() {
                layout.row(row, Cells::of(row), out)
            } else {
                layout.row(row, noted(row, own), out)
            }?;
        }
        layout.flush_odd(out)
    }
}

/// The cells of a row.
struct Cells<'a> {
    row: &'a str,
    tabs: memchr::Memchr<'a>,
    is_ascii: bool,
    /// Where the next cell begins; `None`: there is none.
    next: Option<usize>,
}

struct Cell<'a> {
    text: &'a str,
    width: usize,
}

impl<'a> Cells<'a> {
    fn of(row: &'a str) -> Self {
        let tabs = memchr::memchr_iter(b'\t', row.as_bytes());
        Self { row, tabs, is_ascii: row.is_ascii(), next: Some(0) }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let start = self.next?;
        let tab = self.tabs.next();
        self.next = tab.map(|tab| tab + 1);
        let text = &self.row[start..tab.unwrap_or(self.row.len())];
        Some(Cell { text, width: if self.is_ascii { text.len() } else { cell_width(text) } })
    }
}

/// The cells of a row of ASCII whose ends are known.
fn noted<'r>(row: &'r str, ends: &'r [u32]) -> impl Iterator<Item = Cell<'r>> {
    let mut start = 0;
    ends.iter().map(move |end| {
        let text = &row[start..*end as usize];
        start = *end as usize + 1;
        Cell { text, width: text.len() }
    })
}

struct Layout {
    widths: Vec<usize>,
    /// Odd rows, one after the other: their columns beyond the others are as wide as they need among themselves.
    odd: Vec<String>,
    line: String,
}

impl Layout {
    /// Writes a row, after the odd ones before it, or keeps it with those.
    fn row<'r>(
        &mut self,
        row: &'r str,
        cells: impl Iterator<Item = Cell<'r>>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        self.line.clear();
        let (mut widths, mut missing) = (self.widths.iter(), 0);
        for (at, cell) in cells.enumerate() {
            if at > self.widths.len() {
                return self.keep_odd(row, out);
            }
            push_spaces(&mut self.line, missing);
            self.line.push_str(cell.text);
            missing = widths.next().map_or(0, |width| width.saturating_sub(cell.width));
        }
        self.line.push('\n');
        if !self.odd.is_empty() {
            self.flush_odd(out)?;
        }
        out.write_all(self.line.as_bytes())
    }

    fn keep_odd(&mut self, row: &str, out: &mut impl Write) -> io::Result<()> {
        if self.odd.len() == MOST_ODD {
            self.flush_odd(out)?;
        }
        self.odd.push(row.to_owned());
        Ok(())
    }

    fn flush_odd(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut columns = Columns::with_widths(self.widths.clone());
        for row in self.odd.drain(..) {
            columns.line(&[row.as_str()]);
        }
        columns.write(out)
    }
}

fn push_spaces(line: &mut String, mut count: usize) {
    const SPACES: &str = "                                                                ";
    while count > 0 {
        let now = count.min(SPACES.len());
        line.push_str(&SPACES[..now]);
        count -= now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same rows, all laid out at once.
    fn at_once(rows: &[String]) -> Vec<u8> {
        let mut columns = Columns::default();
        for row in rows {
            columns.line(&[row.as_str()]);
        }
        let mut out = Vec::new();
        columns.write(&mut out).unwrap();
        out
    }

    fn through_a_sheet(rows: &[String]) -> Vec<u8> {
        let mut sheet = Sheet::default();
        for row in rows {
            sheet.row(row).unwrap();
        }
        let mut out = Vec::new();
        sheet.write(&mut out).unwrap();
        out
    }

    proptest! {
        #[test]
        fn rows_are_laid_out_as_if_all_were_there(
            cells in prop::collection::vec(prop::collection::vec("[a-zä]{0,5}|a\tb|\t", 3), 1..12),
        ) {
            let header = "A\tB\tC".to_owned();
            let rows: Vec<String> = [header].into_iter().chain(cells.iter().map(|cells| cells.join("\t"))).collect();
            prop_assert_eq!(String::from_utf8(through_a_sheet(&rows)), String::from_utf8(at_once(&rows)));
        }
    }

    #[test]
    fn more_rows_than_are_held_come_back_from_the_file() {
        let row = |at: usize| format!("{at}\t{}\tend", "x".repeat(at % 900));
        let rows: Vec<String> = (0..20_000).map(row).collect();
        assert!(rows.iter().map(String::len).sum::<usize>() > 2 * HELD);
        assert_eq!(through_a_sheet(&rows), at_once(&rows));
    }
}
