use crate::audit::evidence::Evidence;
use crate::audit::networks::is_far;
use crate::audit::rule::Check::Whole;
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{Low, Medium};
use crate::config::spec::{AccessFormat, AccessSink, AuditRule as Id, LogLevel, ParameterName, SyslogAddr};

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
    Rule {
        id: Id::RedactExcept,
        severity: Medium,
        key: "log.access.redact.except",
        profile: "none",
        risk: "values that are credentials as a rule stand in lines, taps and debug headers, for all who may read those",
        check: Whole(|evidence| {
            let except = &evidence.spec.log.access.redact.except;
            let names: Vec<_> = except.iter().map(ParameterName::as_str).collect();
            found(!names.is_empty(), names.join(", "))
        }),
    },
    Rule {
        id: Id::SyslogPlain,
        severity: Medium,
        key: "log.access.syslog.address",
        profile: "unix:, or an address in a private network",
        risk: "whoever is on the way reads who asked for what, and makes lines up",
        check: Whole(plain_syslog),
    },
    Rule {
        id: Id::TracesPlain,
        severity: Medium,
        key: "tracing.to",
        profile: "https:, or an address in a private network",
        risk: "whoever is on the way reads who asked for what, and the token for the collector",
        check: Whole(|evidence| {
            let to = &evidence.config.tracing.as_ref()?.collector.to;
            let host = to.uri().host()?;
            found(!to.is_tls() && is_far(host), format_args!("no TLS towards {host}"))
        }),
    },
];

/// Neither datagrams nor connections to syslog are encrypted.
fn plain_syslog(evidence: &Evidence<'_>) -> Option<String> {
    let access = &evidence.spec.log.access;
    if access.to != AccessSink::Syslog || access.format == AccessFormat::Off {
        return None;
    }
    match &access.syslog.address {
        SyslogAddr::Udp(address) | SyslogAddr::Tcp(address) => {
            let host = address.rsplit_once(':')?.0;
            found(is_far(host), format_args!("no TLS towards {host}"))
        }
        SyslogAddr::Unix(_) => None,
    }
}
