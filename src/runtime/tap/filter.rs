use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::types::{Cidr, EndpointAddr, HostPattern, ListenerName, normalise_path, text_leaf};

use super::super::recording::{Ended, Recording};

/// Which requests somebody wants to see: those that are like all that is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TapFilter {
    pub(crate) route: Option<String>,
    pub(crate) pool: Option<String>,
    /// One that an attempt was made at.
    pub(crate) endpoint: Option<EndpointAddr>,
    pub(crate) client: Option<Cidr>,
    pub(crate) host: Option<HostPattern>,
    /// How the path begins.
    pub(crate) path: Option<String>,
    pub(crate) status: Option<TapStatus>,
    pub(crate) listener: Option<String>,
}

/// How a request ended: `503`, `5xx`, or the word of a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TapStatus {
    Exactly(u16),
    /// The first digit.
    Class(u16),
    Cause(String),
}

/// A text that is no status and no cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status; write one like 503, a class like 5xx or a cause like queue_full")]
pub(crate) struct InvalidTapStatus(String);

impl FromStr for TapStatus {
    type Err = InvalidTapStatus;

    fn from_str(text: &str) -> Result<Self, InvalidTapStatus> {
        let invalid = || InvalidTapStatus(text.to_owned());
        if let Some(digit) = text.strip_suffix("xx") {
            let class = digit.parse().ok().filter(|class| (1..=5).contains(class));
            return class.map(Self::Class).ok_or_else(invalid);
        }
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let status = text.parse().ok().filter(|status| (100..600).contains(status));
            return status.map(Self::Exactly).ok_or_else(invalid);
        }
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || !text.bytes().all(is_word) {
            return Err(invalid());
        }
        Ok(Self::Cause(text.to_owned()))
    }
}

impl fmt::Display for TapStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
            Self::Cause(word) => f.write_str(word),
        }
    }
}

text_leaf!(TapStatus, "a status, a class or a cause", "5xx");

impl TapFilter {
    /// The same with its path in the form in which those of requests are matched; where it has none, it is a part of one, and
    /// stays.
    pub(super) fn canonical(self) -> Self {
        let canonical = |path: String| normalise_path(&path).ok().flatten().unwrap_or(path);
        Self { path: self.path.map(canonical), ..self }
    }

    /// Whether a request may be one of those, by what is known when its head has come.
    pub(super) fn may_match(&self, client: IpAddr, listener: &ListenerName) -> bool {
        self.client.is_none_or(|network| network.contains(client))
            && self.listener.as_deref().is_none_or(|wanted| wanted == listener.as_str())
    }

    /// Whether a request that is over is one of those.
    pub(super) fn matches(&self, recording: &Recording) -> bool {
        let Some(end) = &recording.end else { return false };
        let asked = &recording.asked;
        self.may_match(asked.client, &asked.listener)
            && self.host.as_ref().is_none_or(|host| host.matches(&asked.host))
            && self.path.as_deref().is_none_or(|path| asked.target.path().starts_with(path))
            && self.route.as_deref().is_none_or(|route| is_on(route, recording))
            && self.pool.as_deref().is_none_or(|pool| is_in(pool, recording, end))
            && self.endpoint.as_ref().is_none_or(|endpoint| was_at(endpoint, recording))
            && self.status.as_ref().is_none_or(|status| status.is_of(end))
    }
}

impl TapStatus {
    fn is_of(&self, end: &Ended) -> bool {
        let status = end.status.map(|status| status.as_u16());
        match self {
            Self::Exactly(wanted) => status == Some(*wanted),
            Self::Class(class) => status.is_some_and(|status| status / 100 == *class),
            Self::Cause(word) => end.cause.as_ref().is_some_and(|cause| cause.word() == word),
        }
    }
}

fn is_on(route: &str, recording: &Recording) -> bool {
    let found = recording.routing.as_ref().and_then(|routing| routing.route.as_ref());
    found.is_some_and(|found| found.as_str() == route)
}

fn is_in(pool: &str, recording: &Recording, end: &Ended) -> bool {
    let picked = recording.picks.as_slice().iter().map(|pick| &pick.pool);
    end.pool.iter().chain(picked).any(|found| found.as_str() == pool)
}

fn was_at(endpoint: &EndpointAddr, recording: &Recording) -> bool {
    recording.attempts.as_slice().iter().any(|attempt| *attempt.endpoint == *endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_requests_are_matched_by() {
        for (given, expected) in [
            ("/a//b/../c", "/a/c"),
            ("/a b/%7euser", "/a%20b/~user"),
            ("/ä", "/%C3%A4"),
            ("/a", "/a"),
            ("/a%2", "/a%2"),
            ("a", "a"),
        ] {
            let filter = TapFilter { path: Some(given.to_owned()), ..TapFilter::default() };
            assert_eq!(filter.canonical().path.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_status_is_a_number_a_class_or_a_word() {
        for text in ["503", "5xx", "queue_full"] {
            assert_eq!(text.parse::<TapStatus>().unwrap().to_string(), text);
        }
        for text in ["", "6xx", "0xx", "99", "600", "50x", "Queue", "a b", "xx"] {
            assert!(text.parse::<TapStatus>().is_err(), "{text:?}");
        }
    }
}
