use std::fmt::{self, Write};

/// Shows a text on a terminal, with its lines: what would do something to the terminal, or have it show something else than is
/// there, is written as JSON has it, `\\u001b`. JSON stays what it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible<T>(pub(crate) T);

/// The same of a text that is a part of a line, and stays one.
pub(crate) fn visible_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Writing into a String cannot fail.
    let _ = Escaping { out: &mut out, keeps: "" }.write_str(text);
    out
}

impl<T: fmt::Display> fmt::Display for Visible<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { out: f, keeps: "\n\t" }, "{}", self.0)
    }
}

/// Passes on what can be seen, and these characters.
struct Escaping<'o, W: ?Sized> {
    out: &'o mut W,
    keeps: &'static str,
}

impl<W: Write + ?Sized> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| self.hides(*character)) {
            self.out.write_str(&rest[..at])?;
            write!(self.out, "\\u{:04x}", u32::from(character))?;
            rest = &rest[at + character.len_utf8()..];
        }
        self.out.write_str(rest)
    }
}

impl<W: ?Sized> Escaping<'_, W> {
    fn hides(&self, character: char) -> bool {
        (character.is_control() && !self.keeps.contains(character)) || is_reordering(character)
    }
}

/// Whether it has what follows shown in another order, or in another line (UAX 9, and the separators of lines).
fn is_reordering(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_do_something_to_a_terminal_is_written_out() {
        let text = "a\u{1b}[2Jb\n\tc\r\u{9b}31m\u{7f}\u{202e}ü\n";
        let told = Visible(text).to_string();
        assert_eq!(told, "a\\u001b[2Jb\n\tc\\u000d\\u009b31m\\u007f\\u202eü\n");
        assert_eq!(visible_line("a\n\tb\u{1b}"), "a\\u000a\\u0009b\\u001b");
        assert_eq!(Visible(format_args!("{} {}", 1, "\u{7}")).to_string(), "1 \\u0007");
    }

    #[test]
    fn json_stays_what_it_is() {
        let value = "a\u{1b}\u{9b}\u{202e}\"\\";
        let json = serde_json::to_string(value).unwrap();
        assert_eq!(serde_json::from_str::<String>(&Visible(json).to_string()).unwrap(), value);
    }
}
