//! `rewrite`: changes the path or the `Host` that is forwarded; the route is not looked up again.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use http::header::HOST;
use http::{HeaderValue, StatusCode};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::{PathSpec, RegexSpec};
use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, RequestView};
use crate::types::{HostPattern, normalise_path, text_leaf};

/// Changes the path or the `Host` that is forwarded. At least one of the keys; `strip_prefix` and `path` exclude
/// each other. The query is kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewriteSettings {
    /// What is taken off the front of the path, by whole segments: of `/api/x` remains `/x` and of `/api` remains
    /// `/`, while `/apix` stays as it is.
    pub strip_prefix: Option<StripPrefix>,
    /// Replaces the first part of the path in which an expression is found.
    pub path: Option<PathRewrite>,
    /// The `Host` that is forwarded, with or without a port: `app.internal` or `app.internal:8080`.
    pub host: Option<ForwardedHost>,
}

/// Replaces the first part of the path in which an expression is found; other paths stay as they are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathRewrite {
    /// What is replaced: `^/v[0-9]+/(.*)$`.
    pub regex: RegexSpec,
    /// What takes its place, where `$1` or `${name}` stands for a group and `$$` for a dollar sign. The whole path
    /// is normalised again; a request whose path then does not start with `/` or climbs out of its root gets 400.
    pub to: String,
}

/// A path whose segments are taken off, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripPrefix(String);

/// A host with or without a port, as it stands in `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedHost(String);

/// A text that is no prefix or host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRewrite(String);

/// The filter `rewrite`.
#[derive(Debug)]
pub struct Rewrite {
    path: Option<PathChange>,
    host: Option<HeaderValue>,
    description: String,
}

#[derive(Debug)]
enum PathChange {
    Strip(StripPrefix),
    Replace(Regex, String),
}

/// The path of a request of which nothing was left but the slash that every path begins with, which it did not end with.
#[derive(Clone, Debug)]
pub(crate) struct StrippedWhole(pub(crate) String);

// === Rewrite ===

impl Rewrite {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is nothing to do, both `strip_prefix` and `path` are given, or `path.to` names a group that the
    /// expression does not have, or has a query.
    pub fn build(settings: RewriteSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        let description = describe(&settings);
        let path = match (settings.strip_prefix, settings.path) {
            (Some(_), Some(_)) => {
                return Err(BuildError::new(
                    "`strip_prefix` and `path` exclude each other; write one of them",
                ));
            }
            (Some(prefix), None) => Some(PathChange::Strip(prefix)),
            (None, Some(rewrite)) => {
                check_replacement(&rewrite).map_err(|error| error.at("to").at("path"))?;
                Some(PathChange::Replace(rewrite.regex.get().clone(), rewrite.to))
            }
            (None, None) if settings.host.is_none() => {
                return Err(BuildError::new("nothing to do; write `strip_prefix`, `path` or `host`"));
            }
            (None, None) => None,
        };
        let host = settings.host.map(|host| HeaderValue::try_from(host.0)).transpose();
        let host = host.map_err(|error| BuildError::new(error).at("host"))?;
        Ok(Self { path, host, description })
    }
}

#[async_trait]
impl Filter for Rewrite {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        if let Some(change) = &self.path
            && let Some(path) = change.apply(request.path())?
        {
            if path == "/" && !request.path().ends_with('/') {
                cx.extensions_mut().insert(StrippedWhole(request.path().to_owned()));
            }
            let target = match request.query() {
                Some(query) => format!("{path}?{query}"),
                None => path,
            };
            request.set_path_and_query(&target)?;
        }
        if let Some(host) = &self.host {
            request.set_header(HOST, host.clone())?;
        }
        Ok(Flow::Continue)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

fn describe(settings: &RewriteSettings) -> String {
    let strip = settings.strip_prefix.as_ref().map(|prefix| format!("strip {prefix}"));
    let path = settings.path.as_ref().map(|PathRewrite { regex, to }| format!("path {regex} to {to}"));
    let host = settings.host.as_ref().map(|host| format!("host {host}"));
    strip.into_iter().chain(path).chain(host).collect::<Vec<_>>().join(", ")
}

// === PathChange ===

impl PathChange {
    /// The new path; `None` when it stays as it is, which costs no allocation.
    fn apply(&self, path: &str) -> Result<Option<String>, HookError> {
        match self {
            Self::Strip(prefix) => Ok(prefix.strip(path).map(str::to_owned)),
            Self::Replace(regex, to) => match regex.replace(path, to) {
                std::borrow::Cow::Borrowed(_) => Ok(None),
                std::borrow::Cow::Owned(replaced) => normalised(replaced).map(Some),
            },
        }
    }
}

/// 400 and not 500: the rule serves other requests well, so it is this path that does not fit it, and nobody
/// should be able to raise the rate of server errors by asking for odd paths.
fn normalised(path: String) -> Result<String, HookError> {
    match normalise_path(&path) {
        Ok(canonical) => Ok(canonical.unwrap_or(path)),
        Err(reason) => {
            let message = format!("the rewritten path `{path}` cannot be forwarded");
            Err(HookError::new(message).with_source(reason).with_status(StatusCode::BAD_REQUEST))
        }
    }
}

/// Groups that do not exist would silently be replaced by nothing, as in `$1x`, which means the group `1x`.
fn check_replacement(rewrite: &PathRewrite) -> Result<(), BuildError> {
    let PathRewrite { regex, to } = rewrite;
    if to.contains(['?', '#']) {
        return Err(BuildError::new("a path has no `?` and no `#`; the query is kept as it came"));
    }
    let regex = regex.get();
    for group in groups(to) {
        let known = match group.parse::<usize>() {
            Ok(number) => number < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|name| name == group),
        };
        if !known {
            let last = regex.captures_len() - 1;
            let error = format!("no group `{group}` in `{regex}`, which has $0 to ${last}");
            return Err(
                BuildError::new(error).with_help("write ${1}x for group 1 before an x, and $$ for a dollar")
            );
        }
    }
    Ok(())
}

/// The groups that a replacement names, read as the `regex` crate does (`Regex::replace`).
fn groups(to: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = to;
    while let Some((_, after)) = rest.split_once('$') {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let bare = &after[..after.find(|c| !is_name(c)).unwrap_or(after.len())];
        let braced = after.strip_prefix('{').and_then(|name| name.split_once('}'));
        rest = match (after.strip_prefix('$'), braced) {
            (Some(literal), _) => literal,
            (None, Some((name, behind))) => {
                found.push(name);
                behind
            }
            (None, None) => {
                found.extend((!bare.is_empty()).then_some(bare));
                &after[bare.len()..]
            }
        };
    }
    found
}

// === StripPrefix ===

impl StripPrefix {
    fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        match path.strip_prefix(self.0.as_str())? {
            "" => Some("/"),
            rest if rest.starts_with('/') => Some(rest),
            _ => None,
        }
    }
}

impl FromStr for StripPrefix {
    type Err = InvalidRewrite;

    fn from_str(text: &str) -> Result<Self, InvalidRewrite> {
        // A route's prefix obeys the same rules.
        text.parse::<PathSpec>().map_err(|error| InvalidRewrite(error.to_string()))?;
        match text.trim_end_matches('/') {
            "" => Err(InvalidRewrite(
                "`/` strips nothing; write the segments to take off, like /api".to_owned(),
            )),
            prefix => Ok(Self(prefix.to_owned())),
        }
    }
}

impl fmt::Display for StripPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(StripPrefix, "a path", "/api");

// === ForwardedHost ===

impl FromStr for ForwardedHost {
    type Err = InvalidRewrite;

    fn from_str(text: &str) -> Result<Self, InvalidRewrite> {
        let invalid =
            |reason: &str| InvalidRewrite(format!("`{text}` cannot be forwarded as `Host`; {reason}"));
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        if port.is_some_and(|port| port.parse().unwrap_or(0_u16) == 0 || port.starts_with('+')) {
            return Err(invalid("a port is 1 to 65535"));
        }
        match host.parse::<HostPattern>() {
            Ok(HostPattern::Exact(_)) => Ok(Self(text.to_owned())),
            Ok(HostPattern::Wildcard(_)) => Err(invalid("write one host, without `*`")),
            Err(error) => Err(InvalidRewrite(error.to_string())),
        }
    }
}

impl fmt::Display for ForwardedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(ForwardedHost, "a host", "app.internal:8080");

#[cfg(test)]
mod tests;
