use std::fmt;
use std::sync::Arc;

use super::document::Part;
use super::{KeyPath, Source};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration works, though surely not as it was meant.
    Warning,
}

/// A place in the text; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    pub(super) fn of(error: &serde_yaml::Error) -> Option<Self> {
        error.location().map(|at| Self { line: at.line(), column: at.column() })
    }
}

/// A place in one of the files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `None` for the main file.
    pub(super) file: Option<Arc<str>>,
    pub(super) position: Option<Position>,
}

/// One problem: where it is, what was found and what is allowed, and the likely fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file that it is in; `None` for the main file.
    pub file: Option<Arc<str>>,
    /// Where it is; `None` for a file that cannot be read at all.
    pub position: Option<Position>,
    /// The key under which it is; empty for the file as a whole. Routes count through all files.
    pub path: KeyPath,
    /// What was found, and what is allowed.
    pub message: String,
    /// The likely fix.
    pub help: Option<String>,
    /// What is allowed, as everybody may see it: nothing of what was found is in it. `None` where that cannot be told.
    pub rule: Option<String>,
}

impl Diagnostic {
    pub(super) fn error(position: Option<Position>, message: impl fmt::Display) -> Self {
        let (severity, path) = (Severity::Error, KeyPath::default());
        Self { severity, file: None, position, path, message: message.to_string(), help: None, rule: None }
    }

    /// Adds the likely fix.
    pub fn help(&mut self, help: impl fmt::Display) -> &mut Self {
        self.help = Some(help.to_string());
        self
    }
}

/// The problems of a file and of those that it includes. Displayed in the order of the file, one line each, help below:
///
/// ```text
/// conf/evener.yaml:41:14: routes[2].pool: no pool named `apii`
///   help: did you mean `api`?
/// conf/evener.yaml:52:3: warning: pools.old: nothing uses it
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    file: String,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// No problems so far, in the file that messages call `file`.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), list: Vec::new() }
    }

    /// What messages call the main file.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Whether the configuration must be refused.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The problems, in the order of the file; those of files that it includes follow.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        let mut sorted: Vec<_> = self.list.iter().collect();
        sorted.sort_by_key(|diagnostic| {
            let Diagnostic { file, position, .. } = diagnostic;
            (position.is_none(), file, *position)
        });
        sorted.into_iter()
    }

    /// Adds an error about the value at `path`.
    pub fn error(&mut self, source: &Source, path: &KeyPath, message: impl fmt::Display) -> &mut Diagnostic {
        self.error_in(source.place_of(path, Part::Value), path, message)
    }

    /// Adds an error about the key at the end of `path`.
    pub fn error_at_key(
        &mut self,
        source: &Source,
        path: &KeyPath,
        message: impl fmt::Display,
    ) -> &mut Diagnostic {
        self.error_in(source.place_of(path, Part::Key), path, message)
    }

    fn error_in(&mut self, place: Place, path: &KeyPath, message: impl fmt::Display) -> &mut Diagnostic {
        let Place { file, position } = place;
        self.push(Diagnostic { file, path: path.clone(), ..Diagnostic::error(position, message) })
    }

    /// Adds a warning about the entry at `path`.
    pub fn warning(
        &mut self,
        source: &Source,
        path: &KeyPath,
        message: impl fmt::Display,
    ) -> &mut Diagnostic {
        let diagnostic = self.error_at_key(source, path, message);
        diagnostic.severity = Severity::Warning;
        diagnostic
    }

    /// Adds the problems of `others`, which are of the same files.
    pub fn append(&mut self, others: Self) {
        self.list.extend(others.list);
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        let place = self.list.len();
        self.list.push(diagnostic);
        &mut self.list[place]
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.iter() {
            write!(f, "{}:", diagnostic.file.as_deref().unwrap_or(&self.file))?;
            if let Some(Position { line, column }) = diagnostic.position {
                write!(f, "{line}:{column}:")?;
            }
            if diagnostic.severity == Severity::Warning {
                f.write_str(" warning:")?;
            }
            if !diagnostic.path.segments().is_empty() {
                write!(f, " {}:", diagnostic.path)?;
            }
            writeln!(f, " {}", diagnostic.message)?;
            if let Some(help) = &diagnostic.help {
                writeln!(f, "  help: {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_shown_in_the_order_of_the_file_with_help_below() {
        let mut diagnostics = Diagnostics::new("conf/x.yaml");
        let source = Source::parse("conf/x.yaml", "a: 1\nb:\n  c: 2\n", &mut diagnostics).unwrap();
        let root = KeyPath::default();
        diagnostics.warning(&source, &root.child("b").child("c"), "nothing uses it");
        assert!(!diagnostics.has_errors());
        diagnostics.error(&source, &root.child("a"), "no pool named `1`").help("did you mean `2`?");
        assert!(diagnostics.has_errors());
        assert_eq!(
            diagnostics.to_string(),
            "conf/x.yaml:1:4: a: no pool named `1`\n  help: did you mean `2`?\n\
             conf/x.yaml:3:3: warning: b.c: nothing uses it\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_has_no_position() {
        let mut diagnostics = Diagnostics::new("gone.yaml");
        diagnostics.push(Diagnostic::error(None, "no such file"));
        assert_eq!(diagnostics.to_string(), "gone.yaml: no such file\n");
    }
}
