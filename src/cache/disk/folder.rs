use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    Access, AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, accessat, flock, fstat, fsync, mkdirat, openat,
    renameat, unlinkat,
};
use rustix::io::Errno;

/// The folder of a cache, whose files only this process touches as long as it lives. All names in it are hashes or
/// numbers; nothing that comes from outside is part of one.
#[derive(Debug)]
pub(super) struct Folder {
    root: OwnedFd,
    drafts: AtomicU64,
    /// Its lock ends with it.
    _lock: File,
}

/// A file that is written and has no name yet by which it is found.
#[derive(Debug)]
pub(super) struct DraftFile {
    pub(super) file: File,
    name: String,
}

/// What came of an attempt to have a folder.
#[derive(Debug)]
pub(super) enum Taken {
    Folder(Folder),
    /// Somebody else has it.
    Busy(Holder),
}

/// Who has a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its process, if it says so.
    pub(super) process: Option<u32>,
    /// Whether it is in this process.
    pub(super) is_own: bool,
}

/// Why nobody can have a folder as this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found}")]
pub(crate) struct Unusable {
    found: String,
    /// What to do.
    pub(crate) help: &'static str,
}

/// The layout of files; another one is another folder.
const VERSION: &str = "v1";
const TMP: &str = "tmp";
const ASIDE: &str = "aside";
const STATE: &str = "state";
const NEW_STATE: &str = "state.new";
const LOCK: &str = "lock";
/// Locked by who wants the folder, so that who has it lets go.
const CLAIM: &str = "claim";
/// So many folders there are in the folder; their names are two hexadecimal digits.
pub(super) const SHELVES: u16 = 256;

impl Folder {
    /// Whether this process could have the folder below `path`, as far as that is known without making it.
    ///
    /// # Errors
    /// When it could not, or what was found cannot be a folder of a cache.
    pub(super) fn check(path: &Path) -> Result<(), Unusable> {
        let own = path.join(VERSION);
        let there = own.ancestors().find_map(|place| match fs::metadata(place) {
            Err(error) if is_nothing(&error) => None,
            found => Some((place, found)),
        });
        let Some((place, found)) = there else { return Ok(()) };
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        let is_folder = found.map_err(|error| Unusable::of(place, &error))?.is_dir();
        if !is_folder {
            let found = format!("`{}` is no folder", place.display());
            return Err(Unusable { found, help: "name a folder, or a place where one can be made" });
        }
        let access = Access::WRITE_OK | Access::EXEC_OK;
        accessat(CWD, place, access, AtFlags::EACCESS).map_err(|error| Unusable::of(place, &error.into()))?;
        if place != own {
            return Ok(());
        }
        let root = rustix::fs::open(&own, folder_flags(), Mode::empty());
        let checked = root.map_err(io::Error::from).and_then(|root| is_own(&root, &own));
        checked.map_err(|error| Unusable::of(place, &error))
    }

    /// Takes the folder below `path`, which is made if it is not there, unless another process has it.
    pub(super) fn take(path: &Path) -> io::Result<Taken> {
        let mut builder = DirBuilder::new();
        let own = path.join(VERSION);
        builder.recursive(true).mode(0o700).create(&own)?;
        let root = rustix::fs::open(&own, folder_flags(), Mode::empty())?;
        is_own(&root, &own)?;
        let lock = openat(&root, LOCK, write_flags() | OFlags::CREATE, file_mode())?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Taken::Busy(Holder::of(lock))),
            Err(error) => return Err(error.into()),
        }
        let mut lock = File::from(lock);
        lock.set_len(0)?;
        lock.write_all(own_mark().as_bytes())?;
        let folder = Self { root, drafts: AtomicU64::new(0), _lock: lock };
        folder.make(TMP)?;
        folder.clear(TMP)?;
        Ok(Taken::Folder(folder))
    }

    /// Asks whoever has the folder to let go, for as long as the claim lives; `None` when somebody else asks already.
    pub(super) fn claim(path: &Path) -> io::Result<Option<OwnedFd>> {
        let root = rustix::fs::open(path.join(VERSION), folder_flags(), Mode::empty())?;
        claim(&root, FlockOperation::NonBlockingLockExclusive)
    }

    /// Whether somebody asks for the folder.
    pub(super) fn is_claimed(&self) -> io::Result<bool> {
        Ok(claim(&self.root, FlockOperation::NonBlockingLockShared)?.is_none())
    }

    /// The same of a folder that is another process's.
    pub(super) fn is_claimed_at(path: &Path) -> io::Result<bool> {
        match rustix::fs::open(path.join(VERSION), folder_flags(), Mode::empty()) {
            Err(Errno::NOENT) => Ok(false),
            root => Ok(claim(&root?, FlockOperation::NonBlockingLockShared)?.is_none()),
        }
    }

    pub(super) fn draft(&self) -> io::Result<DraftFile> {
        let name = format!("{TMP}/{}", self.drafts.fetch_add(1, Ordering::Relaxed));
        let flags = write_flags() | OFlags::CREATE | OFlags::EXCL;
        let file = openat(&self.root, name.as_str(), flags, file_mode())?;
        Ok(DraftFile { file: file.into(), name })
    }

    pub(super) fn discard(&self, draft: &DraftFile) -> io::Result<()> {
        self.unlink(&draft.name).map(drop)
    }

    /// Gives a file the name by which it is found. The one before is gone with that, and whoever reads it reads on.
    pub(super) fn publish(&self, draft: &DraftFile, name: u128) -> io::Result<()> {
        let path = path_of(name);
        match renameat(&self.root, draft.name.as_str(), &self.root, path.as_str()) {
            Err(Errno::NOENT) => {
                self.make(&shelf_name((name >> 120) as u16))?;
                Ok(renameat(&self.root, draft.name.as_str(), &self.root, path.as_str())?)
            }
            done => Ok(done?),
        }
    }

    pub(super) fn open(&self, name: u128) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOATIME;
        match openat(&self.root, path_of(name).as_str(), flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there was one.
    pub(super) fn remove(&self, name: u128) -> io::Result<bool> {
        self.unlink(&path_of(name))
    }

    /// Puts what cannot be removed, as a folder that somebody has made, where nobody looks for it.
    pub(super) fn set_aside(&self, name: u128) -> io::Result<()> {
        self.make(ASIDE)?;
        let aside = format!("{ASIDE}/{name:032x}.{}", self.drafts.fetch_add(1, Ordering::Relaxed));
        Ok(renameat(&self.root, path_of(name).as_str(), &self.root, aside.as_str())?)
    }

    /// The names of the files in one of the folders. What is no file of a cache is not touched.
    pub(super) fn names(&self, shelf: u16) -> io::Result<Vec<u128>> {
        let entries = self.entries(&shelf_name(shelf))?;
        let names = entries.iter().filter(|entry| entry.len() == 32 && is_hexadecimal(entry));
        let names = names.filter_map(|entry| u128::from_str_radix(entry, 16).ok());
        Ok(names.filter(|name| (name >> 120) as u16 == shelf).collect())
    }

    pub(super) fn read_state(&self) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.root, STATE, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(64 << 20).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes it so that it is there after a loss of power too.
    pub(super) fn write_state(&self, bytes: &[u8]) -> io::Result<()> {
        let flags = write_flags() | OFlags::CREATE | OFlags::TRUNC;
        let mut file = File::from(openat(&self.root, NEW_STATE, flags, file_mode())?);
        file.write_all(bytes)?;
        file.sync_data()?;
        renameat(&self.root, NEW_STATE, &self.root, STATE)?;
        Ok(fsync(&self.root)?)
    }

    /// Adds to what is there.
    pub(super) fn add_to_state(&self, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.root, STATE, flags, Mode::empty())?);
        file.write_all(bytes)?;
        file.sync_data()
    }

    pub(super) fn remove_state(&self) -> io::Result<()> {
        self.unlink(STATE)?;
        Ok(fsync(&self.root)?)
    }

    fn make(&self, name: &str) -> io::Result<()> {
        match mkdirat(&self.root, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn clear(&self, folder: &str) -> io::Result<()> {
        for entry in self.entries(folder)? {
            self.unlink(&format!("{folder}/{entry}"))?;
        }
        Ok(())
    }

    fn entries(&self, folder: &str) -> io::Result<Vec<String>> {
        let opened = match openat(&self.root, folder, folder_flags(), Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(opened)? {
            let entry = entry?;
            names.extend(
                entry.file_name().to_str().ok().filter(|name| !name.starts_with('.')).map(str::to_owned),
            );
        }
        Ok(names)
    }

    fn unlink(&self, path: &str) -> io::Result<bool> {
        match unlinkat(&self.root, path, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Holder {
    fn of(lock: OwnedFd) -> Self {
        let mut text = String::new();
        // Who has it may be about to write it.
        let _ = File::from(lock).take(64).read_to_string(&mut text);
        let process = text.split(' ').next().and_then(|process| process.parse().ok());
        Self { process, is_own: text == own_mark() }
    }
}

impl Unusable {
    fn of(place: &Path, error: &io::Error) -> Self {
        let help = match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => "name a folder on a file system that can be written to",
            io::ErrorKind::PermissionDenied => "give it to the user that this runs as, with mode 0700",
            _ => "name another folder",
        };
        let found = match error.raw_os_error() {
            Some(_) => format!("`{}` cannot be used: {error}", place.display()),
            None => error.to_string(),
        };
        Self { found, help }
    }
}

/// What tells this process from others, also from those of other containers.
fn own_mark() -> &'static str {
    static MARK: LazyLock<String> = LazyLock::new(|| {
        let random = crate::types::with_random(|random| random.u64(..));
        format!("{} {random:016x}", std::process::id())
    });
    &MARK
}

/// Whether there is nothing at a place; what lies below something that is no folder is nothing, too.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Those who only look share the lock, so that nobody takes them for one who asks.
fn claim(root: &OwnedFd, how: FlockOperation) -> io::Result<Option<OwnedFd>> {
    let claim = openat(root, CLAIM, write_flags() | OFlags::CREATE, file_mode())?;
    match flock(&claim, how) {
        Ok(()) => Ok(Some(claim)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What others can write to could be given to clients as an answer.
fn is_own(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let stat = fstat(root)?;
    let is_private = stat.st_mode & 0o077 == 0;
    if stat.st_uid == rustix::process::geteuid().as_raw() && is_private {
        return Ok(());
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let message = format!("`{}` must belong to the user of this process, with mode 0700", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

fn shelf_name(shelf: u16) -> String {
    format!("{shelf:02x}")
}

fn path_of(name: u128) -> String {
    format!("{}/{name:032x}", shelf_name((name >> 120) as u16))
}

fn is_hexadecimal(name: &str) -> bool {
    name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn write_flags() -> OFlags {
    OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn file_mode() -> Mode {
    Mode::RUSR | Mode::WUSR
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn take(path: &Path) -> Folder {
        match Folder::take(path).unwrap() {
            Taken::Folder(folder) => folder,
            Taken::Busy(holder) => panic!("it is taken by {holder:?}"),
        }
    }

    fn put(folder: &Folder, name: u128, bytes: &[u8]) {
        let mut draft = folder.draft().unwrap();
        draft.file.write_all(bytes).unwrap();
        folder.publish(&draft, name).unwrap();
    }

    fn read(folder: &Folder, name: u128) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        folder.open(name).unwrap()?.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn files_are_found_by_their_names() {
        let place = tempfile::tempdir().unwrap();
        let folder = take(&place.path().join("deep/cache"));
        assert_eq!(read(&folder, 5 << 120), None);
        put(&folder, 5 << 120 | 1, b"one");
        put(&folder, 5 << 120 | 1, b"two");
        put(&folder, 5, b"other");
        assert_eq!(read(&folder, 5 << 120 | 1).unwrap(), b"two");
        assert_eq!(folder.names(5).unwrap(), [5 << 120 | 1]);
        assert_eq!((folder.names(0).unwrap(), folder.names(9).unwrap()), (vec![5], vec![]));
        assert!(folder.remove(5).unwrap() && !folder.remove(5).unwrap());
        assert_eq!(folder.read_state().unwrap(), None);
        folder.write_state(b"a").unwrap();
        folder.write_state(b"b").unwrap();
        folder.add_to_state(b"c").unwrap();
        assert_eq!(folder.read_state().unwrap().unwrap(), b"bc");
        folder.remove_state().unwrap();
        assert_eq!(folder.read_state().unwrap(), None);
        assert!(folder.add_to_state(b"d").is_err());
    }

    #[test]
    fn nobody_else_may_read_what_is_there() {
        let place = tempfile::tempdir().unwrap();
        let folder = take(place.path());
        put(&folder, 1, b"one");
        let own = place.path().join("v1");
        for (path, mode) in [("", 0o700), ("tmp", 0o700), ("00", 0o700), ("lock", 0o600)] {
            assert_eq!(fs::metadata(own.join(path)).unwrap().mode() & 0o777, mode, "{path}");
        }
        assert_eq!(fs::metadata(own.join(path_of(1))).unwrap().mode() & 0o777, 0o600);
        drop(folder);
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Folder::take(place.path()).unwrap_err().to_string().contains("0700"));
    }

    #[test]
    fn a_link_is_no_file_of_a_cache() {
        let place = tempfile::tempdir().unwrap();
        let folder = take(place.path());
        put(&folder, 1, b"one");
        folder.remove(1).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", place.path().join("v1").join(path_of(1))).unwrap();
        assert!(folder.open(1).is_err());
        fs::write(place.path().join("v1/00/notes.txt"), "mine").unwrap();
        assert_eq!(folder.names(0).unwrap(), [1]);
    }

    #[test]
    fn what_can_be_no_folder_is_told_before_it_is_needed() {
        let place = tempfile::tempdir().unwrap();
        let check = |path: &str| Folder::check(&place.path().join(path)).map_err(|error| error.to_string());
        fs::write(place.path().join("file"), "").unwrap();
        for path in ["", "cache", "deep/cache"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        for path in ["file", "file/cache", "file/deep/cache"] {
            assert!(check(path).unwrap_err().ends_with("file` is no folder"), "{path}");
        }
        assert!(!place.path().join("cache").exists(), "nothing is made");
        drop(take(&place.path().join("cache")));
        assert_eq!(check("cache"), Ok(()));
        let own = place.path().join("cache/v1");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(check("cache").unwrap_err().contains("0700"));
    }

    #[test]
    fn one_has_it_and_lets_go_when_another_asks() {
        let place = tempfile::tempdir().unwrap();
        let first = take(place.path());
        let draft = first.draft().unwrap();
        let Taken::Busy(holder) = Folder::take(place.path()).unwrap() else { panic!("it is taken twice") };
        assert_eq!(holder, Holder { process: Some(std::process::id()), is_own: true });
        assert!(!first.is_claimed().unwrap());
        let claim = Folder::claim(place.path()).unwrap().unwrap();
        assert!(first.is_claimed().unwrap());
        assert!(Folder::claim(place.path()).unwrap().is_none());
        drop((first, claim));
        let second = take(place.path());
        assert!(!second.is_claimed().unwrap());
        assert_eq!(second.entries(TMP).unwrap(), Vec::<String>::new());
        drop(draft);
    }
}
