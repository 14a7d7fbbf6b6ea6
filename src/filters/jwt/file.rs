use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::hooks::{BuildCx, BuildError, Watched};

use super::JwtAlgorithm;
use super::keys::KeySet;

/// The key set of a file. A set without any key for the algorithms is none: the one before it counts.
pub(super) struct FileKeys {
    file: Watched<KeySet>,
    algorithms: Vec<JwtAlgorithm>,
    name: String,
    judged: ArcSwap<Judged>,
}

/// What the file was found to have last, and what counts.
struct Judged {
    found: Arc<KeySet>,
    counts: Arc<KeySet>,
}

impl FileKeys {
    /// # Errors
    /// When the file cannot be read, or has no key for the algorithms.
    pub(super) fn watch(
        file: &Path,
        algorithms: &[JwtAlgorithm],
        cx: &BuildCx<'_>,
    ) -> Result<Self, BuildError> {
        let name = file.display().to_string();
        let file = cx.watch_file(file, KeySet::parse)?;
        let found = file.get();
        found.check_for(algorithms).map_err(|error| BuildError::new(format!("`{name}`: {error}")))?;
        let judged = ArcSwap::from_pointee(Judged { counts: found.clone(), found });
        Ok(Self { file, algorithms: algorithms.to_vec(), name, judged })
    }

    /// The set that counts now.
    pub(super) fn get(&self) -> Arc<KeySet> {
        let (found, judged) = (self.file.get(), self.judged.load());
        if Arc::ptr_eq(&found, &judged.found) {
            return judged.counts.clone();
        }
        let counts = match found.check_for(&self.algorithms) {
            Ok(()) => found.clone(),
            Err(_) => judged.counts.clone(),
        };
        let next = Arc::new(Judged { found, counts: counts.clone() });
        let before = self.judged.compare_and_swap(&judged, next.clone());
        // Of those who find out at once, one tells.
        if Arc::ptr_eq(&before, &judged) && !Arc::ptr_eq(&next.found, &next.counts) {
            let (name, algorithms) = (&self.name, &self.algorithms);
            log::error!(
                "file has no key for the algorithms, the keys before count file={name} algorithms={algorithms:?}"
            );
        }
        counts
    }
}

impl fmt::Debug for FileKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeys").field("file", &self.file).finish_non_exhaustive()
    }
}
