use std::fmt;
use std::time::SystemTime;

use serde::de::{self, value::StrDeserializer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Actor;

/// A change, or an attempt at one. It is what stands in the audit log, so a field that is there stays there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// When (RFC 3339).
    pub(crate) time: String,
    /// Who: `uid 1000`, `token deploy`, or the `process` itself.
    pub(crate) who: String,
    /// From where: an address, a socket, or what moved the process.
    pub(crate) from: String,
    pub(crate) what: What,
    /// What it was done to, where it is not the process as a whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) after: Option<String>,
    pub(crate) result: DeedResult,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) reason: Option<String>,
    /// The request, where it went no further than the API: `PUT /v1/pools/{pool}/endpoints/{endpoint}/weight`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) request: Option<String>,
    /// What that was answered with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) status: Option<u16>,
}

/// What was done, or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Drain,
    Undrain,
    Eject,
    Weight,
    Canary,
    Purge,
    Log,
    Reload,
    Rollback,
    Upgrade,
    /// A request of which it was not looked at what it wanted.
    Request,
}

/// What it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeedResult {
    Changed,
    /// All was so already.
    Unchanged,
    /// It could not be done.
    Refused,
    /// Whoever asked may not.
    Denied,
}

/// What an entry says besides who and when.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    what: What,
    target: Option<String>,
    before: Option<String>,
    after: Option<String>,
    result: DeedResult,
    reason: Option<String>,
    request: Option<String>,
    status: Option<u16>,
}

/// So much is kept of a text that others have chosen.
const LONGEST: usize = 300;

impl Deed {
    fn new(what: What, result: DeedResult) -> Self {
        Self {
            what,
            target: None,
            before: None,
            after: None,
            result,
            reason: None,
            request: None,
            status: None,
        }
    }

    /// It was done, or had nothing to do.
    pub(crate) fn done(what: What, is_change: bool) -> Self {
        Self::new(what, if is_change { DeedResult::Changed } else { DeedResult::Unchanged })
    }

    /// It could not be done; the first line of the reason says why.
    pub(crate) fn refused(what: What, reason: impl fmt::Display) -> Self {
        Self::new(what, DeedResult::Refused).because(reason)
    }

    /// Whoever asked may not.
    pub(crate) fn denied(reason: impl fmt::Display) -> Self {
        Self::new(What::Request, DeedResult::Denied).because(reason)
    }

    fn because(self, reason: impl fmt::Display) -> Self {
        let reason = reason.to_string();
        Self { reason: reason.lines().next().map(shortened), ..self }
    }

    pub(crate) fn to(self, target: impl fmt::Display) -> Self {
        Self { target: Some(shortened(&target.to_string())), ..self }
    }

    pub(crate) fn from(self, before: impl fmt::Display) -> Self {
        Self { before: Some(shortened(&before.to_string())), ..self }
    }

    pub(crate) fn until(self, after: impl fmt::Display) -> Self {
        Self { after: Some(shortened(&after.to_string())), ..self }
    }

    /// Which request it was that went no further, and what it was answered with.
    pub(crate) fn answered(self, request: impl fmt::Display, status: u16) -> Self {
        Self { request: Some(shortened(&request.to_string())), status: Some(status), ..self }
    }

    pub(super) fn is_denied(&self) -> bool {
        self.result == DeedResult::Denied
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

impl AuditEntry {
    pub(super) fn new(by: &Actor, deed: Deed, time: SystemTime) -> Self {
        let Deed { what, target, before, after, result, reason, request, status } = deed;
        let (who, from) = (by.who.clone(), by.from.clone());
        let time = humantime::format_rfc3339_millis(time).to_string();
        Self { time, who, from, what, target, before, after, result, reason, request, status }
    }

    pub(super) fn is_denied(&self) -> bool {
        self.result == DeedResult::Denied
    }

    /// Whether another configuration is served because of it.
    pub(super) fn is_of_another_configuration(&self) -> bool {
        matches!(self.what, What::Reload | What::Rollback) && self.result == DeedResult::Changed
    }

    pub(super) fn to_line(&self) -> Vec<u8> {
        // Texts can always be written.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl What {
    /// What is called so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::deserialize(StrDeserializer::<de::value::Error>::new(name)).ok()
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Eject => "eject",
            Self::Weight => "weight",
            Self::Canary => "canary",
            Self::Purge => "purge",
            Self::Log => "log",
            Self::Reload => "reload",
            Self::Rollback => "rollback",
            Self::Upgrade => "upgrade",
            Self::Request => "request",
        }
    }
}

impl DeedResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Denied => "denied",
        }
    }
}

/// Without the time, which messages have anyway.
impl fmt::Display for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, from, what, result, status, .. } = self;
        write!(f, "what={} result={} who=\"{who}\" from=\"{from}\"", what.as_str(), result.as_str())?;
        let texts = [
            ("target", &self.target),
            ("before", &self.before),
            ("after", &self.after),
            ("reason", &self.reason),
            ("request", &self.request),
        ];
        for (name, text) in texts {
            text.iter().try_for_each(|text| write!(f, " {name}={text:?}"))?;
        }
        status.iter().try_for_each(|status| write!(f, " status={status}"))
    }
}
