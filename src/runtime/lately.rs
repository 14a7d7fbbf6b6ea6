//! What a process tells of the time before this moment, and how much it writes.

use serde::{Deserialize, Serialize};

use crate::config::spec::LogLevel;
use crate::pools::PastTransition;

use super::{AuditEntry, Sample};

/// In plain values, for the process that takes over. Another version may have written it: what is missing is not known, and
/// what is unknown is passed over.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Lately {
    pub(crate) level: Option<SetLevel>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) transitions: Vec<PastTransition>,
    /// What was changed, and by whom.
    pub(crate) audit: Vec<AuditEntry>,
}

/// The level of messages that an operator has asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetLevel {
    pub(crate) level: LogLevel,
    /// The one that it stands in the place of. Where the file says something else by now, that counts.
    pub(crate) of_file: LogLevel,
}
