//! The configurations that a process has served, and what became of each.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Diff;

/// A configuration from the moment when it was served. It is what `evener history --json` prints, so a field that is there
/// stays there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Generation {
    /// The first is 1. A process that takes over from another goes on with its numbers.
    pub(crate) number: u64,
    /// When it began (RFC 3339).
    pub(crate) began: String,
    /// Why it was made.
    pub(crate) origin: Why,
    /// The generation whose configuration it has; its own number, or that of an earlier one.
    pub(crate) configuration: u64,
    /// What differs from the one before.
    pub(crate) diff: Diff,
    /// What differs in files that the configuration names.
    pub(crate) files: Vec<String>,
    pub(crate) standing: Standing,
}

/// Why a generation was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    Start,
    /// `evener reload`, or the admin API.
    Command,
    /// SIGHUP.
    Signal,
    /// The file changed, and `server.watch` is on.
    Watch,
    /// `evener rollback`.
    Rollback,
    /// The one before did not pass its probation.
    Probation,
    /// The program asked for it.
    Program,
    /// Another process took over, with another configuration.
    Upgrade,
}

/// What became of a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It is served.
    Serving,
    /// It is served, and watched.
    OnProbation,
    /// Another one is.
    Replaced,
    /// It did not pass its probation, for this reason.
    Failed(String),
}

impl Why {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Command => "command",
            Self::Signal => "signal",
            Self::Watch => "watch",
            Self::Rollback => "rollback",
            Self::Probation => "probation",
            Self::Program => "program",
            Self::Upgrade => "upgrade",
        }
    }
}

impl Standing {
    pub(crate) fn is_served(&self) -> bool {
        matches!(self, Self::Serving | Self::OnProbation)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => f.write_str("serving"),
            Self::OnProbation => f.write_str("serving, on probation"),
            Self::Replaced => f.write_str("replaced"),
            Self::Failed(why) => write!(f, "taken back: {why}"),
        }
    }
}

/// `5  2026-01-31T12:00:00Z  command    serving`, and its differences below, indented.
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, began, origin, configuration, diff, files, standing } = self;
        write!(f, "{number:<4} {began}  {:<9}  {standing}", origin.as_str())?;
        if configuration != number {
            write!(f, " (the configuration of {configuration})")?;
        }
        writeln!(f)?;
        if *origin == Why::Start {
            return Ok(());
        }
        let told = if diff.is_empty() { String::new() } else { diff.to_string() };
        told.lines().try_for_each(|line| writeln!(f, "       {line}"))?;
        files.iter().try_for_each(|line| writeln!(f, "       ~ {line}"))
    }
}
