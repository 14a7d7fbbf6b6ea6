use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::config::spec::AuditRule;
use crate::config::{self, KeyPath};

use super::evidence::{Evidence, NamedCertificate, NamedFile, NamedSecret};

/// How bad a deviation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Protection that is there is weaker than it need be.
    Low,
    /// One fault, or one busy client, more than it need be is felt by others.
    Medium,
    /// Somebody gets at what is not theirs, as things stand.
    High,
}

/// One thing that the profile asks for.
pub(super) struct Rule {
    pub(super) id: AuditRule,
    pub(super) severity: Severity,
    /// What to change: a path from the item that is looked at on.
    pub(super) key: &'static str,
    /// What the profile has there.
    pub(super) profile: &'static str,
    /// What may happen otherwise.
    pub(super) risk: &'static str,
    pub(super) check: Check,
}

/// What a rule looks at, one after the other, and how it finds a deviation: what stands there then.
pub(super) enum Check {
    Whole(fn(&Evidence<'_>) -> Option<String>),
    Listener(fn(&Evidence<'_>, &config::Listener) -> Option<String>),
    Pool(fn(&Evidence<'_>, &config::Pool) -> Option<String>),
    Route(fn(&Evidence<'_>, &config::Route) -> Option<String>),
    Store(fn(&config::Store) -> Option<String>),
    /// The filters of a name, by where their settings stand.
    Filter(&'static str, fn(&Evidence<'_>, &KeyPath) -> Option<String>),
    Secret(fn(&NamedSecret) -> Option<String>),
    File(fn(&NamedFile) -> Option<String>),
    Certificate(fn(&Evidence<'_>, &NamedCertificate) -> Option<String>),
}

/// What a rule found.
pub(super) struct Found {
    pub(super) rule: &'static Rule,
    pub(super) at: KeyPath,
    pub(super) value: String,
}

impl Rule {
    /// All places that deviate.
    pub(super) fn look(&'static self, evidence: &Evidence<'_>) -> Vec<Found> {
        let config = evidence.config;
        match &self.check {
            Check::Whole(check) => self.found([(KeyPath::default(), check(evidence))]),
            Check::Listener(check) => self.found(config.listeners.iter().map(|listener| {
                (
                    KeyPath::default().child("listeners").child(listener.name.as_str()),
                    check(evidence, listener),
                )
            })),
            Check::Pool(check) => self.found(config.pools.iter().map(|pool| {
                (KeyPath::default().child("pools").child(pool.name.as_str()), check(evidence, pool))
            })),
            Check::Route(check) => self.found(config.routes.iter().enumerate().map(|(place, route)| {
                (KeyPath::default().child("routes").index(place), check(evidence, route))
            })),
            Check::Store(check) => self.found(config.stores.iter().map(|store| {
                let stores = KeyPath::default().child("server").child("stores");
                (stores.child(store.name.as_str()), check(store))
            })),
            Check::Filter(name, check) => {
                let all = config.routes.iter().flat_map(|route| &route.filters);
                let named = all.filter(|filter| filter.name == *name);
                self.found(named.map(|filter| (filter.settings.clone(), check(evidence, &filter.settings))))
            }
            Check::Secret(check) => {
                self.found(evidence.secrets.iter().map(|secret| (secret.at.clone(), check(secret))))
            }
            Check::File(check) => {
                self.found(evidence.files.iter().map(|file| (file.at.clone(), check(file))))
            }
            Check::Certificate(check) => self.found(
                evidence
                    .certificates
                    .iter()
                    .map(|certificate| (certificate.at.clone(), check(evidence, certificate))),
            ),
        }
    }

    fn found(&'static self, looked: impl IntoIterator<Item = (KeyPath, Option<String>)>) -> Vec<Found> {
        let steps = || self.key.split('.').filter(|step| !step.is_empty());
        let found = |(item, value): (KeyPath, Option<String>)| {
            let at = steps().fold(item, |at, step| at.child(step));
            Some(Found { rule: self, at, value: value? })
        };
        looked.into_iter().filter_map(found).collect()
    }

    /// The key, as the reference of all keys has it.
    #[cfg(test)]
    pub(super) fn whole_key(&self) -> String {
        let item = match &self.check {
            Check::Whole(_) => return self.key.to_owned(),
            Check::Listener(_) => "listeners.NAME",
            Check::Pool(_) => "pools.NAME",
            Check::Route(_) => "routes[]",
            Check::Store(_) => "server.stores.NAME",
            Check::Filter(name, _) => name,
            Check::Secret(_) => return "where the secret stands".to_owned(),
            Check::File(_) => return "where the file is named".to_owned(),
            Check::Certificate(_) => return "where the certificate is named".to_owned(),
        };
        if self.key.is_empty() { item.to_owned() } else { format!("{item}.{}", self.key) }
    }
}

impl Severity {
    pub(super) const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|severity| severity.as_str() == text);
        known.ok_or("write high, medium or low")
    }
}
