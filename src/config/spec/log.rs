use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::text_leaf;

/// What is logged, and where to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSpec {
    /// The least important messages that are still written, to stderr. The environment variable `RUST_LOG`
    /// goes before it. Default: `info`.
    pub level: LogLevel,
    /// One line for every request.
    pub access: AccessSpec,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something failed that an operator must mend.
    Error,
    /// Something is wrong that Evener works around.
    Warn,
    /// Changes of state: start, stop, endpoints that fail and recover.
    #[default]
    Info,
    /// What one connection or request did.
    Debug,
    /// Everything.
    Trace,
}

/// A text that is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no level; there is error, warn, info, debug and trace")]
pub struct InvalidLogLevel(String);

impl LogLevel {
    const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];
}

impl FromStr for LogLevel {
    type Err = InvalidLogLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLogLevel> {
        let found = Self::ALL.into_iter().find(|level| level.to_string() == text);
        found.ok_or_else(|| InvalidLogLevel(text.to_owned()))
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

/// One line for every request.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSpec {
    /// The form of a line. Default: `json`.
    pub format: AccessFormat,
    /// Where the lines go: `stdout`, `stderr` or a file's path. Default: `stdout`. A sink that is too slow
    /// loses lines, which are counted, and never slows a request. SIGUSR1 has `evener run` open the file again,
    /// by its path, so that it can be renamed and kept; when that fails, the old file is written on. SIGHUP does
    /// nothing here.
    pub to: AccessSink,
}

/// The form of an access log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessFormat {
    /// A JSON object a line.
    #[default]
    Json,
    /// No access log.
    Off,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessSink {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to; created if it is not there.
    File(PathBuf),
}

/// An empty path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path is empty; write stdout, stderr or the path of a file")]
pub struct EmptyPath;

impl FromStr for AccessSink {
    type Err = EmptyPath;

    fn from_str(text: &str) -> Result<Self, EmptyPath> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            "" => Err(EmptyPath),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl fmt::Display for AccessSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

text_leaf!(AccessSink, "`stdout`, `stderr` or a path", "/var/log/evener/access.log");
