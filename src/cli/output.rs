//! Where commands print. `print!` and its kin panic when nobody reads any more, as with `| head`.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use ratatui::crossterm;
use serde::Serialize;

use crate::types::Visible;

use super::FAILED;

/// Prints to standard output, without what would do something to a terminal: what configurations and clients say is printed,
/// too. Whoever has closed it has read enough: the command goes on, and exits as if all were read.
pub(super) fn print(text: impl Display) -> Result<(), u8> {
    print_while_read(text).map(drop)
}

/// The same for what more follows; false when it need not.
pub(super) fn print_while_read(text: impl Display) -> Result<bool, u8> {
    write_out(Visible(text))
}

/// The same for what is no good to a program unless it is printed byte by byte.
pub(super) fn print_exactly(text: impl Display) -> Result<(), u8> {
    if io::stdout().is_terminal() { print(text) } else { write_out(text).map(drop) }
}

fn write_out(text: impl Display) -> Result<bool, u8> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(fail(format_args!("standard output cannot be written: {error}")))
        }
        written => Ok(written.is_ok()),
    }
}

/// Prints a line to standard output, as [`print()`] does.
pub(super) fn print_line(text: impl Display) -> Result<(), u8> {
    print(format_args!("{text}\n"))
}

/// The same for programs.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), u8> {
    print_line(serde_json::to_string_pretty(value).map_err(fail)?)
}

/// A value on one line, for programs that read one after the other.
pub(super) fn line_of_json(value: &impl Serialize) -> Result<String, u8> {
    serde_json::to_string(value).map(|line| line + "\n").map_err(fail)
}

/// How many columns there are for a table; without a limit where nobody looks at them.
pub(super) fn width() -> usize {
    let is_terminal = io::stdout().is_terminal();
    let size = is_terminal.then(|| crossterm::terminal::size().ok()).flatten();
    // Some terminals know of no size.
    size.filter(|(columns, _)| *columns > 0).map_or(usize::MAX, |(columns, _)| columns.into())
}

/// Prints to standard error, as [`print()`] does. Where that is gone, nobody can be told so.
pub(super) fn tell(text: impl Display) {
    let _ = write!(io::stderr().lock(), "{}", Visible(text));
}

/// Tells why the command fails, and gives its exit code.
pub(super) fn fail(reason: impl Display) -> u8 {
    tell(format_args!("evener: {reason}\n"));
    FAILED
}
