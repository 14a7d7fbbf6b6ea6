use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::types::{ByteSize, Stamp, looking, next_look};

use super::{Job, JobCx};

/// What a file says, kept fresh: had from [`BuildCx::watch_file`](super::BuildCx::watch_file).
pub struct Watched<T>(Arc<WatchedFile<T>>);

/// How a hook reads a file's bytes; what is wrong with them is told in lower case.
pub type ReadFile<T> = fn(&[u8]) -> Result<T, String>;

/// As [`ReadFile`], for what keeps the bytes.
pub type TakeFile<T> = fn(Vec<u8>) -> Result<T, String>;

/// Either way to read.
pub(super) enum Read<T> {
    Borrowed(ReadFile<T>),
    Owned(TakeFile<T>),
}

/// One for all hooks that read the same file to the same type.
pub(super) struct WatchedFile<T> {
    path: PathBuf,
    most: ByteSize,
    read: Read<T>,
    value: ArcSwapOption<T>,
    /// The file when its bytes were last read.
    seen: Mutex<Option<Stamp>>,
    /// What was wrong with it then; each thing is told of once.
    told: Mutex<Option<String>>,
}

impl<T> Watched<T> {
    pub(super) fn new(file: Arc<WatchedFile<T>>, first: &Arc<T>) -> Self {
        file.value.store(Some(first.clone()));
        Self(file)
    }

    /// What the file said when it was last right. Costs no lock.
    #[expect(
        clippy::expect_used,
        reason = "there is a value before there is a handle, and none is taken away"
    )]
    pub fn get(&self) -> Arc<T> {
        self.0.value.load_full().expect("a value")
    }
}

impl<T> WatchedFile<T> {
    pub(super) fn new(path: PathBuf, most: ByteSize, read: Read<T>) -> Self {
        let (value, seen, told) = (ArcSwapOption::empty(), Mutex::default(), Mutex::default());
        Self { path, most, read, value, seen, told }
    }

    /// Reads the file as it is now.
    pub(super) fn read(&self) -> Result<Arc<T>, String> {
        self.read_by(bytes_of)
    }

    fn read_by(&self, bytes_of: impl Fn(&Path, ByteSize) -> io::Result<Vec<u8>>) -> Result<Arc<T>, String> {
        // Before the bytes: what changes in between is read again.
        let found = Stamp::of(&self.path);
        let bytes = bytes_of(&self.path, self.most);
        // What could not be read for once is tried again, whether the file changes or not.
        *self.seen.lock() = found.filter(|_| bytes.is_ok());
        let bytes = bytes.map_err(|error| format!("it cannot be read: {error}"))?;
        let value = match self.read {
            Read::Borrowed(read) => read(&bytes),
            Read::Owned(read) => read(bytes),
        };
        value.map(Arc::new)
    }

    fn look(&self) {
        self.look_by(bytes_of);
    }

    fn look_by(&self, bytes_of: impl Fn(&Path, ByteSize) -> io::Result<Vec<u8>>) {
        let found = Stamp::of(&self.path);
        // A file that is gone is about to come back.
        if found.is_none() || *self.seen.lock() == found {
            return;
        }
        let path = self.path.display();
        let mut told = self.told.lock();
        match self.read_by(bytes_of) {
            Ok(value) => {
                self.value.store(Some(value));
                *told = None;
                log::info!("file was read again file={path}");
            }
            Err(error) if told.as_ref() == Some(&error) => {}
            Err(error) => {
                log::error!("file is not used, what it said before is file={path} error={error:?}");
                *told = Some(error);
            }
        }
    }
}

fn bytes_of(path: &Path, most: ByteSize) -> io::Result<Vec<u8>> {
    // A pipe would be waited for.
    let found = path.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    // What grows while it is read takes up to twice its size, and those who keep the bytes keep that.
    let expected = usize::try_from(found.len().min(most.bytes())).map_err(io::Error::other)?;
    bytes.try_reserve_exact(expected).map_err(io::Error::other)?;
    File::open(path)?.take(most.bytes() + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most.bytes() {
        return Err(io::Error::other(format!("it is larger than {most}")));
    }
    Ok(bytes)
}

#[async_trait]
impl<T: Send + Sync + 'static> Job for Arc<WatchedFile<T>> {
    async fn run(&self, _: &JobCx) {
        loop {
            next_look().await;
            if looking(self.clone(), |file| file.look()).await.is_none() {
                log::error!("file cannot be looked at file={}", self.path.display());
            }
        }
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("path", &self.0.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MOST: ByteSize = ByteSize::from_mib(16);

    fn number(bytes: &[u8]) -> Result<u32, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|error: std::num::ParseIntError| error.to_string())
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let file = Arc::new(WatchedFile::new(path.clone(), MOST, Read::Borrowed(number)));
        assert!(file.read().unwrap_err().starts_with("it cannot be read: No such file"));
        fs::write(&path, "1").unwrap();
        let watched = Watched::new(file.clone(), &file.read().unwrap());
        assert_eq!(*watched.get(), 1);
        fs::write(&path, "12").unwrap();
        file.look();
        assert_eq!(*watched.get(), 12);
        fs::write(&path, "many").unwrap();
        file.look();
        assert_eq!(*watched.get(), 12, "what is not right is not used");
        fs::remove_file(&path).unwrap();
        file.look();
        assert_eq!(*watched.get(), 12);
        fs::write(&path, "123").unwrap();
        file.look();
        assert_eq!(*watched.get(), 123);
    }

    #[test]
    fn what_could_not_be_read_for_once_is_read_without_another_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let file = Arc::new(WatchedFile::new(path.clone(), MOST, Read::Borrowed(number)));
        let watched = Watched::new(file.clone(), &file.read().unwrap());
        fs::write(&path, "12").unwrap();
        file.look_by(|_, _| Err(io::ErrorKind::TimedOut.into()));
        assert_eq!(*watched.get(), 1);
        file.look();
        assert_eq!(*watched.get(), 12);
        fs::write(&path, "many").unwrap();
        file.look();
        file.look_by(|_, _| panic!("what is not right is read once"));
    }

    #[test]
    fn bytes_that_are_kept_are_held_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        fs::write(&path, vec![7; 100_000]).unwrap();
        let file = WatchedFile::new(path, MOST, Read::Owned(Ok));
        let bytes = file.read().unwrap();
        assert_eq!((bytes.len(), bytes.capacity()), (100_000, 100_000));
    }

    #[test]
    fn what_is_no_file_and_what_is_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = WatchedFile::new(folder.path().to_owned(), MOST, Read::Borrowed(number));
        assert_eq!(file.read().unwrap_err(), "it cannot be read: it is no regular file");
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(MOST.bytes() + 1).unwrap();
        assert_eq!(
            WatchedFile::new(large, MOST, Read::Borrowed(number)).read().unwrap_err(),
            "it cannot be read: it is larger than 16MiB"
        );
    }
}
