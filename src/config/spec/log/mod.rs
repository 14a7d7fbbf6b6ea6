mod access;
mod redact;
mod sink;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access::{
    AccessFormat, AccessSpec, ClientShown, InvalidAccessFormat, InvalidRouteLog, RouteLogMap, RouteLogSpec,
    SampleSpec,
};
pub use redact::{InvalidParameterName, ParameterName, RedactSpec};
pub use sink::{
    AccessSink, EmptyPath, InvalidSyslogAddr, InvalidSyslogTag, JournaldSpec, SyslogAddr, SyslogFacility,
    SyslogSpec, SyslogTag,
};

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
