use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// A text that is to stand in the place of another in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replacement<'a> {
    pub(super) path: &'a Path,
    /// What has to stand there until then.
    pub(super) before: &'a str,
    pub(super) after: &'a str,
}

/// A text beside the file whose place it is to take. It is gone when this is dropped.
struct Staged<'a> {
    replacement: Replacement<'a>,
    /// The file behind all links, which stay.
    target: PathBuf,
    draft: PathBuf,
}

/// For its owner, until it has the mode of the file.
const FOR_ITS_OWNER: u32 = 0o600;

/// Makes all replacements, or none: each file is there with either text at every moment, and keeps its owner, group and mode.
///
/// # Errors
/// When one cannot be made, or its file says something else by now. Says what has become of the others.
pub(super) fn replace_all(replacements: &[Replacement<'_>]) -> Result<(), String> {
    let nothing = |error| format!("{error}; nothing is changed");
    let staged: Vec<_> =
        replacements.iter().map(|one| Staged::new(*one)).collect::<Result<_, _>>().map_err(nothing)?;
    staged.iter().try_for_each(Staged::check).map_err(nothing)?;
    for (index, one) in staged.iter().enumerate() {
        one.put().map_err(|error| undo(&error, &replacements[..index]))?;
    }
    staged.iter().try_for_each(Staged::keep).map_err(|error| undo(&error, replacements))
}

/// Puts back what was replaced, and says what came of it.
fn undo(error: &str, replacements: &[Replacement<'_>]) -> String {
    let put_back = |Replacement { path, before, after }: &Replacement<'_>| {
        let back = Staged::new(Replacement { path, before: after, after: before })?;
        back.put().and_then(|()| back.keep())
    };
    let stuck: Vec<_> = replacements.iter().filter_map(|one| put_back(one).err()).collect();
    if stuck.is_empty() {
        return format!("{error}; nothing is changed");
    }
    let stuck: String = stuck.iter().map(|why| format!("\n  {why}")).collect();
    format!("{error}; what was changed before could not be put back:{stuck}")
}

impl<'a> Staged<'a> {
    /// Writes the text beside the file.
    fn new(replacement: Replacement<'a>) -> Result<Self, String> {
        let told = |error: io::Error| at(replacement.path, error);
        let target = replacement.path.canonicalize().map_err(told)?;
        let former = target.metadata().map_err(told)?;
        if former.nlink() > 1 {
            let told = "it has other names, which would keep the old text";
            return Err(at(
                replacement.path,
                format!("{told}\n  help: make them symbolic links, or apply `evener drift --patch` by hand"),
            ));
        }
        let draft = draft_of(&target);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(FOR_ITS_OWNER).open(&draft).map_err(told)?;
        let staged = Self { replacement, target, draft };
        take_owner(&file, &former).map_err(|error| {
            let (user, group) = (former.uid(), former.gid());
            let told = format!("it belongs to user {user} and group {group}, which cannot be kept: {error}");
            at(replacement.path, format!("{told}\n  help: ask as that user, or as root"))
        })?;
        // Not before: a change of the owner takes bits away.
        file.set_permissions(former.permissions()).map_err(told)?;
        file.write_all(replacement.after.as_bytes()).and_then(|()| file.sync_all()).map_err(told)?;
        Ok(staged)
    }

    /// Makes sure that the file is still what it was.
    fn check(&self) -> Result<(), String> {
        let Replacement { path, before, .. } = self.replacement;
        let told = |error: io::Error| at(path, error);
        let is_same = path.canonicalize().map_err(told)? == self.target
            && fs::read_to_string(&self.target).map_err(told)? == before;
        is_same.then_some(()).ok_or_else(|| changed(path))
    }

    /// Puts it in the place of the file.
    fn put(&self) -> Result<(), String> {
        self.check()?;
        fs::rename(&self.draft, &self.target).map_err(|error| at(self.replacement.path, error))
    }

    /// Makes sure that it stays there when the power fails.
    fn keep(&self) -> Result<(), String> {
        let folder = self.target.parent().unwrap_or(Path::new("/"));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| at(folder, error))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // It is there only where it has not become the file; it is of no use to anybody then.
        let _ = fs::remove_file(&self.draft);
    }
}

/// That somebody else was quicker.
pub(super) fn changed(path: &Path) -> String {
    at(path, "somebody has changed it while this command ran\n  help: look at it, and ask again")
}

fn at(path: &Path, problem: impl Display) -> String {
    format!("{}: {problem}", path.display())
}

fn take_owner(file: &File, former: &fs::Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (former.uid(), former.gid()) {
        return Ok(());
    }
    fchown(file, Some(former.uid()), Some(former.gid()))
}

/// Hidden, so that no pattern of `include` finds it.
fn draft_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder with these files, each with `old`.
    fn folder(names: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = names.iter().map(|name| folder.path().join(name)).collect();
        paths.iter().for_each(|path| fs::write(path, "old").unwrap());
        (folder, paths)
    }

    fn replacement(path: &Path) -> Replacement<'_> {
        Replacement { path, before: "old", after: "new" }
    }

    /// The texts of all files, of which none is to be another's draft.
    fn texts(folder: &tempfile::TempDir) -> Vec<String> {
        let mut paths: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn links_and_modes_stay() {
        let (folder, paths) = folder(&["real.yaml"]);
        let link = folder.path().join("edge.yaml");
        fs::set_permissions(&paths[0], fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real.yaml", &link).unwrap();
        replace_all(&[replacement(&link)]).unwrap();
        assert_eq!(texts(&folder), ["new", "new"]);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&paths[0]).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_file_that_has_other_names_is_left() {
        let (folder, paths) = folder(&["a", "b"]);
        fs::hard_link(&paths[1], folder.path().join("c")).unwrap();
        let told = replace_all(&[replacement(&paths[0]), replacement(&paths[1])]).unwrap_err();
        let expected = format!("{}: it has other names, which would keep the old text\n", paths[1].display());
        assert!(told.starts_with(&expected) && told.ends_with("; nothing is changed"), "{told}");
        assert_eq!(texts(&folder), ["old", "old", "old"]);
    }

    #[test]
    fn what_somebody_else_has_written_meanwhile_stays() {
        let (folder, paths) = folder(&["a", "b"]);
        fs::write(&paths[1], "mine").unwrap();
        let told = replace_all(&[replacement(&paths[0]), replacement(&paths[1])]).unwrap_err();
        let expected = format!("{}: somebody has changed it while this command ran", paths[1].display());
        assert!(told.starts_with(&expected) && told.ends_with("; nothing is changed"), "{told}");
        assert_eq!(texts(&folder), ["old", "mine"]);
        fs::remove_file(&paths[1]).unwrap();
        let told = replace_all(&[replacement(&paths[0]), replacement(&paths[1])]).unwrap_err();
        assert!(told.ends_with("; nothing is changed"), "{told}");
        assert_eq!(texts(&folder), ["old"], "what is gone is not made anew");
    }

    #[test]
    fn what_was_replaced_is_put_back_where_another_cannot_be() {
        let (folder, paths) = folder(&["a", "b", "c"]);
        let staged: Vec<_> = paths.iter().map(|path| Staged::new(replacement(path)).unwrap()).collect();
        staged[0].put().unwrap();
        fs::write(&paths[1], "mine").unwrap();
        let error = staged[1].put().unwrap_err();
        drop(staged);
        let replacements = [replacement(&paths[0])];
        let told = undo(&error, &replacements);
        assert_eq!(told, format!("{error}; nothing is changed"));
        assert_eq!(texts(&folder), ["old", "mine", "old"]);
        // What cannot be put back is named.
        fs::remove_file(&paths[0]).unwrap();
        let told = undo(&error, &replacements);
        let stuck = format!("; what was changed before could not be put back:\n  {}: ", paths[0].display());
        assert!(told.contains(&stuck), "{told}");
    }
}
