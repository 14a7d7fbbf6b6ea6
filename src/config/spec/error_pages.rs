use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::text_leaf;

use super::{NamedMap, text_or_map};

/// Pages of your own for the errors of the edge that no filter `error_pages` of a route has one for, such as those of requests
/// that no route is for.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorPagesSpec {
    /// The files by status, 400 to 599 or `4xx` and `5xx` for the rest of a kind: `{ "404": pages/404.html }`. Clients that
    /// accept none of the forms of a page get the short text.
    pub pages: NamedMap<ErrorStatus, PageFiles>,
}

/// A status that tells of an error, or all of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStatus {
    /// This one.
    One(StatusCode),
    /// `4xx`
    OfClients,
    /// `5xx`
    OfServers,
}

/// A text that is no such status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the status of an error; 400 to 599, 4xx and 5xx are allowed")]
pub struct InvalidErrorStatus(String);

impl ErrorStatus {
    /// How well it fits a status; nothing where it does not.
    pub(crate) fn fit(self, status: StatusCode) -> Option<u8> {
        match self {
            Self::One(one) => (one == status).then_some(2),
            Self::OfClients => status.is_client_error().then_some(1),
            Self::OfServers => status.is_server_error().then_some(1),
        }
    }
}

impl FromStr for ErrorStatus {
    type Err = InvalidErrorStatus;

    fn from_str(text: &str) -> Result<Self, InvalidErrorStatus> {
        match text {
            "4xx" => return Ok(Self::OfClients),
            "5xx" => return Ok(Self::OfServers),
            _ => {}
        }
        let status = text.parse::<u16>().ok().filter(|code| (400..600).contains(code));
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        status.map(Self::One).ok_or_else(|| InvalidErrorStatus(text.to_owned()))
    }
}

impl fmt::Display for ErrorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => f.write_str(status.as_str()),
            Self::OfClients => f.write_str("4xx"),
            Self::OfServers => f.write_str("5xx"),
        }
    }
}

text_leaf!(ErrorStatus, "the status of an error", "404");

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageForm {
    Html,
    Json,
    Text,
}

impl PageForm {
    const ALL: [Self; 3] = [Self::Html, Self::Json, Self::Text];
}

/// The files of a page by their form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageFiles {
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<PathBuf>,
}

/// A page in one or several forms; clients get the one that they like best.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PageMap {
    #[serde(default)]
    html: Option<PathBuf>,
    #[serde(default)]
    json: Option<PathBuf>,
    #[serde(default)]
    text: Option<PathBuf>,
}

impl PageFiles {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PageForm, &Path)> {
        let files = [&self.html, &self.json, &self.text];
        PageForm::ALL.into_iter().zip(files).filter_map(|(form, file)| Some((form, file.as_deref()?)))
    }
}

impl From<PageMap> for PageFiles {
    fn from(map: PageMap) -> Self {
        Self { html: map.html, json: map.json, text: map.text }
    }
}

/// The end of a file's name tells its form.
impl FromStr for PageFiles {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let file = PathBuf::from(text);
        let none = Self { html: None, json: None, text: None };
        Ok(match file.extension().and_then(|end| end.to_str()) {
            Some("json") => Self { json: Some(file), ..none },
            Some("txt") => Self { text: Some(file), ..none },
            _ => Self { html: Some(file), ..none },
        })
    }
}

impl<'de> Deserialize<'de> for PageFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, PageMap, _>(deserializer, "a file, or `{ html: FILE, json: FILE, text: FILE }`")
    }
}

impl JsonSchema for PageFiles {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Page".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "a file, or `{ html: FILE, json: FILE, text: FILE }`",
            "examples": ["pages/404.html"],
        })
    }
}
