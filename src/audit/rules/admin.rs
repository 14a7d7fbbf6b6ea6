use crate::audit::evidence::{Evidence, FileKind};
use crate::audit::networks::{is_public, those};
use crate::audit::rule::Check::{File, Whole};
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{High, Low, Medium};
use crate::config::spec::{Anonymous, AuditRule as Id, TokenScope};

use super::found;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::AdminOpen,
        severity: High,
        key: "admin.open_to",
        profile: "nobody, or private networks",
        risk: "strangers read how the fleet does",
        check: Whole(|evidence| those(&evidence.config.admin.as_ref()?.open_to, is_public)),
    },
    Rule {
        id: Id::AdminUnencrypted,
        severity: Medium,
        key: "admin.open_to",
        profile: "loopback addresses and Unix sockets alone",
        risk: "what is read there goes over the network in clear text",
        check: Whole(|evidence| {
            those(&evidence.config.admin.as_ref()?.open_to, |network| !is_public(network))
        }),
    },
    Rule {
        id: Id::AdminAnonymous,
        severity: Medium,
        key: "admin.anonymous",
        profile: "health, where `open_to` lets others in than this machine",
        risk: "whoever is in those networks reads everything without a token",
        check: Whole(|evidence| {
            let admin = evidence.config.admin.as_ref()?;
            found(!admin.open_to.is_empty() && admin.anonymous == Anonymous::Read, "read")
        }),
    },
    Rule {
        id: Id::NoAuditLog,
        severity: Low,
        key: "admin.audit_log",
        profile: "a file, where a token is for `operate`",
        risk: "nobody can tell after a restart who changed what",
        check: Whole(|evidence| {
            let admin = evidence.config.admin.as_ref()?;
            let operates = admin.tokens.iter().any(|token| token.scope == TokenScope::Operate);
            found(operates && admin.audit_log.is_none(), "none")
        }),
    },
    Rule {
        id: Id::NoMetrics,
        severity: Low,
        key: "admin",
        profile: "`bind: 127.0.0.1:9901`, read by Prometheus",
        risk: "nobody is told when endpoints fail, certificates expire or clients are turned away",
        check: Whole(|evidence: &Evidence<'_>| found(evidence.config.admin.is_none(), "nowhere")),
    },
    Rule {
        id: Id::ControlSocketFolder,
        severity: High,
        key: "",
        profile: "a folder that its owner alone may write to",
        risk: "others can put a socket of their own in its place, and be told what is meant for the process",
        check: File(|file| {
            let mode = file.mode.filter(|mode| file.kind == FileKind::ControlFolder && is_open(*mode))?;
            Some(format!("{} has mode {:04o}", file.path.display(), mode & 0o7777))
        }),
    },
];

/// Whether others may remove what is in the folder.
fn is_open(mode: u32) -> bool {
    const STICKY: u32 = 0o1000;
    mode & 0o022 != 0 && mode & STICKY == 0
}
