use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::{FilePath, Hidden, Span, text_leaf};

use super::NamedMap;
use super::ranges::span;

/// Serves the files of a folder.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesSpec {
    /// The folder, relative to the folder of this file. The path of a request is a path below it; `rewrite` takes off what
    /// should not be. A link in its place is followed, and within a second after it was made to point elsewhere, so is
    /// that.
    pub root: PathBuf,
    /// What is served for a folder: the first that is there. Default: `[index.html]`; there are no listings.
    #[serde(default = "FilesSpec::default_index")]
    pub index: Vec<FileName>,
    /// The codings in which files may lie beside themselves, the best first: `app.js.br`, `app.js.zst`, `app.js.gz`. A
    /// neighbour that is older than its file is left alone. Default: none.
    #[serde(default)]
    pub precompressed: Vec<FileCoding>,
    /// For how long clients and caches may use a file without asking again, up to 365d (`Cache-Control: max-age`).
    /// Default: nothing is said.
    #[serde(default, deserialize_with = "FilesSpec::read_expires")]
    pub expires: Option<Span>,
    /// Whether a file never changes under its name, so that clients need not ask even on a reload. Needs `expires`.
    #[serde(default)]
    pub immutable: bool,
    /// `within` follows relative links to what is in the folder too, `never` follows none. Default: `within`.
    #[serde(default)]
    pub symlinks: Symlinks,
    /// Whether files and folders are served whose names begin with a dot. `/.well-known` always is. Default: false.
    #[serde(default)]
    pub hidden: bool,
    /// The page of an application that knows its paths itself: served, with status 200, to those who accept HTML, for a
    /// path that is no file and whose last part has no dot.
    #[serde(default)]
    pub spa: Option<SitePath>,
    /// What is served, with status 404, where there is no file.
    #[serde(default)]
    pub not_found: Option<SitePath>,
    /// The media types of files by the ends of their names, where they are to be others than usual:
    /// `{ .wasm: application/wasm }`.
    #[serde(default)]
    pub types: NamedMap<FileExtension, MediaType>,
}

impl FilesSpec {
    fn default_index() -> Vec<FileName> {
        vec![FileName("index.html".to_owned())]
    }

    fn read_expires<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
        const YEAR: u64 = 365 * 24 * 3_600_000;
        span::<0, YEAR, _>(deserializer).map(Some)
    }
}

/// A coding in which a file may lie beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileCoding {
    /// Brotli, `.br`.
    Br,
    /// Zstandard, `.zst`.
    Zstd,
    /// Gzip, `.gz`.
    Gzip,
}

impl FileCoding {
    /// Its name in HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the neighbour's name has more than the file's.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Br => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Symlinks {
    /// None.
    Never,
    /// Relative ones that lead to something in the folder.
    #[default]
    Within,
}

macro_rules! file_leaf {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $example:literal, $error:ident, $allowed:literal, |$text:ident| $is_sound:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        #[doc = concat!("A text that is not ", $kind, ".")]
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("`{found}` is not {kind}; {allowed}", kind = $kind, allowed = $allowed)]
        pub struct $error {
            found: String,
        }

        impl $name {
            /// As it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str($text: &str) -> Result<Self, $error> {
                if $is_sound { Ok(Self($text.to_owned())) } else { Err($error { found: $text.to_owned() }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_leaf!($name, $kind, $example);
    };
}

file_leaf!(
    /// The name of a file, without a folder.
    FileName, "a file's name", "index.html", InvalidFileName,
    "one name without a slash, 255 bytes at most",
    |text| !text.is_empty() && text.len() <= 255 && !text.contains(['/', '\0']) && text != "." && text != ".."
);

file_leaf!(
    /// The path of a page as clients would ask for it.
    SitePath, "the path of a file", "/index.html", InvalidSitePath,
    "it starts with `/`, ends with a file's name, and is written as in a URL",
    |text| FilePath::parse(text, Hidden::Served).is_some_and(|path| !path.ends_with_slash())
);

file_leaf!(
    /// The end of a file's name, with its dot.
    FileExtension, "the end of a file's name", ".wasm", InvalidFileExtension,
    "a dot, and after it letters, digits, `-`, `_` or `+`",
    |text| text.strip_prefix('.').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_+".contains(&b))
    })
);

file_leaf!(
    /// The value of a `Content-Type`.
    MediaType, "a media type", "text/html; charset=utf-8", InvalidMediaType,
    "a type and a subtype with a slash between them, like application/wasm",
    |text| {
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let essence = text.split(';').next().unwrap_or("").trim_end();
        let is_known = essence.split_once('/').is_some_and(|(kind, name)| is_token(kind) && is_token(name));
        is_known && HeaderValue::from_str(text).is_ok()
    }
);
