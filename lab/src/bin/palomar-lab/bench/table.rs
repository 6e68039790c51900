//! Tables that people read in a terminal and that Markdown renders.

/// A table with a heading; every row is as long as the heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

// === impl Table ===

impl Table {
    /// A table without rows.
    pub fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it.
    pub fn print(&self) {
        println!("{}", self.text());
    }

    fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let line = |cells: Vec<String>| format!("|{}|\n", cells.join("|"));
        let padded = |(cell, width): (&String, &usize)| format!(" {cell:<width$} ");
        let mut lines: Vec<_> =
            self.rows.iter().map(|row| line(row.iter().zip(&widths).map(padded).collect())).collect();
        lines.insert(1, line(widths.iter().map(|width| "-".repeat(width + 2)).collect()));
        lines.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["a", "–bc"]);
        table.row(vec!["long".to_owned(), "d".to_owned()]);
        assert_eq!(table.text(), "| a    | –bc |\n|------|-----|\n| long | d   |\n");
    }
}
