use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::load::{MAX_FILE, folder_of, read_text};
use super::spec::{IncludePath, OneOrMany, Spec};
use super::{Diagnostic, Diagnostics, KeyPath, Segment, Source, places, recover};

/// A file that another one includes, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncludedText {
    /// What messages call it.
    pub file: String,
    /// The text.
    pub text: String,
}

/// More files are surely not meant.
const MAX_FILES: usize = 1000;

/// What includes have added to a text.
pub(super) struct Whole {
    pub(super) source: Source,
    /// Keys at the top of which something is missing, after what is wrong was reported.
    pub(super) partial: Vec<KeyPath>,
}

/// Adds what a text includes: `texts`, or the files that it names by paths relative to `base`.
pub(super) fn include(
    source: Source,
    base: &Path,
    texts: Option<&[IncludedText]>,
    diagnostics: &mut Diagnostics,
) -> Whole {
    let mut whole = Whole { source, partial: Vec::new() };
    let texts = match texts {
        Some(texts) => texts.to_vec(),
        None => whole.read_files(base, diagnostics),
    };
    for text in texts {
        whole.add(text, diagnostics);
    }
    whole
}

/// The keys that an included file may have.
const SECTIONS: [&str; 3] = ["listeners", "pools", "routes"];

/// The shape of an included file. What stands inside is read when all is together.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Shape {
    listeners: HashMap<String, IgnoredAny>,
    pools: HashMap<String, IgnoredAny>,
    routes: Vec<IgnoredAny>,
}

impl Whole {
    fn read_files(&mut self, base: &Path, diagnostics: &mut Diagnostics) -> Vec<IncludedText> {
        let Some(paths) = paths(&self.source) else {
            // What is wrong with it is told when the file is read as a whole.
            self.lacks_something();
            return Vec::new();
        };
        let left = MAX_FILE.checked_sub(self.source.text().len() as u64);
        let main = PathBuf::from(self.source.file());
        let mut files = Files {
            source: &self.source,
            base,
            left,
            known: HashSet::from([main]),
            texts: Vec::new(),
            diagnostics,
        };
        let is_whole = paths.iter().filter(|(at, path)| !files.read(at, path)).count() == 0;
        let texts = files.texts;
        if !is_whole {
            self.lacks_something();
        }
        texts
    }

    fn add(&mut self, text: IncludedText, diagnostics: &mut Diagnostics) {
        if is_blank(&text.text) {
            return;
        }
        let Some(added) = Source::parse_included(text, diagnostics) else { return self.lacks_something() };
        let (root, node) = (KeyPath::default(), added.root().clone());
        let read = recover::read::<Shape>(&node, &root, &added, of_the_main_file, diagnostics);
        if read.value.is_none() {
            return self.lacks_something();
        }
        self.source.add(added, &read.removed, diagnostics);
        self.partial.extend(read.removed);
    }

    fn lacks_something(&mut self) {
        self.partial.extend(SECTIONS.map(|section| KeyPath::default().child(section)));
    }
}

/// Whether a text has nothing but comments, as files have that are switched off.
pub(crate) fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim_start).all(|line| line.is_empty() || line.starts_with('#'))
}

/// Where a key belongs that an included file cannot have.
fn of_the_main_file(path: &KeyPath) -> Option<String> {
    let schema = schemars::schema_for!(Spec);
    match path.segments() {
        [Segment::Key(key)] if schema.as_value()["properties"].get(key).is_some() => {
            Some(format!("`{key}` stands in the main file only"))
        }
        _ => places::elsewhere(path),
    }
}

/// What a text includes, each with the place where it stands; `None` if that cannot be read.
fn paths(source: &Source) -> Option<Vec<(KeyPath, IncludePath)>> {
    let at = KeyPath::default().child("include");
    if source.root().at(&at).is_none() {
        return Some(Vec::new());
    }
    let paths: Option<OneOrMany<IncludePath>> = source.read_at(&at).ok()?;
    let is_list = source.root().at(&at.index(0)).is_some();
    let place = |index| if is_list { at.index(index) } else { at.clone() };
    let paths = paths.into_iter().flatten().enumerate();
    Some(paths.map(|(index, path)| (place(index), path)).collect())
}

/// The files that are included, as they are read.
struct Files<'a> {
    source: &'a Source,
    base: &'a Path,
    /// How many bytes may follow; `None` once there were more.
    left: Option<u64>,
    /// Those that were read; each counts once.
    known: HashSet<PathBuf>,
    texts: Vec<IncludedText>,
    diagnostics: &'a mut Diagnostics,
}

impl Files<'_> {
    /// Reads the files that a path stands for; false where something is wrong.
    fn read(&mut self, at: &KeyPath, path: &IncludePath) -> bool {
        let files = match matches(self.base, path) {
            Ok(files) => files,
            Err(error) => return self.refuse(at, &format!("the folder of `{path}` cannot be read: {error}")),
        };
        if files.is_empty() {
            self.diagnostics.warning(self.source, at, format_args!("no file is called `{path}`"));
        }
        if self.texts.len() + files.len() > MAX_FILES {
            return self.refuse(at, &format!("these are more than {MAX_FILES} files"));
        }
        // Not `all`, so that every problem is told.
        files.into_iter().filter(|file| !self.read_file(at, file)).count() == 0
    }

    fn read_file(&mut self, at: &KeyPath, file: &Path) -> bool {
        let Some(left) = self.left.filter(|_| !self.known.contains(file)) else { return true };
        let name = file.display().to_string();
        // A pipe would be waited for.
        if file.metadata().is_ok_and(|found| !found.is_file()) {
            return self.refuse(at, &format!("`{name}` is no file"));
        }
        let text = match read_text(file) {
            Ok(text) => text,
            Err(problem) if problem.position.is_none() => {
                return self.refuse(at, &format!("`{name}`: {}", problem.message));
            }
            Err(problem) => {
                self.diagnostics.push(Diagnostic { file: Some(name.into()), ..*problem });
                return false;
            }
        };
        self.left = left.checked_sub(text.len() as u64);
        if self.left.is_none() {
            return self.refuse(at, &format!("with `{name}` the files are larger than 16MiB together"));
        }
        self.known.insert(file.to_owned());
        self.texts.push(IncludedText { file: name, text });
        true
    }

    fn refuse(&mut self, at: &KeyPath, message: &str) -> bool {
        self.diagnostics.error(self.source, at, message);
        false
    }
}

/// The files that a path stands for now: one that is written out, or those that a pattern finds, in alphabetical order.
fn matches(base: &Path, path: &IncludePath) -> io::Result<Vec<PathBuf>> {
    let whole = base.join(path.as_path());
    let Some(pattern) = path.pattern() else { return Ok(vec![whole]) };
    let folder = whole.parent().unwrap_or(Path::new(""));
    // The folder of a path without one.
    let opened = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match opened.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let pattern: Vec<char> = pattern.chars().collect();
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let chars: Vec<char> = name.to_string_lossy().chars().collect();
        // As in a shell; drafts of editors are hidden so.
        let is_hidden = chars.first() == Some(&'.') && pattern.first() != Some(&'.');
        let file = folder.join(&name);
        if !is_hidden && is_match(&pattern, &chars) && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a name is one that a pattern with `*` and `?` stands for.
fn is_match(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    // Where to go on if it does not fit after the last `*`, which then stands for one more.
    let mut retry = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, in_name));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[in_name] => {
                (at, in_name) = (at + 1, in_name + 1);
            }
            _ => {
                let Some((after, from)) = retry else { return false };
                retry = Some((after, from + 1));
                (at, in_name) = (after, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// Where a file looks for those that it includes.
#[derive(Debug)]
pub(crate) struct Includes {
    base: PathBuf,
    paths: Vec<IncludePath>,
}

impl Includes {
    /// Those of the file at `path`, if they can be read.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let text = read_text(path).ok()?;
        let name = path.display().to_string();
        let source = Source::parse(&name, &text, &mut Diagnostics::new(name.as_str()))?;
        let paths = paths(&source)?.into_iter().map(|(_, path)| path).collect();
        Some(Self { base: folder_of(path).to_owned(), paths })
    }

    /// The folders of patterns.
    pub(crate) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let patterns = self.paths.iter().filter(|path| path.pattern().is_some());
        patterns.filter_map(|path| Some(self.base.join(path.as_path()).parent()?.to_owned()))
    }

    /// The files that they stand for now.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        // A folder that cannot be read is told about when the file is loaded.
        self.paths.iter().flat_map(|path| matches(&self.base, path).unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests;
