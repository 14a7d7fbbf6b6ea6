use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::StatusSpec;
use crate::filters::FieldName;
use crate::hooks::BuildError;
use crate::types::{Cidr, Percent, Span};

/// Makes requests slow, or fail, on purpose. `delay`, `abort` or both must be given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultSettings {
    /// Has requests wait before they go on.
    #[serde(default)]
    pub delay: Option<DelaySettings>,
    /// Has requests fail before an endpoint sees them, after their delay.
    #[serde(default)]
    pub abort: Option<AbortSettings>,
    /// The networks whose requests are meant; those of others pass untouched. Default: all, but only where no `header` lets
    /// clients ask for faults.
    #[serde(default)]
    pub clients: Option<Vec<Cidr>>,
}

/// Which requests wait, and how long. `percent`, `header` or both must be given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelaySettings {
    /// How long they wait, 1ms to 1m; with `header`, how long at most.
    #[serde(rename = "for")]
    pub time: Span,
    /// Of how many requests that happens, `1%` to `100%`; with `header`, of those that have it. Default: `100%`.
    #[serde(default)]
    pub percent: Option<Percent>,
    /// The header in which requests ask for it, with a time like `250ms`. It is never forwarded.
    #[serde(default)]
    pub header: Option<FieldName>,
}

/// Which requests fail, and how. `percent`, `header` or both must be given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbortSettings {
    /// The status that they get, 400 to 599; with `header`, where it has none of these.
    pub status: StatusSpec,
    /// Of how many requests that happens, `1%` to `100%`; with `header`, of those that have it. Default: `100%`.
    #[serde(default)]
    pub percent: Option<Percent>,
    /// The header in which requests ask for it, with a status like `503`. It is never forwarded.
    #[serde(default)]
    pub header: Option<FieldName>,
}

const LONGEST: Duration = Duration::from_secs(60);
const ALL: Percent = Percent::new(100);

impl DelaySettings {
    pub(super) fn checked_time(&self) -> Result<Duration, BuildError> {
        match self.time.get() {
            time if !time.is_zero() && time <= LONGEST => Ok(time),
            _ => {
                let found = self.time;
                Err(BuildError::new(format!("a delay of `{found}`; 1ms to 1m are allowed")).at("for"))
            }
        }
    }
}

impl AbortSettings {
    pub(super) fn checked_status(&self) -> Result<StatusCode, BuildError> {
        match self.status {
            StatusSpec(status) if status.is_client_error() || status.is_server_error() => Ok(status),
            status => {
                Err(BuildError::new(format!("`{status}` is no failure; 400 to 599 are allowed")).at("status"))
            }
        }
    }
}

/// Of how many requests it happens, in percent.
pub(super) fn checked_percent(
    percent: Option<Percent>,
    header: Option<&FieldName>,
) -> Result<Percent, BuildError> {
    match percent {
        None if header.is_none() => {
            Err(BuildError::new("it is not said to which requests; write `percent`, `header` or both"))
        }
        None => Ok(ALL),
        Some(percent) if !percent.is_zero() && percent <= ALL => Ok(percent),
        Some(percent) => Err(BuildError::new(format!("`{percent}`; 1% to 100% are allowed")).at("percent")),
    }
}
