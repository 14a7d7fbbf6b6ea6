use std::convert::Infallible;
use std::future::pending;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::config::{Includes, Loaded, Origin};
use crate::runtime::{Changes, Live, Why};
use crate::types::Stamp;

/// How soon a change of the file is seen.
const PERIOD: Duration = Duration::from_secs(1);

/// What a look at the file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Same,
    /// It has changed, and may go on changing.
    Changing,
    /// It has changed, and is whole by now.
    Changed,
}

/// A file and those that it includes, as they are now.
type Stamps = Vec<(PathBuf, Stamp)>;

/// Notices changes of files, once each.
#[derive(Debug)]
struct Watched {
    known: Option<Stamps>,
    /// What the last look found, where that is not known.
    seen: Option<Stamps>,
}

/// Has a file be served that changes, or one that it includes, while the configuration wants that. It asks for the files'
/// dates, as for certificates: this also sees what happens on network file systems and behind links. What differs from what
/// was `read` has changed, too.
pub(crate) async fn watch(file: &Path, read: Origin, live: &Arc<Live>, changes: &dyn Changes) -> Infallible {
    let mut files = Files::new(file);
    let first;
    (files, first) = looking(files, move |files| files.stamps_of(&read)).await;
    let mut watched = Watched::new(first);
    loop {
        sleep(PERIOD).await;
        let found;
        (files, found) = looking(files, Files::stamps).await;
        if !live.snapshot().watches_file {
            watched = Watched::new(found);
        } else if watched.look(found) == Look::Changed {
            // What came of it is in the log.
            let _ = changes.reload(Why::Watch, None).await;
        }
    }
}

/// Disks may hang.
async fn looking(
    mut files: Files,
    look: impl FnOnce(&mut Files) -> Option<Stamps> + Send + 'static,
) -> (Files, Option<Stamps>) {
    let looking = tokio::task::spawn_blocking(move || {
        let stamps = look(&mut files);
        (files, stamps)
    });
    match looking.await {
        Ok(found) => found,
        // The runtime ends.
        Err(_) => pending().await,
    }
}

/// The files of a configuration.
#[derive(Debug)]
struct Files {
    main: PathBuf,
    /// What the main file includes by what it says itself: one that is refused may be mended in a file that only it includes.
    includes: Option<Includes>,
    /// The main file of which that was read.
    read: Option<Stamp>,
}

impl Files {
    fn new(main: &Path) -> Self {
        Self { main: main.to_owned(), includes: None, read: None }
    }

    /// What there is of them if they still say what was `read`.
    fn stamps_of(&mut self, read: &Origin) -> Option<Stamps> {
        // Before they are read once more: what changes in between is seen at the next look.
        let stamps = self.stamps();
        let origin = Origin::File(self.main.clone());
        let is_same = |loaded: Loaded| origin.fixed_to(&loaded.source) == *read;
        stamps.filter(|_| origin.read().is_ok_and(is_same))
    }

    /// What there is of them; `None` without the main file.
    fn stamps(&mut self) -> Option<Stamps> {
        let main = Stamp::of(&self.main)?;
        if self.read.as_ref() != Some(&main) {
            self.includes = Includes::of(&self.main);
            self.read = Some(main.clone());
        }
        let included = self.includes.iter().flat_map(Includes::files);
        let included = included.filter_map(|file| Stamp::of(&file).map(|stamp| (file, stamp)));
        Some(iter::once((self.main.clone(), main)).chain(included).collect())
    }
}

impl Watched {
    fn new(known: Option<Stamps>) -> Self {
        Self { known, seen: None }
    }

    /// A main file that is not there is about to be put in place.
    fn look(&mut self, found: Option<Stamps>) -> Look {
        if found.is_none() || found == self.known {
            self.seen = None;
            return Look::Same;
        }
        if self.seen != found {
            self.seen = found;
            return Look::Changing;
        }
        self.known = self.seen.take();
        Look::Changed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_counts_once_when_the_file_rests() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.yaml");
        fs::write(&file, "a").unwrap();
        let mut files = Files::new(&file);
        let mut watched = Watched::new(files.stamps());
        let mut look = || watched.look(files.stamps());
        assert_eq!(look(), Look::Same);
        fs::write(&file, "ab").unwrap();
        assert_eq!(look(), Look::Changing);
        fs::write(&file, "abc").unwrap();
        assert_eq!(look(), Look::Changing);
        assert_eq!([look(), look()], [Look::Changed, Look::Same]);
        fs::remove_file(&file).unwrap();
        assert_eq!([look(), look()], [Look::Same, Look::Same]);
        fs::write(&file, "abc").unwrap();
        assert_eq!([look(), look(), look()], [Look::Changing, Look::Changed, Look::Same]);
    }

    #[test]
    fn what_has_changed_since_it_was_read_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, extra) = (folder.path().join("edge.yaml"), folder.path().join("conf.d/a.yaml"));
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        fs::write(&file, "include: conf.d/*.yaml\nlisteners: { web: { bind: 127.0.0.1:0 } }\n").unwrap();
        let origin = Origin::File(file.clone());
        let read = origin.fixed_to(&origin.read().unwrap().source);
        let first = |read: &Origin| Files::new(&file).stamps_of(read);
        assert_eq!(first(&read), Files::new(&file).stamps());
        fs::write(&extra, "routes: [{ respond: { status: 200 } }]").unwrap();
        assert_eq!(first(&read), None);
        let read = origin.fixed_to(&origin.read().unwrap().source);
        assert_eq!(first(&read).map(|stamps| stamps.len()), Some(2));
        fs::remove_file(&extra).unwrap();
        assert_eq!(first(&read), None);
    }

    #[test]
    fn files_that_are_included_change_and_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let (file, extra) = (folder.path().join("edge.yaml"), folder.path().join("conf.d/a.yaml"));
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        fs::write(&file, "include: conf.d/*.yaml").unwrap();
        let mut files = Files::new(&file);
        let mut watched = Watched::new(files.stamps());
        let mut look = || watched.look(files.stamps());
        let change = [Look::Changing, Look::Changed, Look::Same];
        assert_eq!(look(), Look::Same);
        fs::write(&extra, "a").unwrap();
        assert_eq!([look(), look(), look()], change);
        fs::write(&extra, "ab").unwrap();
        assert_eq!([look(), look(), look()], change);
        fs::remove_file(&extra).unwrap();
        assert_eq!([look(), look(), look()], change);
        // What is not included any more is of no concern.
        fs::write(&file, "routes: []").unwrap();
        assert_eq!([look(), look(), look()], change);
        fs::write(&extra, "abc").unwrap();
        assert_eq!(look(), Look::Same);
    }
}
