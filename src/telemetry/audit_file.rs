use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::line_queue::{Counts, FileKind, LineCounts, LineQueue, LogKind, open_file};

/// A file of lines about what operators do, written by a thread of its own: a disk that hangs stops neither a change nor the
/// next look at the process. Its thread ends when this is dropped and what waits is written.
#[derive(Debug)]
pub(crate) struct AuditFile {
    path: PathBuf,
    queue: LineQueue,
    counts: Arc<Counts>,
}

/// Nobody makes more changes while a disk does what it should.
static LOG: LogKind = LogKind { name: "audit log", thread: "audit-log", most_lines: 1024 };

impl AuditFile {
    /// Opens the file, for appending. A new one is for its owner only.
    ///
    /// # Errors
    /// When it cannot be opened, is no regular file, or no thread can be started.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let counts = Arc::new(Counts::new(&LOG));
        let queue = LineQueue::start(open_file(&LOG, path, FileKind::Private)?, &counts)?;
        Ok(Self { path: path.to_owned(), queue, counts })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands a line over without waiting.
    pub(crate) fn write(&self, line: Vec<u8>) {
        self.queue.hand(line, &self.counts);
    }

    /// Has the file opened again, by its path, before another line is written.
    pub(crate) fn reopen(&self) {
        self.queue.reopen();
    }

    /// What became of its lines so far.
    pub(crate) fn counts(&self) -> LineCounts {
        self.counts.get()
    }

    /// Waits until every line so far is written, at most `limit`. Blocks its thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        self.counts.settle(limit);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn lines_are_appended_for_the_owner_only_and_the_file_may_be_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        for line in ["one\n", "two\n"] {
            let file = AuditFile::open(&path).unwrap();
            file.write(line.into());
            file.settle(PATIENCE);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let file = AuditFile::open(&path).unwrap();
        fs::rename(&path, &moved).unwrap();
        file.write(b"three\n".to_vec());
        file.settle(PATIENCE);
        file.reopen();
        file.write(b"four\n".to_vec());
        file.settle(PATIENCE);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[test]
    fn what_is_no_file_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("none/audit.log"), "/dev/null".into()] {
            let error = AuditFile::open(&path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("audit log {}: ", path.display())), "{error}");
        }
    }
}
