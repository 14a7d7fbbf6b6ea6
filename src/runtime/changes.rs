//! Changes of the process as a whole, as operators ask for them; whoever owns the process makes them.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::config::spec::LogLevel;
use crate::config::{Diagnostics, Diff, Origin};
use crate::types::{Percent, Span};

use super::{Actor, Audit, Generation};

/// Whoever can put another configuration in the place of the one that is served.
#[async_trait]
pub(crate) trait Changes: fmt::Debug + Send + Sync {
    /// Reads the configuration again and serves it from then on, if it is still to replace the generation `instead_of`. Changes
    /// are made one after the other, and to drop this stops none.
    ///
    /// # Errors
    /// When it cannot be served, or comes too late; then everything stays as it is.
    async fn reload(
        &self,
        by: &Actor,
        probation: Option<Probation>,
        instead_of: Option<u64>,
    ) -> Result<Applied, Refused>;

    /// Reads the configuration again, into which was written what runs, so that it counts as what was read.
    ///
    /// # Errors
    /// When something that runs would change by it, or a probation end; then everything stays as it is.
    async fn take_as_read(&self, by: &Actor) -> Result<Applied, Refused>;

    /// Serves the configuration of an earlier generation again: of this one, or of the one before.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload), and when there is no such generation.
    async fn roll_back(
        &self,
        by: &Actor,
        to: Option<u64>,
        instead_of: Option<u64>,
    ) -> Result<Applied, Refused>;

    /// Has another process take over, and begins the end of this one.
    ///
    /// # Errors
    /// When none does; then everything stays as it is.
    async fn upgrade(&self, by: &Actor, order: UpgradeOrder) -> Result<Upgraded, NotUpgraded>;

    /// The last generations, the oldest first; the last one is served.
    fn history(&self) -> Vec<Generation>;

    /// What is served, as it was read.
    fn served(&self) -> Origin;

    /// Where the configuration is read again.
    fn origin(&self) -> Origin;

    /// How many changes were made, and refused, since the start.
    fn counts(&self) -> ChangeCounts;

    /// The least important messages that are written; `None` where they are not this library's.
    fn log_level(&self) -> Option<LogLevel>;

    /// Changes that until the configuration is read again, and tells what it was; `None` where that is not this library's.
    fn set_log_level(&self, level: LogLevel) -> Option<LogLevel>;

    /// Who has changed what.
    fn audit(&self) -> &Audit;
}

/// How a new generation is watched, and what makes it fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probation {
    /// So long.
    pub(crate) lasts: Span,
    /// So much more of the requests may be answered with 5xx than before, in points of percent.
    pub(crate) max_errors: Percent,
    /// So much longer the slowest hundredth may take than before.
    pub(crate) max_p99: Percent,
}

/// Which process is to take over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpgradeOrder {
    /// Its program; `None` for that of this process, as its file is by now.
    pub(crate) binary: Option<PathBuf>,
    /// Its configuration; `None` to start it by the arguments of this process.
    pub(crate) config: Option<PathBuf>,
    /// How long it may take to read and check that; `None` for a minute.
    pub(crate) start_limit: Option<Span>,
}

/// Which process has taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upgraded {
    pub(crate) process: u32,
    pub(crate) version: String,
}

/// Why no other process has taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotUpgraded {
    /// It says that its configuration is refused, and what is wrong with it.
    #[error("the new process refuses the configuration\n{0}")]
    Configuration(String),
    #[error("{0}")]
    Failed(String),
}

/// A change that was made.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) report: Report,
    /// What the probation comes to, if there is one.
    pub(crate) verdict: Option<watch::Receiver<Option<Verdict>>>,
}

/// What a change came to. It is what `evener reload --json` prints, so a field that is there stays there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Report {
    /// The generation that is served now; the same as before where nothing differs.
    pub(crate) generation: u64,
    pub(crate) diff: Diff,
    /// What differs in files that the configuration names.
    pub(crate) files: Vec<String>,
    /// What waits for another process, since it cannot change in one that runs.
    pub(crate) restart: Vec<String>,
    /// What is allowed but surely not meant.
    pub(crate) warnings: String,
    /// How long it took.
    pub(crate) took_ms: f64,
}

/// What a probation came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The generation stays, with what was seen of it.
    Passed { seen: String },
    /// The one before was put in its place again, for this reason; or could not be, which stands in `stuck`.
    Failed { why: String, stuck: Option<String> },
    /// Another change came before the end.
    Overtaken,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Refused {
    /// For whoever has asked.
    text: String,
    /// For everybody who may look.
    public: String,
}

/// Why a change came too late.
const OVERTAKEN: &str = "another change came before this one";

/// How many changes there were since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangeCounts {
    /// The generation that is served.
    pub(crate) generation: u64,
    pub(crate) made: u64,
    pub(crate) refused: u64,
}

impl Refused {
    /// For a reason that tells nothing of what a configuration says.
    pub(crate) fn because(why: impl fmt::Display) -> Self {
        let text = why.to_string();
        Self { public: text.clone(), text }
    }

    /// Since the configuration has errors.
    pub(crate) fn of_configuration(problems: &Diagnostics) -> Self {
        Self { text: problems.to_string(), public: problems.for_everybody() }
    }

    /// Another change came first.
    pub(crate) fn overtaken() -> Self {
        Self::because(OVERTAKEN)
    }

    pub(crate) fn is_overtaken(&self) -> bool {
        self.text == OVERTAKEN
    }

    /// The reason as everybody may see it: what is wrong with a file may show a secret that stands in a wrong place.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

impl Report {
    /// Whether the configuration and the files that it names say what they said before.
    pub(crate) fn is_empty(&self) -> bool {
        self.diff.is_empty() && self.files.is_empty()
    }
}

/// The differences, a line each, and what is to be known besides.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no difference\n");
        }
        if !self.diff.is_empty() {
            write!(f, "{}", self.diff)?;
        }
        self.files.iter().try_for_each(|line| writeln!(f, "~ {line}"))?;
        self.restart.iter().try_for_each(|line| writeln!(f, "! {line}"))
    }
}

/// A process whose configuration does not change, for tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Unchanging {
    audit: Audit,
}

#[cfg(test)]
#[async_trait]
impl Changes for Unchanging {
    async fn reload(&self, _: &Actor, _: Option<Probation>, _: Option<u64>) -> Result<Applied, Refused> {
        Err(Refused::because("nothing changes here"))
    }

    async fn take_as_read(&self, _: &Actor) -> Result<Applied, Refused> {
        Err(Refused::because("nothing changes here"))
    }

    async fn roll_back(&self, _: &Actor, _: Option<u64>, _: Option<u64>) -> Result<Applied, Refused> {
        Err(Refused::because("nothing changes here"))
    }

    async fn upgrade(&self, _: &Actor, _: UpgradeOrder) -> Result<Upgraded, NotUpgraded> {
        Err(NotUpgraded::Failed("nothing changes here".to_owned()))
    }

    fn history(&self) -> Vec<Generation> {
        Vec::new()
    }

    fn served(&self) -> Origin {
        Origin::File("test.yaml".into())
    }

    fn origin(&self) -> Origin {
        self.served()
    }

    fn counts(&self) -> ChangeCounts {
        ChangeCounts { generation: 1, ..ChangeCounts::default() }
    }

    fn log_level(&self) -> Option<LogLevel> {
        Some(LogLevel::Info)
    }

    fn set_log_level(&self, _: LogLevel) -> Option<LogLevel> {
        None
    }

    fn audit(&self) -> &Audit {
        &self.audit
    }
}
