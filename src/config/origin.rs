use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::load::{folder_of, load_with};
use super::{Diagnostics, Edited, IncludedText, Loaded, Source, load};

/// Where a configuration comes from, so that it can be read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file, as it is at the moment when it is read.
    File(PathBuf),
    /// A text, which stays what it is. What it includes does where that is given.
    Text {
        /// What messages call it.
        name: String,
        /// Where relative paths in it start.
        base: PathBuf,
        /// The text.
        text: String,
        /// What it includes; `None` for files, as they are at the moment when it is read.
        #[serde(default)]
        included: Option<Vec<IncludedText>>,
    },
}

impl Origin {
    /// A text for tests, whose messages call it `test.yaml`.
    #[cfg(test)]
    pub(crate) fn test(text: impl Into<String>) -> Self {
        Self::Text { name: "test.yaml".to_owned(), base: PathBuf::new(), text: text.into(), included: None }
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// As for [`load()`].
    pub fn read(&self) -> Result<Loaded, Diagnostics> {
        match self {
            Self::File(path) => load(path),
            Self::Text { name, base, text, included } => load_with(name, base, text, included.as_deref()),
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Text { .. } => None,
        }
    }

    /// Where relative paths start.
    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Self::File(path) => folder_of(path).to_owned(),
            Self::Text { base, .. } => base.clone(),
        }
    }

    /// The same for a process with another working directory.
    pub(crate) fn anywhere(&self) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        match self {
            Self::File(path) => Self::File(here.join(path)),
            Self::Text { name, base, text, included } => Self::Text {
                name: name.clone(),
                base: here.join(base),
                text: text.clone(),
                included: included.clone(),
            },
        }
    }

    /// The same with all files by absolute paths, as they are called in this process.
    pub(crate) fn on_disk(&self) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let absolute = |file: &str| here.join(file).display().to_string();
        match self.anywhere() {
            Self::Text { name, base, text, included } => Self::Text {
                name: absolute(&name),
                base,
                text,
                included: included.map(|texts| {
                    let text = |text: IncludedText| IncludedText { file: absolute(&text.file), ..text };
                    texts.into_iter().map(text).collect()
                }),
            },
            file @ Self::File(_) => file,
        }
    }

    /// The same with the weights that were written into it.
    pub(crate) fn edited(&self, edited: &Edited) -> Self {
        self.with_texts(&edited.text, Some(edited.included.clone()))
    }

    /// The same, fixed to what was read of it.
    pub(crate) fn fixed_to(&self, source: &Source) -> Self {
        self.with_texts(source.text(), Some(source.included()))
    }

    /// Another text in its place: messages call it the same, and relative paths start where they did.
    pub(crate) fn with_text(&self, text: &str) -> Self {
        self.with_texts(text, None)
    }

    fn with_texts(&self, text: &str, included: Option<Vec<IncludedText>>) -> Self {
        let (name, base) = match self {
            Self::File(path) => (path.display().to_string(), folder_of(path).to_owned()),
            Self::Text { name, base, .. } => (name.clone(), base.clone()),
        };
        Self::Text { name, base, text: text.to_owned(), included }
    }
}
