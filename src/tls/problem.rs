use crate::config::KeyPath;

/// A file of a listener's TLS that cannot be used, or soon cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where the file is named, or should be.
    pub(crate) at: KeyPath,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Whether the configuration cannot be served with it; else it is a warning.
    pub(crate) is_error: bool,
}

impl Problem {
    pub(super) fn error(at: KeyPath, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None, is_error: true }
    }

    pub(super) fn warning(at: KeyPath, message: impl Into<String>) -> Self {
        Self { is_error: false, ..Self::error(at, message) }
    }

    /// The same, but it keeps nothing from being served.
    pub(super) fn into_warning(self) -> Self {
        Self { is_error: false, ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// What was read; or nothing, and the problem is kept with the others.
pub(super) fn keep<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}
