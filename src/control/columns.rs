use std::fmt::Write;

/// How the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Left(heading) | Self::Right(heading) => heading,
        }
    }
}

/// Writes rows under headings, two spaces from the left and between columns. Lines are cut at `width`.
pub(super) fn write_columns(columns: &[Column], rows: &[Vec<String>], width: usize, out: &mut String) {
    let headings: Vec<_> = columns.iter().map(|column| column.heading().to_owned()).collect();
    let rows: Vec<_> = std::iter::once(&headings).chain(rows).collect();
    let widest = |index: usize| rows.iter().map(|row| row[index].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns.len()).map(widest).collect();
    for row in rows {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(columns).zip(&widths) {
            // Writing into a String cannot fail.
            let _ = match column {
                Column::Left(_) => write!(line, "  {cell:<width$}"),
                Column::Right(_) => write!(line, "  {cell:>width$}"),
            };
        }
        push_line(line.trim_end(), width, out);
    }
}

/// Adds a line, cut where it is longer than `width`.
pub(super) fn push_line(line: &str, width: usize, out: &mut String) {
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

    #[test]
    fn columns_are_aligned_and_cut() {
        let columns = [Column::Left("NAME"), Column::Right("N"), Column::Left("WHY")];
        let rows = [["a", "100", "it is long"], ["longer", "7", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let told = |width| {
            let mut out = String::new();
            write_columns(&columns, &rows, width, &mut out);
            out
        };
        assert_eq!(told(80), "  NAME      N  WHY\n  a       100  it is long\n  longer    7\n");
        assert_eq!(told(20), "  NAME      N  WHY\n  a       100  it i…\n  longer    7\n");
    }
}
