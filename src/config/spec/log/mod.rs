mod access;
mod level;
mod redact;
mod sink;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access::{
    AccessFormat, AccessSpec, ClientShown, InvalidAccessFormat, InvalidRouteLog, RouteLogMap, RouteLogSpec,
    SampleSpec,
};
pub use level::{InvalidLogLevel, LogLevel};
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
