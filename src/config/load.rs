use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::include::{IncludedText, Whole, include};
use super::spec::Spec;
use super::{Config, Diagnostic, Diagnostics, KeyPath, Position, Source, places, recover, resolve};

/// A configuration that was read as far as it could be, and the text that it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What was written, with names resolved and defaults filled in. When there are errors among the
    /// diagnostics, only what is left without them: good for finding further errors, not for running.
    pub config: Config,
    /// The texts, for messages about what is found out later and for the settings of filters and policies.
    pub source: Source,
    /// What was found so far: errors, and what is allowed but surely not meant.
    pub diagnostics: Diagnostics,
}

impl Loaded {
    /// The same, if nothing is wrong with it.
    ///
    /// # Errors
    /// All that was found.
    pub fn sound(self) -> Result<Self, Diagnostics> {
        if self.diagnostics.has_errors() { Err(self.diagnostics) } else { Ok(self) }
    }
}

/// Larger files are surely not configurations.
pub(super) const MAX_FILE: u64 = 16 << 20;

/// Reads and checks a file and those that it includes. Paths in them are relative to its directory.
///
/// # Errors
/// When nothing of the file could be read; else its problems are among the diagnostics of the result.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    let file_name = path.display().to_string();
    match read_text(path) {
        Ok(text) => load_text(&file_name, folder_of(path), &text),
        Err(problem) => {
            let mut diagnostics = Diagnostics::new(file_name);
            diagnostics.push(*problem);
            Err(diagnostics)
        }
    }
}

/// Reads and checks a text, which messages call `file_name`, and the files that it includes. Paths in them are relative to `base`.
///
/// # Errors
/// When nothing of the text could be read; else its problems are among the diagnostics of the result.
pub fn load_text(file_name: &str, base: &Path, text: &str) -> Result<Loaded, Diagnostics> {
    load_with(file_name, base, text, None)
}

/// As [`load_text`], with these texts in the place of the files that are included.
pub(super) fn load_with(
    file_name: &str,
    base: &Path,
    text: &str,
    included: Option<&[IncludedText]>,
) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = Diagnostics::new(file_name);
    let Some(source) = Source::parse(file_name, text, &mut diagnostics) else { return Err(diagnostics) };
    let Whole { source, partial } = include(source, base, included, &mut diagnostics);
    let root = KeyPath::default();
    let read = recover::read::<Spec>(source.root(), &root, &source, places::elsewhere, &mut diagnostics);
    let Some(spec) = read.value else { return Err(diagnostics) };
    let removed = [read.removed, partial].concat();
    let config = resolve::resolve(spec, base, &source, &removed, &mut diagnostics);
    Ok(Loaded { config, source, diagnostics })
}

/// Where relative paths of a file start.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

pub(super) fn read_text(path: &Path) -> Result<String, Box<Diagnostic>> {
    let problem = |position, message: fmt::Arguments<'_>| Box::new(Diagnostic::error(position, message));
    let unreadable = |error: io::Error| problem(None, format_args!("the file cannot be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(problem(None, format_args!("the file is larger than 16MiB")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let position = end_of(&String::from_utf8_lossy(&bytes[..valid]));
        let found = bytes.get(valid).copied().unwrap_or_default();
        let mut problem = problem(Some(position), format_args!("the byte 0x{found:02x} is not UTF-8"));
        problem.help("save the file as UTF-8");
        problem
    })
}

/// The position right behind a text.
fn end_of(text: &str) -> Position {
    let last = text.rsplit('\n').next().unwrap_or("");
    Position { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: {} }]\n";

    fn problem_of(bytes: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.yaml");
        std::fs::write(&path, bytes).unwrap();
        let problems = load(&path).and_then(Loaded::sound).unwrap_err().to_string();
        problems.replace(&directory.path().display().to_string(), "")
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "listeners: { web: { bind: unix:run/x.sock } }\nroutes: [{ respond: {} }]\n\
                    log: { access: { to: access.log } }\n";
        let loaded = load_text("x.yaml", Path::new("/etc/evener"), text).unwrap();
        assert_eq!(loaded.config.listeners[0].binds[0].to_string(), "unix:/etc/evener/run/x.sock");
        assert_eq!(loaded.config.access_log.to.to_string(), "/etc/evener/access.log");
    }

    #[test]
    fn a_good_file_has_nothing_to_say() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.yaml");
        std::fs::write(&path, GOOD).unwrap();
        assert!(load(&path).unwrap().diagnostics.is_empty());
    }

    #[test]
    fn files_that_are_no_texts_are_refused() {
        assert_eq!(
            problem_of(b"a: 1\nb: \xff\n"),
            "/x.yaml:2:4: the byte 0xff is not UTF-8\n  help: save the file as UTF-8\n"
        );
        assert!(problem_of(b"").contains("1:1: the file is empty"));
        let too_long = vec![b'#'; usize::try_from(MAX_FILE).unwrap() + 1];
        assert_eq!(problem_of(&too_long), "/x.yaml: the file is larger than 16MiB\n");
        let gone = load(Path::new("/nonexistent/x.yaml")).unwrap_err().to_string();
        assert!(gone.starts_with("/nonexistent/x.yaml: the file cannot be read: "), "{gone}");
    }
}
