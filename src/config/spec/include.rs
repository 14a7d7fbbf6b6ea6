use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::types::text_leaf;

/// A file that is included, or with `*` and `?` in its last part all that are called so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludePath(PathBuf);

/// Why a text is no such path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIncludePath {
    /// It names nothing.
    #[error("the path is empty")]
    Empty,
    /// It names a folder.
    #[error("a folder cannot be included; write which files of it, like `conf.d/*.yaml`")]
    Folder,
    /// A folder is left open.
    #[error("`*` and `?` can stand in the last part of the path only")]
    OpenFolder,
}

impl IncludePath {
    /// As it is written.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The last part, if it may stand for several files.
    pub fn pattern(&self) -> Option<&str> {
        self.0.file_name()?.to_str().filter(|name| name.contains(WILDCARDS))
    }
}

const WILDCARDS: [char; 2] = ['*', '?'];

impl FromStr for IncludePath {
    type Err = InvalidIncludePath;

    fn from_str(text: &str) -> Result<Self, InvalidIncludePath> {
        if text.is_empty() {
            return Err(InvalidIncludePath::Empty);
        }
        let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
        if ["", ".", ".."].contains(&name) {
            return Err(InvalidIncludePath::Folder);
        }
        if folder.contains(WILDCARDS) {
            return Err(InvalidIncludePath::OpenFolder);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for IncludePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

text_leaf!(IncludePath, "a path", "conf.d/*.yaml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_part_stands_for_several_files() {
        let pattern = |text: &str| Ok(text.parse::<IncludePath>()?.pattern().map(str::to_owned));
        assert_eq!(pattern("conf.d/a.yaml"), Ok(None));
        assert_eq!(pattern("/etc/conf.d/*.y?ml"), Ok(Some("*.y?ml".to_owned())));
        assert_eq!(pattern("conf.*/a.yaml"), Err(InvalidIncludePath::OpenFolder));
        assert_eq!(pattern("conf.d/"), Err(InvalidIncludePath::Folder));
        assert_eq!(pattern(".."), Err(InvalidIncludePath::Folder));
        assert_eq!(pattern(""), Err(InvalidIncludePath::Empty));
    }
}
