//! Tells the same again and again, until somebody ends it or nobody listens any more.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use ratatui::crossterm::terminal;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::types::Visible;

use super::output::fail;

/// Prints what `tell` gives, every so often; in a terminal each text in the place of the one before, if it `is_screen`.
/// What fails the first time ends it; later it may be over soon, as when the process is started anew.
pub(super) fn watch(
    every: Duration,
    is_screen: bool,
    tell: impl Fn() -> Result<String, u8> + Send + Sync + 'static,
) -> Result<(), u8> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(fail)?;
    let is_screen = is_screen && io::stdout().is_terminal();
    let watched = runtime.block_on(run(every, is_screen, Arc::new(tell)));
    end(runtime);
    watched
}

/// Nobody waits for an answer that may still be under way.
pub(super) fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

async fn run<F>(every: Duration, is_screen: bool, tell: Arc<F>) -> Result<(), u8>
where
    F: Fn() -> Result<String, u8> + Send + Sync + 'static,
{
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    let mut is_first = true;
    loop {
        let tell = tell.clone();
        let turn = async {
            // In a thread of its own, so that a process that does not answer keeps nobody from ending this.
            let told = spawn_blocking(move || tell()).await.map_err(fail)?;
            match told {
                Ok(text) => paint(&text, is_screen),
                Err(code) if is_first => Err(code),
                Err(_) => Ok(true),
            }
        };
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            goes_on = turn => if !goes_on? { return Ok(()) },
        }
        is_first = false;
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            () = sleep(every) => {}
        }
    }
}

/// Prints a text; false where nobody reads any more.
fn paint(text: &str, is_screen: bool) -> Result<bool, u8> {
    let rows = terminal::size().map_or(usize::MAX, |(_, rows)| usize::from(rows));
    let text = Visible(text).to_string();
    let text = if is_screen { screen(&text, rows) } else { text };
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(fail(format_args!("standard output cannot be written: {error}"))),
    }
}

/// A text from the upper left corner on, over what stands there, and not longer than the screen.
fn screen(text: &str, rows: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let room = rows.saturating_sub(1).max(1);
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    let mut out = "\x1b[H".to_owned();
    for line in &lines[..shown] {
        out.push_str(line);
        out.push_str("\x1b[K\n");
    }
    if shown < lines.len() {
        out.push_str(&format!(
            "… {} lines more; make the terminal larger, or name a pool\x1b[K\n",
            lines.len() - shown
        ));
    }
    out.push_str("\x1b[J");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_painted_over_and_never_scrolls() {
        assert_eq!(screen("a\nb\n", 24), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        let told = screen("a\nb\nc\nd\n", 4);
        assert_eq!(told.lines().count(), 4);
        assert!(told.starts_with("\x1b[Ha\x1b[K\nb\x1b[K\n… 2 lines more;"), "{told:?}");
        assert!(screen("a\nb\n", 0).contains("… 2 lines more"));
    }
}
