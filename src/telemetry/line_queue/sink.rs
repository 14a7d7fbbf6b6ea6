use std::io;

/// Takes lines. It may wait for as long as it likes: it has a thread of its own.
pub(in crate::telemetry) trait Sink: Send {
    /// Writes all lines.
    ///
    /// # Errors
    /// When some of them could not be written.
    fn write(&mut self, batch: &Batch) -> Result<(), Unwritten>;

    /// Opens again what may have been renamed.
    fn reopen(&mut self) {}
}

/// Lines that are written at once.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Batch {
    text: Vec<u8>,
    /// Where each line ends, line feed included.
    ends: Vec<usize>,
}

/// Lines that a sink did not take.
#[derive(Debug)]
pub(in crate::telemetry) struct Unwritten {
    pub(in crate::telemetry) lines: u64,
    /// What it said to the first of them.
    pub(in crate::telemetry) error: io::Error,
}

impl Batch {
    /// Takes a line with its line feed.
    pub(in crate::telemetry) fn push(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.ends.push(self.text.len());
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn ends(&self) -> &[usize] {
        &self.ends
    }

    pub(in crate::telemetry) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The lines without their line feeds.
    pub(in crate::telemetry) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.text[begin..end.saturating_sub(1).max(begin)])
    }
}

impl Unwritten {
    /// Of lines with these ends, when only `taken` bytes of them were taken.
    pub(in crate::telemetry) fn after(taken: usize, ends: &[usize], error: io::Error) -> Self {
        let lines = ends.iter().filter(|end| **end > taken).count();
        Self { lines: lines as u64, error }
    }
}
