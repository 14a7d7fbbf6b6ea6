//! What to say of a text that is no YAML: libyaml names the token that it stumbled over, an operator wants to know
//! which line to mend and how.

use serde::Deserialize;

use super::{Diagnostic, Position};

/// Says why a text is not well-formed, and what is likely wrong with it.
pub(super) fn explain(error: &serde_yaml::Error, text: &str) -> Diagnostic {
    let whole = error.to_string();
    let position = Position::of(error).unwrap_or(Position::START);
    let stumble = Stumble { text, message: &whole, position };
    let (position, message, help) = stumble.in_our_words();
    let mut diagnostic = Diagnostic::error(Some(position), message);
    diagnostic.help = help;
    diagnostic
}

/// Where and why the parser gave up.
struct Stumble<'t> {
    text: &'t str,
    message: &'t str,
    position: Position,
}

type Explanation = (Position, String, Option<String>);

impl Stumble<'_> {
    fn in_our_words(&self) -> Explanation {
        let (reason, _) = self.message.split_once(" at line ").unwrap_or((self.message, ""));
        match reason {
            "mapping values are not allowed in this context" => self.misplaced_colon(),
            "found character that cannot start any token" => self.bad_first_character(),
            "did not find expected alphabetic or numeric character" => self.bare_star(),
            "did not find expected node content" => self.missing_value(),
            "did not find expected ',' or ']'" => self.open_bracket('['),
            "did not find expected ',' or '}'" => self.open_bracket('{'),
            "found unexpected end of stream" => self.at_context(
                "the quote that begins here is never closed",
                "close it, or double a quote that is meant",
            ),
            "could not find expected ':'" => self.at_context("this key has no `:`", "write `key: value`"),
            "did not find expected key" => self.misfit(),
            "did not find expected '-' indicator" => self.here(
                "this line does not fit into the list above",
                "begin an item with `- ` like the others, and indent its further keys like its first one",
            ),
            "found unknown escape character" => self.here(
                "unknown escape in a text with double quotes",
                "write `\\\\` for a backslash, or use single quotes, in which it stands for itself",
            ),
            _ => self.by_part_of_message(reason),
        }
    }

    fn by_part_of_message(&self, reason: &str) -> Explanation {
        let has = |part| reason.contains(part);
        if has("EOF while parsing") {
            self.here("the file is empty", "a configuration has at least `listeners` and `routes`")
        } else if has("more than one document") {
            let second = second_document(self.text).unwrap_or(self.position);
            Self { position: second, ..*self }.here(
                "a second YAML document begins here",
                "write everything into one document, without a `---` line between",
            )
        } else if has("unknown anchor") {
            self.here(
                "the `*` stands for an anchor (`&name`), and no such anchor stands before it",
                "put a text that starts with `*` in quotes, like \"*.example.com\"",
            )
        } else if has("control characters") {
            Self { position: first_control(self.text).unwrap_or(self.position), ..*self }.here(
                "a control character stands here",
                "remove it, or write it as an escape in double quotes",
            )
        } else if has("expected a key") {
            self.here("a map or a list cannot be a key", "put a text with `{` or `[` in quotes")
        } else if has("recursion limit") {
            self.here("nested too deep, or an anchor that holds itself", "128 levels are allowed")
        } else if has("repetition limit") {
            self.here("the aliases (`*name`) of this file multiply too far", "write the values out")
        } else {
            (self.position, reason.to_owned(), None)
        }
    }

    fn here(&self, message: &str, help: &str) -> Explanation {
        (self.position, message.to_owned(), Some(help.to_owned()))
    }

    /// As [`Self::here`], where the construct begins in which the parser stumbled.
    fn at_context(&self, message: &str, help: &str) -> Explanation {
        Self { position: self.context().unwrap_or(self.position), ..*self }.here(message, help)
    }

    /// The end of a message like `…, while scanning a quoted scalar at line 3 column 4`.
    fn context(&self) -> Option<Position> {
        let (_, while_doing) = self.message.split_once(", while ")?;
        let (line, column) = while_doing.split_once(" at line ")?.1.split_once(" column ")?;
        Some(Position { line: line.parse().ok()?, column: column.parse().ok()? })
    }

    /// The line at the position, split there.
    fn line(&self) -> (&str, &str) {
        let line = self.text.lines().nth(self.position.line - 1).unwrap_or("");
        let split = line.char_indices().nth(self.position.column - 1).map_or(line.len(), |(index, _)| index);
        line.split_at(split)
    }

    fn misplaced_colon(&self) -> Explanation {
        let (before, _) = self.line();
        if before.contains(": ") {
            return self.here("a second `:` in one line", "put a text with `: ` in quotes");
        }
        self.here(
            "a `:` cannot stand here, because the line before is not complete",
            "the line before needs a `:` with a space after it and no value, or this line less indentation",
        )
    }

    fn bad_first_character(&self) -> Explanation {
        match self.line().1.chars().next() {
            Some('\t') => self.here("a tab stands here", "indent with spaces"),
            Some(first) => {
                let help = format!("put a text that starts with `{first}` in quotes");
                (self.position, format!("a text cannot start with `{first}`"), Some(help))
            }
            None => self.here("an unexpected character", "put the text in quotes"),
        }
    }

    fn bare_star(&self) -> Explanation {
        let column = self.position.column.saturating_sub(1).max(1);
        Self { position: Position { column, ..self.position }, ..*self }
            .here("a text cannot start with `*`", "put it in quotes, like \"*.example.com\"")
    }

    fn missing_value(&self) -> Explanation {
        let (before, after) = self.line();
        if before.ends_with('[') && after.starts_with(':') {
            return self.here("`[` begins a list here", "put an IPv6 address in quotes, like \"[::]:8080\"");
        }
        self.here(
            "a value is missing here",
            "write a value, or put a text with `[`, `]`, `{`, `}` or `,` in quotes",
        )
    }

    fn open_bracket(&self, open: char) -> Explanation {
        let close = if open == '[' { ']' } else { '}' };
        let begins = self.context().map_or_else(String::new, |at| format!(" of line {}", at.line));
        let message =
            format!("the `{open}`{begins} is still open, and neither `,` nor `{close}` stands here");
        (self.position, message, Some(format!("add the `,` or the `{close}` that is missing before this")))
    }

    fn misfit(&self) -> Explanation {
        let (before, _) = self.line();
        match before.trim_end().chars().next_back() {
            Some(end @ ('"' | '\'' | ']' | '}')) => {
                let message = format!("nothing can follow the `{end}` that closes a value");
                (self.position, message, Some("put the whole value in quotes".to_owned()))
            }
            _ => self.here(
                "this line does not fit into the map above",
                "indent it exactly like the other keys of its map",
            ),
        }
    }
}

fn second_document(text: &str) -> Option<Position> {
    let second = serde_yaml::Deserializer::from_str(text).nth(1)?;
    // No document is a list of so many nothings, so its beginning is reported.
    let error = <[(); 32]>::deserialize(second).err()?;
    Position::of(&error)
}

fn first_control(text: &str) -> Option<Position> {
    let is_bad = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n' | '\u{85}');
    text.lines().zip(1..).find_map(|(line, number)| {
        let column = line.chars().position(is_bad)? + 1;
        Some(Position { line: number, column })
    })
}
