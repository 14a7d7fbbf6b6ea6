use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use similar::TextDiff;

use crate::app::AppBuilder;
use crate::cli::BAD_CONFIG;
use crate::cli::output::{fail, tell};
use crate::config::{Includes, Loaded, Origin, write_weights};
use crate::runtime::{Draft, Drift};

use super::TROUBLE;
use super::write::replace;

/// What would have to change in files so that they say what runs.
pub(super) struct Patch {
    /// Where the main file is.
    folder: PathBuf,
    files: Vec<Change>,
    /// What stays as it is.
    left: Vec<String>,
}

/// One file.
struct Change {
    path: PathBuf,
    /// None where there is no such file.
    before: Option<String>,
    after: String,
}

impl Patch {
    /// Makes it from a draft, and sees that what it leads to is accepted as `check` would.
    pub(super) fn make(builder: &AppBuilder, drift: &Drift, draft: &Draft) -> Result<Self, u8> {
        let Draft { texts, weights } = draft;
        let loaded = texts.read().and_then(Loaded::sound).map_err(|problems| {
            tell(&problems);
            fail("what the process serves is refused here; use the `evener` that it was started with");
            TROUBLE
        })?;
        let edited = write_weights(&loaded.source, weights);
        let result = texts.edited(&edited);
        builder.load_from(result.clone()).map_err(|problems| {
            tell(&problems);
            BAD_CONFIG
        })?;
        let unsayable = drift.changes.iter().filter(|change| !change.can_be_written);
        let unsayable = unsayable.map(|change| format!("{}: it is not written: {}", change.key, change.runs));
        let mut patch = Self {
            folder: texts.folder(),
            files: Vec::new(),
            left: edited.left.iter().map(ToString::to_string).chain(unsayable).collect(),
        };
        patch.compare(&result).map_err(|error| (fail(error), TROUBLE).1)?;
        Ok(patch)
    }

    /// Looks for what differs in the files.
    fn compare(&mut self, result: &Origin) -> io::Result<()> {
        let Origin::Text { name, text, included, .. } = result else { return Ok(()) };
        let included = included.iter().flatten();
        let texts: Vec<_> = std::iter::once((Path::new(name), text))
            .chain(included.map(|included| (Path::new(&included.file), &included.text)))
            .collect();
        for &(path, after) in &texts {
            let before = match fs::read_to_string(path) {
                Ok(before) => Some(before),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
                }
            };
            if before.as_ref() != Some(after) {
                self.files.push(Change { path: path.to_owned(), before, after: after.clone() });
            }
        }
        let files = Includes::of(Path::new(name)).map(|includes| includes.files()).unwrap_or_default();
        let says_something = |path: &PathBuf| {
            let is_known = texts.iter().any(|(known, _)| known == path);
            !is_known && fs::read_to_string(path).is_ok_and(|text| !crate::config::is_blank(&text))
        };
        let strange = files.into_iter().filter(says_something);
        self.left.extend(strange.map(|path| {
            format!("{}: it is included, and what is served has nothing of it; take it away", path.display())
        }));
        Ok(())
    }

    /// What is not written, and why.
    pub(super) fn left(&self) -> &[String] {
        &self.left
    }

    pub(super) fn unified(&self) -> String {
        self.files.iter().map(|change| change.unified(&self.folder)).collect()
    }

    /// Makes the change, and tells which files were changed.
    pub(super) fn write(&self) -> io::Result<Vec<&Path>> {
        self.files.iter().map(|change| replace(&change.path, &change.after).map(|()| &*change.path)).collect()
    }
}

impl Change {
    fn unified(&self, folder: &Path) -> String {
        let shown = self.path.strip_prefix(folder).unwrap_or(&self.path).display();
        let before = self.before.as_deref().unwrap_or_default();
        let old = if self.before.is_some() { format!("a/{shown}") } else { "/dev/null".to_owned() };
        let diff = TextDiff::from_lines(before, &self.after);
        diff.unified_diff().context_radius(3).header(&old, &format!("b/{shown}")).to_string()
    }
}
