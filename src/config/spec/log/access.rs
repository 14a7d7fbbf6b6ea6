use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::spec::shapes::{text_or_map, unordered};
use crate::config::spec::{HeaderNameSpec, OneOrMany};
use crate::types::{LogField, LogTemplate, Share, Span, closest, text_leaf};

use super::{AccessSink, JournaldSpec, RedactSpec, SyslogSpec};

/// One line for every request, connection and flow.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSpec {
    /// The form of a line: `json`, `combined` (Apache's), `off`, or a text with fields in braces. Default: `json`.
    pub format: AccessFormat,
    /// With `json`: the fields that a line has. Default: what docs/logging.md lists.
    pub fields: Option<OneOrMany<LogField>>,
    /// With `json`: headers of requests that a line has besides. Default: none.
    #[serde(serialize_with = "unordered")]
    pub request_headers: Vec<HeaderNameSpec>,
    /// With `json`: headers of answers that a line has besides. Default: none.
    #[serde(serialize_with = "unordered")]
    pub response_headers: Vec<HeaderNameSpec>,
    /// Which requests have a line. Default: all.
    pub sample: SampleSpec,
    /// How much of the client's address is written. Headers that pass it on are written only with `full`. Default: `full`.
    pub client: ClientShown,
    /// Whether `User-Agent` is written. Default: `true`.
    pub user_agent: bool,
    /// What is written as `***`.
    pub redact: RedactSpec,
    /// Where the lines go: `stdout`, `stderr`, `syslog`, `journald` or a file's path. Default: `stdout`. A sink that is too slow
    /// loses lines, which are counted, and never slows a request. SIGUSR1 has `evener run` open the file again,
    /// by its path, so that it can be renamed and kept; when that fails, the old file is written on. SIGHUP does
    /// nothing here.
    pub to: AccessSink,
    /// How lines go to syslog, with `to: syslog`.
    pub syslog: SyslogSpec,
    /// How lines go to the journal of systemd, with `to: journald`.
    pub journald: JournaldSpec,
}

impl Default for AccessSpec {
    fn default() -> Self {
        Self {
            format: AccessFormat::default(),
            fields: None,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            sample: SampleSpec::default(),
            client: ClientShown::default(),
            user_agent: true,
            redact: RedactSpec::default(),
            to: AccessSink::default(),
            syslog: SyslogSpec::default(),
            journald: JournaldSpec::default(),
        }
    }
}

/// The form of an access log's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessFormat {
    /// A JSON object a line.
    #[default]
    Json,
    /// Apache's combined format.
    Combined,
    /// No access log.
    Off,
    /// A text with fields.
    Template(LogTemplate),
}

/// A text that is no form of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAccessFormat(String);

impl AccessFormat {
    const WORDS: [(&'static str, Self); 3] =
        [("json", Self::Json), ("combined", Self::Combined), ("off", Self::Off)];
}

impl FromStr for AccessFormat {
    type Err = InvalidAccessFormat;

    fn from_str(text: &str) -> Result<Self, InvalidAccessFormat> {
        if let Some((_, format)) = Self::WORDS.into_iter().find(|(word, _)| *word == text) {
            return Ok(format);
        }
        if text.contains(['{', '}']) {
            let template = text.parse().map_err(|error| InvalidAccessFormat(format!("{error}")))?;
            return Ok(Self::Template(template));
        }
        let words = Self::WORDS.into_iter().map(|(word, _)| word);
        Err(InvalidAccessFormat(match closest(text, words) {
            Some(word) => format!("`{text}` is no form of a line; did you mean `{word}`?"),
            None => format!(
                "`{text}` is no form of a line; write json, combined, off, or fields in braces, like \
                 \"{{client}} {{method}} {{path}} {{status}}\""
            ),
        }))
    }
}

impl fmt::Display for AccessFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json => f.write_str("json"),
            Self::Combined => f.write_str("combined"),
            Self::Off => f.write_str("off"),
            Self::Template(template) => template.fmt(f),
        }
    }
}

text_leaf!(
    AccessFormat,
    "`json`, `combined`, `off` or a text with fields",
    "{client} {method} {path} {status} {ms.total}"
);

/// Which requests have a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SampleSpec {
    /// Of those with a status of 500 or more or with a `cause`; of connections and flows, those that failed.
    /// Default: `100%`.
    pub errors: Share,
    /// Of all others. Default: `100%`.
    pub rest: Share,
    /// Requests that took so long always have a line. Default: none is that slow.
    pub slow: Option<Span>,
}

impl Default for SampleSpec {
    fn default() -> Self {
        Self { errors: Share::ALL, rest: Share::ALL, slow: None }
    }
}

/// How much of a client's address is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientShown {
    /// All of it.
    #[default]
    Full,
    /// Its network: the first 24 bits of IPv4, the first 48 of IPv6, and zeros for the rest.
    Prefix,
    /// Nothing.
    Off,
}

/// What a route, or a listener of layer 4, has its lines made like: `off`, or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteLogSpec {
    /// There are none.
    Off,
    /// Like these.
    Own(RouteLogMap),
}

/// What a route says of its lines; what it does not say is as in `log.access`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteLogMap {
    /// Which requests have a line, as a whole. Default: `log.access.sample`.
    pub sample: Option<SampleSpec>,
    /// With `json`: the fields that a line has. Default: `log.access.fields`.
    pub fields: Option<OneOrMany<LogField>>,
}

/// A word that is no choice of a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing that a route can say of its lines; write off, or a map like `{{ sample: {{ rest: 1% }} }}`"
)]
pub struct InvalidRouteLog(String);

impl FromStr for RouteLogSpec {
    type Err = InvalidRouteLog;

    fn from_str(text: &str) -> Result<Self, InvalidRouteLog> {
        if text == "off" { Ok(Self::Off) } else { Err(InvalidRouteLog(text.to_owned())) }
    }
}

impl From<RouteLogMap> for RouteLogSpec {
    fn from(map: RouteLogMap) -> Self {
        Self::Own(map)
    }
}

impl<'de> Deserialize<'de> for RouteLogSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, RouteLogMap, _>(deserializer, "off, or a map like `{ sample: { rest: 1% } }`")
    }
}

impl Serialize for RouteLogSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Own(map) => map.serialize(serializer),
        }
    }
}

impl JsonSchema for RouteLogSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RouteLog".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<RouteLogMap>();
        json_schema!({ "anyOf": [{ "type": "string", "title": "`off`" }, map] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_a_word_or_has_fields() {
        for text in ["json", "combined", "off", "{client} {status}"] {
            assert_eq!(text.parse::<AccessFormat>().unwrap().to_string(), text);
        }
        let error = |text: &str| text.parse::<AccessFormat>().unwrap_err().to_string();
        assert_eq!(error("jsno"), "`jsno` is no form of a line; did you mean `json`?");
        assert!(error("apache").contains("fields in braces"));
        assert_eq!(error("{statsu}"), "no line has a field `statsu`; did you mean `status`?");
    }
}
