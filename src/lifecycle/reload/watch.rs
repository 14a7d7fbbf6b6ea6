use std::convert::Infallible;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::runtime::{Changes, Live, Stamp, Why};

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

/// Notices changes of a file, once each.
#[derive(Debug)]
struct Watched {
    known: Option<Stamp>,
    /// What the last look found, where that is not known.
    seen: Option<Stamp>,
}

/// Has a file that changes be served, while the configuration wants that. It asks for the file's date, as for certificates:
/// this also sees what happens on network file systems and behind links.
/// It was read after it was as `known` says.
pub(crate) async fn watch(
    file: &Path,
    known: Option<Stamp>,
    live: &Arc<Live>,
    changes: &dyn Changes,
) -> Infallible {
    let mut watched = Watched::new(known);
    loop {
        sleep(PERIOD).await;
        let found = stamp(file).await;
        if !live.snapshot().watches_file {
            watched = Watched::new(found);
        } else if watched.look(found) == Look::Changed {
            // What came of it is in the log.
            let _ = changes.reload(Why::Watch, None).await;
        }
    }
}

/// Disks may hang.
async fn stamp(file: &Path) -> Option<Stamp> {
    let file = file.to_owned();
    match tokio::task::spawn_blocking(move || Stamp::of(&file)).await {
        Ok(stamp) => stamp,
        // The runtime ends.
        Err(_) => pending().await,
    }
}

impl Watched {
    fn new(known: Option<Stamp>) -> Self {
        Self { known, seen: None }
    }

    /// A file that is not there is about to be put in place.
    fn look(&mut self, found: Option<Stamp>) -> Look {
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
        let mut watched = Watched::new(Stamp::of(&file));
        let mut look = || watched.look(Stamp::of(&file));
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
}
