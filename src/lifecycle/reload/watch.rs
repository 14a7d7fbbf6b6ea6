use std::collections::HashSet;
use std::convert::Infallible;
use std::future::pending;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Includes, Loaded, Origin};
use crate::runtime::{Actor, Changes, Live, Why};
use crate::types::{Stamp, looking, next_look};

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

/// Has a file be served that changes, or one that it includes, while the configuration wants that. What differs
/// from what was last `read` has changed, too; what somebody else has had read meanwhile has not, also if that was taken back.
pub(crate) async fn watch(
    file: &Path,
    read: impl Fn() -> Origin,
    live: &Arc<Live>,
    changes: &dyn Changes,
) -> Infallible {
    let (mut files, mut watched) = (Files::new(file), Watched::new(None));
    loop {
        next_look().await;
        let found;
        (files, found) = looked(files, Files::stamps).await;
        if !live.snapshot().watches_file {
            watched = Watched::new(found);
        } else if watched.look(found) == Look::Changed {
            let last = read();
            let same;
            (files, same) = looked(files, move |files| files.stamps_of(&last)).await;
            if same.is_none() {
                // What came of it is in the log.
                let _ = changes.reload(&Actor::itself(Why::Watch), None, None).await;
            }
        }
    }
}

async fn looked<T: Send + 'static>(
    files: Files,
    look: impl FnOnce(&mut Files) -> T + Send + 'static,
) -> (Files, T) {
    match looking(files, look).await {
        Some(found) => found,
        // The runtime ends.
        None => pending().await,
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
    /// Folders of patterns that were there.
    folders: HashSet<PathBuf>,
    /// What is not there any more, after that was told.
    gone: Option<PathBuf>,
}

impl Files {
    fn new(main: &Path) -> Self {
        Self { main: main.to_owned(), includes: None, read: None, folders: HashSet::new(), gone: None }
    }

    /// What there is of them if they still say what was `read`.
    fn stamps_of(&mut self, read: &Origin) -> Option<Stamps> {
        // Before they are read once more: what changes in between is seen at the next look.
        let stamps = self.stamps();
        let origin = Origin::File(self.main.clone());
        let is_same = |loaded: Loaded| origin.fixed_to(&loaded.source) == *read;
        stamps.filter(|_| origin.read().is_ok_and(is_same))
    }

    /// What there is of them; `None` without the main file, or without a folder that was there: either is about to be put in
    /// place again, and to go on without it is for a command.
    fn stamps(&mut self) -> Option<Stamps> {
        let Some(main) = Stamp::of(&self.main) else { return self.is_gone(self.main.clone()) };
        if self.read.as_ref() != Some(&main) {
            self.includes = Includes::of(&self.main);
            self.read = Some(main.clone());
        }
        for folder in self.includes.iter().flat_map(Includes::folders).collect::<Vec<_>>() {
            if folder.is_dir() {
                self.folders.insert(folder);
            } else if self.folders.contains(&folder) {
                return self.is_gone(folder);
            }
        }
        self.gone = None;
        let included = self.includes.iter().flat_map(Includes::files);
        let included = included.filter_map(|file| Stamp::of(&file).map(|stamp| (file, stamp)));
        Some(iter::once((self.main.clone(), main)).chain(included).collect())
    }
}

impl Files {
    fn is_gone(&mut self, what: PathBuf) -> Option<Stamps> {
        if self.gone.as_ref() != Some(&what) {
            log::warn!(
                "the configuration is as it was read, since a part of it is gone; reload to go on without it path={}",
                what.display()
            );
            self.gone = Some(what);
        }
        None
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use std::time::Duration;

    use async_trait::async_trait;
    use parking_lot::Mutex;
    use tokio::time::sleep;

    use crate::config::spec::LogLevel;
    use crate::runtime::{
        Applied, Audit, ChangeCounts, Generation, NotUpgraded, Probation, Refused, Registry, UpgradeOrder,
        Upgraded, assemble,
    };

    use super::*;

    /// Counts what it is asked for.
    #[derive(Debug, Default)]
    struct Asked(AtomicUsize);

    #[async_trait]
    impl Changes for Asked {
        async fn reload(&self, _: &Actor, _: Option<Probation>, _: Option<u64>) -> Result<Applied, Refused> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(Refused::because("not here"))
        }

        async fn take_as_read(&self, _: &Actor) -> Result<Applied, Refused> {
            unreachable!("files are watched")
        }

        async fn roll_back(&self, _: &Actor, _: Option<u64>, _: Option<u64>) -> Result<Applied, Refused> {
            unreachable!("files are watched")
        }

        async fn upgrade(&self, _: &Actor, _: UpgradeOrder) -> Result<Upgraded, NotUpgraded> {
            unreachable!("files are watched")
        }

        fn history(&self) -> Vec<Generation> {
            Vec::new()
        }

        fn served(&self) -> Origin {
            unreachable!("files are watched")
        }

        fn origin(&self) -> Origin {
            unreachable!("files are watched")
        }

        fn counts(&self) -> ChangeCounts {
            unreachable!("files are watched")
        }

        fn log_level(&self) -> Option<LogLevel> {
            unreachable!("files are watched")
        }

        fn set_log_level(&self, _: LogLevel) -> Option<LogLevel> {
            unreachable!("files are watched")
        }

        fn audit(&self) -> &Audit {
            unreachable!("files are watched")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_else_has_read_has_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.yaml");
        let write = |status: u16| {
            let text = format!(
                "server: {{ watch: true }}\nlisteners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
                 routes: [{{ respond: {{ status: {status} }} }}]\n"
            );
            fs::write(&file, text).unwrap();
        };
        let origin = Origin::File(file.clone());
        let now = || origin.fixed_to(&origin.read().unwrap().source);
        write(200);
        let served = assemble(&origin, &Registry::with_built_ins(), None).unwrap();
        let (live, asked) = (Arc::new(Live::new(served.snapshot.clone())), Asked::default());
        let read = Mutex::new(now());
        let script = async {
            let periods = Duration::from_secs(5);
            sleep(periods).await;
            write(201);
            // By a command, and taken back at once: what is served is not what the file has.
            *read.lock() = now();
            sleep(periods).await;
            assert_eq!(asked.0.load(Ordering::Relaxed), 0);
            write(202);
            sleep(periods).await;
            assert_eq!(asked.0.load(Ordering::Relaxed), 1);
        };
        tokio::select! {
            never = watch(&file, || read.lock().clone(), &live, &asked) => match never {},
            () = script => {}
        }
    }

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
        // A folder that is exchanged is not there for a moment.
        fs::write(&extra, "abc").unwrap();
        assert_eq!([look(), look(), look()], change);
        let (folder, aside) = (folder.path().join("conf.d"), folder.path().join("aside"));
        fs::rename(&folder, &aside).unwrap();
        assert_eq!([look(), look(), look()], [Look::Same; 3]);
        fs::rename(&aside, &folder).unwrap();
        assert_eq!([look(), look()], [Look::Same; 2]);
        fs::remove_file(&extra).unwrap();
        assert_eq!([look(), look(), look()], change);
        // What is not included any more is of no concern.
        fs::write(&file, "routes: []").unwrap();
        assert_eq!([look(), look(), look()], change);
        fs::write(&extra, "abc").unwrap();
        assert_eq!(look(), Look::Same);
    }
}
