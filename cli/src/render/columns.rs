//! Text in columns, laid out as Go's tabwriter does.

use std::io::{self, Write};

/// Spaces between two columns.
const PADDING: usize = 3;
/// A column is at least so wide, its padding included.
const MIN_WIDTH: usize = 2;

/// Lines of cells. A column reaches over neighbouring lines that all have a cell in it and another after it; it is as
/// wide as its longest cell. A tab inside a cell ends the cell.
#[derive(Debug, Default)]
pub struct Columns {
    lines: Vec<Vec<String>>,
    /// The widths of the first columns, where they are known.
    known: Vec<usize>,
}

/// The room that a cell takes.
pub(super) fn cell_width(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

/// The width of a column with a cell of that room as its longest.
pub(super) fn column_width(longest: usize) -> usize {
    (longest + PADDING).max(MIN_WIDTH)
}

impl Columns {
    /// Columns of which the first have these widths.
    pub(super) const fn with_widths(known: Vec<usize>) -> Self {
        Self { lines: Vec::new(), known }
    }

    /// Adds a line.
    pub fn line(&mut self, cells: &[&str]) {
        self.lines.push(cells.iter().flat_map(|cell| cell.split('\t')).map(str::to_owned).collect());
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Writes all lines. The last cell of a line gets no padding.
    pub fn write(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let widths = self.widths();
        for (line, widths) in self.lines.iter().zip(&widths) {
            for (cell, width) in line.iter().zip(widths) {
                let padding = width.saturating_sub(cell_width(cell));
                write!(out, "{cell}{:padding$}", "")?;
            }
            writeln!(out, "{}", line.last().map_or("", String::as_str))?;
        }
        Ok(())
    }

    /// The width of each cell that has another after it.
    fn widths(&self) -> Vec<Vec<usize>> {
        let mut widths: Vec<Vec<usize>> =
            self.lines.iter().map(|line| vec![0; line.len().saturating_sub(1)]).collect();
        let most = widths.iter().map(Vec::len).max().unwrap_or(0);
        for column in 0..most {
            let mut from = 0;
            while from < widths.len() {
                let reach = widths[from..].iter().take_while(|line| line.len() > column).count();
                let cells = self.lines[from..from + reach].iter().map(|line| cell_width(&line[column]));
                let width = cells.max().map_or(0, column_width);
                let width = self.known.get(column).copied().unwrap_or(width);
                widths[from..from + reach].iter_mut().for_each(|line| line[column] = width);
                from += reach.max(1);
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: &[&[&str]]) -> String {
        let mut columns = Columns::default();
        for line in lines {
            columns.line(line);
        }
        let mut out = Vec::new();
        columns.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        assert_eq!(written(&[&["A", "B", "C"], &["long", "", "x"]]), "A      B   C\nlong       x\n");
    }

    #[test]
    fn a_line_without_the_column_divides_it() {
        assert_eq!(
            written(&[&["NAMESPACE", "CLUSTER"], &["default"], &["shop", "prod"]]),
            "NAMESPACE   CLUSTER\ndefault\nshop   prod\n"
        );
    }

    #[test]
    fn a_tab_ends_a_cell() {
        assert_eq!(written(&[&["a", "b\tc"], &["aa", "bbb"]]), "a    b   c\naa   bbb\n");
    }
}
