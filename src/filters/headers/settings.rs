use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::NamedMap;
use crate::types::Template;

use super::FieldName;

/// Changes headers: removes, then sets, then adds. At least one of the keys must be given.
///
/// Values may use variables, as in `{client_ip}`. Headers on which the framing of messages depends, and those
/// that Evener sets on its own, cannot be changed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderSettings {
    /// Headers that take the place of all that have their name.
    pub set: NamedMap<FieldName, Template>,
    /// Headers that come beside those that have their name.
    pub add: NamedMap<FieldName, Template>,
    /// The names of headers that are removed.
    pub remove: Vec<FieldName>,
}
