//! Rows in columns, in as many columns of a terminal as there are.

use std::fmt::Write;

/// A column: its heading, and how its cells stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    heading: &'static str,
    is_right: bool,
    /// Those of the highest rank go first where there is too little room; those of rank 0 stay.
    rank: u8,
}

/// A row, and what is to be known besides.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) note: String,
}

impl Column {
    /// Texts stand left.
    pub(super) const fn text(heading: &'static str) -> Self {
        Self { heading, is_right: false, rank: 0 }
    }

    /// Numbers stand right.
    pub(super) const fn number(heading: &'static str, rank: u8) -> Self {
        Self { heading, is_right: true, rank }
    }
}

impl From<Vec<String>> for Row {
    fn from(cells: Vec<String>) -> Self {
        Self { cells, note: String::new() }
    }
}

/// The least room that notes have beside the columns; with less they stand below their rows.
const NOTE: usize = 30;

/// Writes rows under headings, two spaces from the left and between columns, in lines of `width` at most.
pub(super) fn write_columns(columns: &[Column], rows: &[Row], width: usize, out: &mut String) {
    let shown = fitting(columns, rows, width);
    let notes = rows.iter().map(|row| row.note.chars().count()).max().unwrap_or(0);
    let has_room = total(&shown) + 2 + notes.min(NOTE) <= width;
    let headings = columns.iter().map(|column| column.heading.to_owned()).collect();
    let heading = Row { cells: headings, note: if notes > 0 { "NOTES".to_owned() } else { String::new() } };
    let line = |row: &Row| {
        let mut line = String::new();
        for &(index, width) in &shown {
            let cell = &row.cells[index];
            // Writing into a String cannot fail.
            let _ = match columns[index].is_right {
                true => write!(line, "  {cell:>width$}"),
                false => write!(line, "  {cell:<width$}"),
            };
        }
        line
    };
    if has_room {
        for row in std::iter::once(&heading).chain(rows) {
            push_line(&format!("{}  {}", line(row), row.note), width, out);
        }
        return;
    }
    push_line(&line(&heading), width, out);
    for row in rows {
        push_line(&line(row), width, out);
        if !row.note.is_empty() {
            push_line(&format!("      {}", row.note), width, out);
        }
    }
}

/// The columns that there is room for, by their index, and their widths.
fn fitting(columns: &[Column], rows: &[Row], width: usize) -> Vec<(usize, usize)> {
    let mut shown: Vec<_> = (0..columns.len()).map(|index| (index, widest(columns, rows, index))).collect();
    while total(&shown) > width {
        let rank = |place: usize| columns[shown[place].0].rank;
        let least = (0..shown.len()).rev().max_by_key(|&place| rank(place)).filter(|&place| rank(place) > 0);
        let Some(least) = least else { break };
        shown.remove(least);
    }
    shown
}

fn total(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, width)| width + 2).sum()
}

fn widest(columns: &[Column], rows: &[Row], index: usize) -> usize {
    let cells = rows.iter().map(|row| row.cells[index].chars().count());
    cells.chain([columns[index].heading.len()]).max().unwrap_or(0)
}

/// Adds a line, cut where it is longer than `width`.
pub(super) fn push_line(line: &str, width: usize, out: &mut String) {
    let line = line.trim_end();
    match line.char_indices().nth(width) {
        Some(_) => {
            out.extend(line.chars().take(width.saturating_sub(1)));
            out.push('…');
        }
        None => out.push_str(line),
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(width: usize) -> String {
        let columns = [Column::text("NAME"), Column::number("N", 1), Column::number("M", 2)];
        let row = |cells: [&str; 3], note: &str| Row {
            cells: cells.map(str::to_owned).to_vec(),
            note: note.to_owned(),
        };
        let mut out = String::new();
        write_columns(
            &columns,
            &[row(["a", "100", "2"], "why"), row(["longer", "7", ""], "")],
            width,
            &mut out,
        );
        out
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(told(80), "  NAME      N  M  NOTES\n  a       100  2  why\n  longer    7\n");
    }

    #[test]
    fn what_finds_no_room_goes_below_or_away() {
        assert_eq!(told(18), "  NAME      N  M\n  a       100  2\n      why\n  longer    7\n");
        assert_eq!(told(14), "  NAME      N\n  a       100\n      why\n  longer    7\n");
        assert_eq!(told(9), "  NAME\n  a\n      why\n  longer\n");
        assert_eq!(told(5), "  NA…\n  a\n    …\n  lo…\n");
    }
}
