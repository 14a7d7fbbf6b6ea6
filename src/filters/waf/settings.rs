use std::path::PathBuf;
use std::str::FromStr;

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::config::spec::{OneOrMany, text_or_map};
use crate::hooks::{BuildError, RequestView};
use crate::types::ByteSize;

/// Shows requests to libmodsecurity 3, which judges them by rules such as those of the OWASP Core Rule Set, and refuses those that
/// score too much. Needs a build with the feature `waf`, and the library on the machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WafSettings {
    /// Whether requests are refused. Default: `block`.
    pub mode: WafMode,
    /// Files of rules, in the order in which they are read; `crs` stands for all of the OWASP Core Rule Set where Debian's package
    /// `modsecurity-crs` puts it. Default: `crs`.
    pub rules: OneOrMany<PathBuf>,
    /// The anomaly score from which on the Core Rule Set refuses a request, 1 to 10000. A rule of critical severity scores 5.
    #[schemars(range(min = 1, max = 10_000))]
    pub threshold: u16,
    /// How strict the Core Rule Set is, 1 to 4: the higher, the more it finds, and the more of that is none.
    #[schemars(range(min = 1, max = 4))]
    pub paranoia: u8,
    /// Rules that are left out: the number of one, or `{ id: 942100, target: "ARGS:q" }` to leave it out for one variable.
    pub exclude: Vec<ExcludedRule>,
    /// How much of a body is looked at.
    pub body: WafBodySettings,
    /// The status of refusals, 400 to 599.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// What becomes of requests while 256 wait to be looked at. Default: `refuse`, with 503.
    pub on_overload: WafOverload,
}

/// Whether requests are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafMode {
    /// Those that the rules object to.
    #[default]
    Block,
    /// None: what the rules find is told in the log alone.
    Detect,
}

/// How much of a body is looked at.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WafBodySettings {
    /// The most that is, up to 48KiB. `0B` for none.
    pub max: ByteSize,
    /// What becomes of a request with a longer body. Default: `block`, with 413.
    pub on_larger: WafLarger,
}

/// What becomes of a request with a body that is too long to be looked at as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafLarger {
    /// It is refused, unless nothing is.
    #[default]
    Block,
    /// The beginning of its body is looked at.
    Pass,
}

/// What becomes of requests that cannot be looked at in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafOverload {
    /// They are refused.
    #[default]
    Refuse,
    /// They pass unseen.
    Pass,
}

/// A rule that is left out, as a whole or for one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcludedRule {
    id: u32,
    target: Option<String>,
}

/// A text that names no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no rule; write its number, like 942100, or `{{ id: 942100, target: \"ARGS:q\" }}`")]
pub struct InvalidExcludedRule {
    found: String,
}

/// The same, written as a map.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExcludedRuleMap {
    id: u32,
    target: Option<String>,
}

impl WafSettings {
    pub(super) fn check(&self) -> Result<StatusCode, BuildError> {
        if !(1..=10_000).contains(&self.threshold) {
            let error = BuildError::new(format!("a threshold of {}; 1 to 10000 is allowed", self.threshold));
            return Err(error.at("threshold"));
        }
        if !(1..=4).contains(&self.paranoia) {
            let error = BuildError::new(format!("a paranoia of {}; 1 to 4 is allowed", self.paranoia));
            return Err(error.at("paranoia"));
        }
        if self.body.max.bytes() > RequestView::MOST_READ as u64 {
            let error = BuildError::new(format!("{}; up to 48KiB of a body can be looked at", self.body.max));
            return Err(error.at("max").at("body"));
        }
        for (index, rule) in self.exclude.iter().enumerate() {
            rule.check().map_err(|error| error.at(index).at("exclude"))?;
        }
        match StatusCode::from_u16(self.status) {
            Ok(status) if (400..=599).contains(&self.status) => Ok(status),
            _ => {
                let error = BuildError::new(format!("a status of {}; 400 to 599 is allowed", self.status));
                Err(error.at("status"))
            }
        }
    }
}

impl Default for WafSettings {
    fn default() -> Self {
        Self {
            mode: WafMode::default(),
            rules: PathBuf::from("crs").into(),
            threshold: 5,
            paranoia: 1,
            exclude: Vec::new(),
            body: WafBodySettings::default(),
            status: 403,
            on_overload: WafOverload::default(),
        }
    }
}

impl Default for WafBodySettings {
    fn default() -> Self {
        Self { max: ByteSize::from_kib(48), on_larger: WafLarger::default() }
    }
}

// === ExcludedRule ===

impl ExcludedRule {
    /// A target goes into the text of the rules, so nothing may be in it that ends it.
    fn check(&self) -> Result<(), BuildError> {
        const LONGEST: usize = 256;
        let Some(target) = &self.target else { return Ok(()) };
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_:.-[]$*/".contains(&byte);
        let is_sound = target.starts_with(|first: char| first.is_ascii_uppercase())
            && target.len() <= LONGEST
            && target.bytes().all(is_allowed);
        if is_sound {
            return Ok(());
        }
        let error = BuildError::new(format!("`{target}` is no variable of rules"));
        Err(error
            .at("target")
            .with_help("write one like `ARGS:q`, `REQUEST_COOKIES:session` or `REQUEST_URI`"))
    }

    /// The directive that leaves it out.
    #[cfg(feature = "waf")]
    pub(super) fn directive(&self) -> String {
        match &self.target {
            None => format!("SecRuleRemoveById {}", self.id),
            Some(target) => format!("SecRuleUpdateTargetById {} \"!{target}\"", self.id),
        }
    }
}

impl FromStr for ExcludedRule {
    type Err = InvalidExcludedRule;

    fn from_str(text: &str) -> Result<Self, InvalidExcludedRule> {
        let id = text.parse().map_err(|_| InvalidExcludedRule { found: text.to_owned() })?;
        Ok(Self { id, target: None })
    }
}

impl From<ExcludedRuleMap> for ExcludedRule {
    fn from(ExcludedRuleMap { id, target }: ExcludedRuleMap) -> Self {
        Self { id, target }
    }
}

impl<'de> Deserialize<'de> for ExcludedRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, ExcludedRuleMap, _>(deserializer, "the number of a rule, or `{ id, target }`")
    }
}

impl JsonSchema for ExcludedRule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExcludedRule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "the number of a rule, or `{ id: 942100, target: \"ARGS:q\" }`",
            "examples": [942_100],
        })
    }
}
