use crate::audit::rule::Check::Whole;
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{Low, Medium};
use crate::config::spec::{AccessFormat, AuditRule as Id, LogLevel};

use super::found;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::AccessLogOff,
        severity: Medium,
        key: "log.access.format",
        profile: "json",
        risk: "nobody can tell afterwards who asked for what, and what became of it",
        check: Whole(|evidence| found(evidence.spec.log.access.format == AccessFormat::Off, "off")),
    },
    Rule {
        id: Id::DebugLog,
        severity: Low,
        key: "log.level",
        profile: "info",
        risk: "messages of each request hide those that matter, and may hold what clients sent",
        check: Whole(|evidence| {
            found(matches!(evidence.config.log_level, LogLevel::Debug | LogLevel::Trace), "debug or trace")
        }),
    },
];
