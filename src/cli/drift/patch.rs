use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use similar::TextDiff;

use crate::app::AppBuilder;
use crate::cli::BAD_CONFIG;
use crate::cli::output::{fail, tell};
use crate::config::{Includes, Loaded, Origin, WeightEdit, place_of_weight, write_weights};
use crate::runtime::{Draft, Drift, DriftKind, Drifted, FileStanding, targets_of_weights};

use super::write::{Replacement, changed, replace_all};
use super::{TROUBLE, Use};

/// What would have to change in files so that they say what runs.
pub(super) struct Patch {
    /// Where the main file is.
    folder: PathBuf,
    files: Vec<Change>,
    /// What could have been changed, and is not.
    left: Vec<String>,
    /// Whether somebody's edits are among that.
    leaves_edits: bool,
    /// What is to be known besides.
    notes: Vec<String>,
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
    pub(super) fn make(builder: &AppBuilder, drift: &Drift, draft: &Draft, to: Use) -> Result<Self, u8> {
        let Draft { texts, weights } = draft;
        let loaded = texts.read().and_then(Loaded::sound).map_err(|problems| {
            tell(&problems);
            fail("what the process serves is refused here; use the `evener` that it was started with");
            TROUBLE
        })?;
        let edits = Edits::of(drift, weights, &loaded, to);
        let edited = write_weights(&loaded.source, &edits.taken);
        let result = texts.edited(&edited);
        builder.load_from(result.clone()).map_err(|problems| {
            tell(&problems);
            BAD_CONFIG
        })?;
        let unsayable = drift.changes.iter().filter(|change| !change.can_be_written).map(why_not_written);
        let mut patch = Self {
            folder: texts.folder(),
            files: Vec::new(),
            leaves_edits: !edits.left.is_empty(),
            left: edited.left.iter().map(ToString::to_string).chain(edits.left).collect(),
            notes: edits.notes.into_iter().chain(unsayable).collect(),
        };
        // Where the file says what is served, it is what the draft was made from.
        let read = (drift.rest == FileStanding::Same).then_some(texts);
        patch.compare(&result, read).map_err(|error| (fail(error), TROUBLE).1)?;
        Ok(patch)
    }

    /// Looks for what differs in the files, which have to say what was read of them, if that is known.
    fn compare(&mut self, result: &Origin, read: Option<&Origin>) -> Result<(), String> {
        let texts = texts_of(result);
        let read = read.map(texts_of).unwrap_or_default();
        for &(path, after) in &texts {
            let before = match fs::read_to_string(path) {
                Ok(before) => Some(before),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(format!("{}: {error}", path.display())),
            };
            let known = read.iter().find(|(known, _)| *known == path);
            if known.is_some_and(|(_, known)| before.as_deref() != Some(*known)) {
                return Err(format!("{}; nothing is changed", changed(path)));
            }
            if before.as_deref() != Some(after) {
                self.files.push(Change { path: path.to_owned(), before, after: after.to_owned() });
            }
        }
        let main = texts.first().map_or(Path::new(""), |(path, _)| *path);
        let files = Includes::of(main).map(|includes| includes.files()).unwrap_or_default();
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

    /// What could have been changed, and is not, and why.
    pub(super) fn left(&self) -> &[String] {
        &self.left
    }

    /// Whether the files say something that is not served yet, and stays.
    pub(super) fn leaves_edits(&self) -> bool {
        self.leaves_edits
    }

    /// Whatever is to be known of it.
    pub(super) fn notes(&self) -> impl Iterator<Item = &String> {
        self.left.iter().chain(&self.notes)
    }

    /// The folder in which it is to be applied, where that is not the one of the file.
    pub(super) fn other_root(&self) -> Option<PathBuf> {
        let root = self.root();
        (root != real(&self.folder)).then_some(root)
    }

    pub(super) fn unified(&self) -> String {
        let root = self.root();
        let heading =
            self.other_root().map(|root| format!("# apply it with: patch -p1 -d {}\n", root.display()));
        heading.into_iter().chain(self.files.iter().map(|change| change.unified(&root))).collect()
    }

    /// The folder that all files are in, behind all links, which programs that patch do not follow.
    fn root(&self) -> PathBuf {
        let mut root = real(&self.folder);
        for change in &self.files {
            let file = real(&change.path);
            while !file.starts_with(&root) && root.pop() {}
        }
        root
    }

    /// Makes the change, and tells which files were changed.
    pub(super) fn write(&self) -> Result<Vec<&Path>, String> {
        let replacements: Vec<_> = self.files.iter().map(Change::replacement).collect::<Result<_, _>>()?;
        replace_all(&replacements)?;
        Ok(self.files.iter().map(|change| &*change.path).collect())
    }
}

fn why_not_written(Drifted { what, key, runs, .. }: &Drifted) -> String {
    match what {
        DriftKind::Log => format!(
            "{key}: it holds until the next reload, and is not written: {runs}\n  help: change it in the file to keep it"
        ),
        DriftKind::Canary | DriftKind::Endpoint | DriftKind::Split => {
            format!("{key}: no file says how far it is, and it is not written: {runs}")
        }
    }
}

/// Nobody knows who is to own it, and who is to read it.
fn gone(path: &Path) -> String {
    format!(
        "{}: it is not there any more; nothing is changed\n  help: put a file there, with the owner and mode that it is \
         to have, or look at `evener drift --patch`",
        path.display()
    )
}

/// The main text and what it includes, with the paths of the files.
fn texts_of(origin: &Origin) -> Vec<(&Path, &str)> {
    let Origin::Text { name, text, included, .. } = origin else { return Vec::new() };
    let included = included.iter().flatten().map(|included| (Path::new(&*included.file), &*included.text));
    std::iter::once((Path::new(name), &**text)).chain(included).collect()
}

/// A path behind all links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => real(folder).join(name),
        _ => path.to_owned(),
    })
}

impl Change {
    fn replacement(&self) -> Result<Replacement<'_>, String> {
        let Self { path, before, after } = self;
        let before = before.as_deref().ok_or_else(|| gone(path))?;
        Ok(Replacement { path, before, after })
    }

    fn unified(&self, root: &Path) -> String {
        let path = real(&self.path);
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        // What stands behind a tab is no part of the name; without one, a space would end it.
        let end = if shown.contains(char::is_whitespace) { "\t" } else { "" };
        let before = self.before.as_deref().unwrap_or_default();
        let old = if self.before.is_some() { format!("a/{shown}{end}") } else { "/dev/null".to_owned() };
        let diff = TextDiff::from_lines(before, &self.after);
        diff.unified_diff().context_radius(3).header(&old, &format!("b/{shown}{end}")).to_string()
    }
}

/// Which weights are taken into the file.
struct Edits {
    taken: Vec<WeightEdit>,
    left: Vec<String>,
    notes: Vec<String>,
}

impl Edits {
    /// What somebody has put into the file, and not served yet, is not undone unless that is wanted; a patch is looked at
    /// before it is applied.
    fn of(drift: &Drift, weights: &[WeightEdit], base: &Loaded, to: Use) -> Self {
        // What the patch is made of need not be the file by now, in which all may stand elsewhere.
        let is_file = drift.rest == FileStanding::Same;
        let targets = targets_of_weights(&base.config);
        let mut edits = Self { taken: Vec::new(), left: Vec::new(), notes: Vec::new() };
        for edit in weights {
            let target = targets.get(&edit.at);
            let is_this = |change: &&Drifted| change.is_edited && Some(&change.target) == target;
            let edited = drift.changes.iter().find(is_this);
            if let Some(Drifted { key, file, runs, .. }) = edited {
                let place =
                    if is_file { place_of_weight(&base.source, &edit.at) + ": " } else { String::new() };
                let told = format!(
                    "{place}{key}: the file was edited to `{file}` and not reloaded, and `{runs}` runs"
                );
                match to {
                    Use::Write => {
                        edits.left.push(format!(
                            "{told}; it stays\n  help: `evener reload` serves `{file}` in its place, and `--overwrite` writes \
                             `{runs}`"
                        ));
                        continue;
                    }
                    Use::Print => edits.notes.push(format!("{told}; the patch takes it back")),
                    Use::Overwrite => {}
                }
            }
            edits.taken.push(edit.clone());
        }
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::config::KeyPath;

    const TEXT: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: [10.0.0.1:80] } }
routes: [{ pool: app }]
";

    /// A file that a process has read, and of which it runs something else.
    struct Read {
        folder: tempfile::TempDir,
        drift: Drift,
        draft: Draft,
    }

    impl Read {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let name = folder.path().join("edge.yaml").display().to_string();
            fs::write(&name, TEXT).unwrap();
            let (changes, rest) = (Vec::new(), FileStanding::Same);
            let drift = Drift { generation: 1, file: Some(name.clone()), changes, rest };
            let (base, text) = (folder.path().to_owned(), TEXT.to_owned());
            let texts = Origin::Text { name, base, text, included: Some(Vec::new()) };
            let at = KeyPath::default().child("pools").child("app").child("endpoints").index(0);
            let draft = Draft { texts, weights: vec![WeightEdit { at, weight: 7 }] };
            Self { folder, drift, draft }
        }

        fn patch(&self) -> Result<Patch, u8> {
            Patch::make(&App::builder(), &self.drift, &self.draft, Use::Write)
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("edge.yaml")
        }
    }

    #[test]
    fn edits_that_are_made_meanwhile_are_not_lost() {
        let read = Read::new();
        let edited = format!("# mine\n{TEXT}");
        let patch = read.patch().unwrap();
        fs::write(read.path(), &edited).unwrap();
        // Whether between the looks of the process and of the command, or after both.
        assert_eq!(read.patch().err(), Some(TROUBLE));
        assert!(patch.write().unwrap_err().ends_with("; nothing is changed"));
        assert_eq!(fs::read_to_string(read.path()).unwrap(), edited);
        fs::write(read.path(), TEXT).unwrap();
        assert_eq!(read.patch().unwrap().write(), Ok(vec![&*read.path()]));
        let written = TEXT.replace("10.0.0.1:80", "{ address: 10.0.0.1:80, weight: 7 }");
        assert_eq!(fs::read_to_string(read.path()).unwrap(), written);
    }

    #[test]
    fn edits_are_found_by_what_they_are_of_wherever_that_stands_by_now() {
        let mut read = Read::new();
        let served = TEXT.replace("10.0.0.1:80]", "10.0.0.1:80, 10.0.0.2:80]");
        let Origin::Text { text, .. } = &mut read.draft.texts else { panic!("a text") };
        text.clone_from(&served);
        let by_now = "10.0.0.2:80, { address: 10.0.0.1:80, weight: 3 }], panic: 10%";
        fs::write(read.path(), TEXT.replace("10.0.0.1:80]", by_now)).unwrap();
        let change = Drifted {
            what: DriftKind::Endpoint,
            target: "app/10.0.0.1:80".to_owned(),
            key: "pools.app.endpoints[1]".to_owned(),
            file: "weight 3".to_owned(),
            runs: "weight 7".to_owned(),
            can_be_written: true,
            is_edited: true,
        };
        read.drift =
            Drift { changes: vec![change], rest: FileStanding::Refused(String::new()), ..read.drift };
        let patch = Patch::make(&App::builder(), &read.drift, &read.draft, Use::Print).unwrap();
        let told = "pools.app.endpoints[1]: the file was edited to `weight 3` and not reloaded, and `weight 7` runs; the patch \
                    takes it back";
        assert_eq!(patch.notes().collect::<Vec<_>>(), [told]);
    }
}
