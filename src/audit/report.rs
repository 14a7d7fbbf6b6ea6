use std::fmt;

use serde::Serialize;

use crate::config::spec::{AcceptSpec, AuditSpec};
use crate::config::{Config, KeyPath, Position, Segment};

use super::evidence::Evidence;
use super::rule::{Found, Severity};

/// What is to be said of a configuration. Displayed for people, the worst first:
///
/// ```text
/// evener.yaml:2:8: high: listeners.web.tls: none on 0.0.0.0:8080 (plain-http)
///   risk: whoever is on the way reads and changes what clients send and get
///   profile: certificates, or an address that only this machine reaches
/// 1 deviation: 1 high
/// ```
#[derive(Debug, Serialize)]
pub(crate) struct Audit {
    /// The worst first; those of one severity in the order of the file.
    deviations: Vec<Deviation>,
    /// What is accepted under `audit.accept` and is not there.
    unused: Vec<Unused>,
}

/// One place where a configuration is not as the profile has it.
#[derive(Debug, Serialize)]
struct Deviation {
    rule: &'static str,
    severity: Severity,
    file: String,
    #[serde(flatten)]
    place: Option<Place>,
    /// The key to change.
    key: String,
    found: String,
    profile: &'static str,
    risk: &'static str,
    /// Why it is meant, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Place {
    line: usize,
    column: usize,
}

/// An acceptance that nothing needs.
#[derive(Debug, Serialize)]
struct Unused {
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
}

impl Audit {
    pub(super) fn new(found: Vec<Found>, spec: &AuditSpec, evidence: &Evidence<'_>) -> Self {
        let accepted: Vec<_> = spec.accept.iter().flat_map(|entry| entry.iter()).collect();
        let mut is_used = vec![false; accepted.len()];
        let mut deviation = |found: Found| {
            let place = accepted.iter().position(|(rule, accept)| {
                **rule == found.rule.id && is_at(accept, &found.at, evidence.config)
            });
            if let Some(place) = place {
                is_used[place] = true;
            }
            Deviation::new(&found, place.map(|place| accepted[place].1.reason.to_string()), evidence)
        };
        let mut deviations: Vec<_> = found.into_iter().map(&mut deviation).collect();
        deviations
            .sort_by(|one, other| other.severity.cmp(&one.severity).then(one.order().cmp(&other.order())));
        let unused = accepted.iter().zip(is_used).filter(|(_, is_used)| !is_used);
        let unused =
            unused.map(|((rule, accept), _)| Unused { rule: rule.as_str(), at: accept.at.clone() }).collect();
        Self { deviations, unused }
    }

    /// Whether a deviation that nobody accepts is as bad as that, or worse.
    pub(crate) fn has(&self, severity: Severity) -> bool {
        self.open().any(|deviation| deviation.severity >= severity)
    }

    fn open(&self) -> impl Iterator<Item = &Deviation> {
        self.deviations.iter().filter(|deviation| deviation.accepted.is_none())
    }

    #[cfg(test)]
    pub(super) fn rules(&self) -> Vec<&'static str> {
        self.open().map(|deviation| deviation.rule).collect()
    }
}

/// Whether what is accepted is meant for the value at `at`.
fn is_at(accept: &AcceptSpec, at: &KeyPath, config: &Config) -> bool {
    let Some(place) = &accept.at else { return true };
    [Some(at.clone()), by_name(at, config)].into_iter().flatten().any(|at| {
        let at = at.to_string();
        at.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// The path with the name of a route in the place of its number.
fn by_name(at: &KeyPath, config: &Config) -> Option<KeyPath> {
    let [Segment::Key(routes), Segment::Index(place), rest @ ..] = at.segments() else { return None };
    let name = config.routes.get(*place).filter(|_| routes == "routes")?.name.as_str();
    let named = KeyPath::default().child("routes").child(name);
    Some(rest.iter().fold(named, |path, step| path.join(step.clone())))
}

impl Deviation {
    fn new(found: &Found, accepted: Option<String>, evidence: &Evidence<'_>) -> Self {
        let (file, position) = evidence.source.locate(&found.at);
        let is_whole = found.at.segments().is_empty();
        Self {
            rule: found.rule.id.as_str(),
            severity: found.rule.severity,
            file: file.as_deref().unwrap_or(evidence.source.file()).to_owned(),
            place: position.filter(|_| !is_whole).map(|Position { line, column }| Place { line, column }),
            key: found.at.to_string(),
            found: found.value.clone(),
            profile: found.rule.profile,
            risk: found.rule.risk,
            accepted,
        }
    }

    fn order(&self) -> (&str, Option<Place>, &str) {
        (&self.file, self.place, self.rule)
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.open().try_for_each(|deviation| deviation.fmt(f))?;
        let accepted = || self.deviations.iter().filter(|deviation| deviation.accepted.is_some());
        accepted().try_for_each(|deviation| deviation.fmt(f))?;
        for Unused { rule, at } in &self.unused {
            let at = at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
            writeln!(f, "audit.accept: {rule}{at}: nothing deviates there any more; remove it")?;
        }
        match self.open().count() {
            0 => f.write_str("no deviation")?,
            count => {
                write!(f, "{count} deviation{}: ", if count == 1 { "" } else { "s" })?;
                let of = |severity| self.open().filter(|deviation| deviation.severity == severity).count();
                let counts = Severity::ALL.map(|severity| (of(severity), severity));
                let told = counts.iter().filter(|(count, _)| *count > 0);
                let told: Vec<_> = told.map(|(count, severity)| format!("{count} {severity}")).collect();
                f.write_str(&told.join(", "))?;
            }
        }
        match accepted().count() {
            0 => writeln!(f),
            count => writeln!(f, "; {count} accepted"),
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, severity, file, place, key, found, profile, risk, accepted } = self;
        write!(f, "{file}:")?;
        if let Some(Place { line, column }) = place {
            write!(f, "{line}:{column}:")?;
        }
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        match accepted {
            Some(reason) => {
                // What looks like a line of this report is none.
                let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
                writeln!(f, " accepted: {key}{found} ({rule})\n  reason: {reason}")
            }
            None => writeln!(f, " {severity}: {key}{found} ({rule})\n  risk: {risk}\n  profile: {profile}"),
        }
    }
}
