use std::ops::Range;

use crate::config::Position;

/// A part of a text, and what is to stand in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) at: Range<usize>,
    pub(super) with: String,
}

/// The text with all of them; `None` where two want to change the same part in two ways.
pub(super) fn apply<'s>(text: &str, splices: impl Iterator<Item = &'s Splice>) -> Option<String> {
    let mut splices: Vec<_> = splices.collect();
    splices.sort_by_key(|splice| (splice.at.start, splice.at.end));
    // What several names stand for is changed once.
    splices.dedup();
    let (mut out, mut end) = (String::with_capacity(text.len()), 0);
    for (index, Splice { at, with }) in splices.iter().enumerate() {
        if at.start < end || (index > 0 && splices[index - 1].at == *at) {
            return None;
        }
        out.push_str(&text[end..at.start]);
        out.push_str(with);
        end = at.end;
    }
    out.push_str(&text[end..]);
    Some(out)
}

/// A text in which positions are found.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    pub(super) fn offset(&self, Position { line, column }: Position) -> Option<usize> {
        let start = *self.starts.get(line.checked_sub(1)?)?;
        let mut chars = self.text[start..].char_indices().map(|(at, _)| start + at);
        chars.nth(column.checked_sub(1)?)
    }

    /// A text that stands at a place exactly as it reads, plain or in quotes, with these.
    pub(super) fn token(&self, at: Position, value: &str) -> Option<Range<usize>> {
        let start = self.offset(at)?;
        let rest = &self.text[start..];
        let quote = rest.chars().next().filter(|first| ['\'', '"'].contains(first));
        let written = match quote {
            Some(quote) => format!("{quote}{value}{quote}"),
            None if value.is_empty() => return None,
            None => value.to_owned(),
        };
        rest.starts_with(&written).then(|| start..start + written.len())
    }

    /// Where the line ends, and what ends it.
    pub(super) fn end_of_line(&self, from: usize) -> (usize, &'static str) {
        let end = self.text[from..].find('\n').map_or(self.text.len(), |at| from + at);
        match self.text[from..end].ends_with('\r') {
            true => (end - 1, "\r\n"),
            false => (end, "\n"),
        }
    }
}
