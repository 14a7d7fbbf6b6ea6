use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::{ErrorStatus, NamedMap, PageFiles};

/// Puts pages of your own in the place of the short texts that the edge answers with when a request fails.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorPagesSettings {
    /// The files by status, 400 to 599 or `4xx` and `5xx` for the rest of a kind: `{ "404": pages/404.html }`. Clients that
    /// accept none of the forms of a page get the short text.
    pub pages: NamedMap<ErrorStatus, PageFiles>,
    /// Whether errors of endpoints get the pages too, if they have a body that can be replaced. Default: false.
    #[serde(default)]
    pub from_endpoints: bool,
}
