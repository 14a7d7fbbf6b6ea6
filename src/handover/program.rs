use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why this process must not end for the sake of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process is the first of its container (process 1), which ends with it; \
     start it under an init, as with `docker run --init`, or restart the container"
)]
pub(crate) struct CannotLeave;

/// Whether this process can leave its work to another one, and end.
///
/// # Errors
/// When everything else ends with it.
pub(crate) fn may_leave() -> Result<(), CannotLeave> {
    may_leave_as(std::process::id())
}

fn may_leave_as(pid: u32) -> Result<(), CannotLeave> {
    if pid == 1 { Err(CannotLeave) } else { Ok(()) }
}

/// Where the program lies whose process this is, to be asked for at the start, before its file may be replaced. A link
/// by which it was called stays one, so that it leads to what it is set to later.
///
/// # Errors
/// When the kernel does not tell, as without `/proc`.
pub(crate) fn own_program() -> io::Result<PathBuf> {
    let file = std::env::current_exe()?;
    let called = std::env::args_os().next().unwrap_or_default();
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = as_called(&called, &folders, &file).and_then(|path| std::path::absolute(path).ok());
    Ok(found.unwrap_or_else(|| without_deleted(file)))
}

/// The path by which the program was called, if it leads to this file.
fn as_called(called: &OsStr, folders: &OsStr, file: &Path) -> Option<PathBuf> {
    let identity = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    let wanted = identity(file)?;
    let is_wanted = |path: &PathBuf| identity(path) == Some(wanted);
    if called.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(called)).filter(is_wanted);
    }
    std::env::split_paths(folders).map(|folder| folder.join(called)).find(is_wanted)
}

/// The kernel says after the path that its file was removed; an upgrade wants what is there now.
fn without_deleted(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(rest) if !path.exists() => OsString::from_vec(rest.to_vec()).into(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_the_kernel_says_of_a_removed_file_is_no_part_of_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("odd (deleted)");
        fs::write(&odd, "").unwrap();
        for (said, meant) in [
            ("/usr/bin/evener", Path::new("/usr/bin/evener")),
            ("/nowhere/evener (deleted)", Path::new("/nowhere/evener")),
            (odd.to_str().unwrap(), &odd),
        ] {
            assert_eq!(without_deleted(said.into()), meant);
        }
    }

    #[test]
    fn a_link_by_which_the_program_was_called_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let [file, other, link] = ["evener-1", "evener-2", "evener"].map(|name| folder.path().join(name));
        fs::write(&file, "").unwrap();
        fs::write(&other, "").unwrap();
        symlink(&file, &link).unwrap();
        let folders = folder.path().as_os_str();
        let by_path = |called: &Path| as_called(called.as_os_str(), folders, &file);
        assert_eq!(by_path(&link), Some(link.clone()));
        assert_eq!(by_path(Path::new("evener")), Some(link.clone()));
        assert_eq!(by_path(&other), None);
        assert_eq!(by_path(Path::new("unknown")), None);
        fs::remove_file(&link).unwrap();
        symlink(&other, &link).unwrap();
        assert_eq!(by_path(&link), None);
    }

    #[test]
    fn the_own_program_is_one_that_can_be_started() {
        let own = own_program().unwrap();
        assert!(own.is_absolute());
        assert_eq!(own.canonicalize().unwrap(), std::env::current_exe().unwrap().canonicalize().unwrap());
    }

    #[test]
    fn the_first_process_of_a_container_has_to_stay() {
        assert_eq!(may_leave_as(2), Ok(()));
        let reason = may_leave_as(1).unwrap_err().to_string();
        assert!(reason.contains("docker run --init"), "{reason}");
        assert_eq!(may_leave(), may_leave_as(std::process::id()));
    }
}
