use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::spec::ranges::{percent, some_time, whole};
use crate::config::spec::shapes::text_or_map;
use crate::types::{Percent, Span};

/// How endpoints that fail requests are noticed and left out for a while: a map, or `off`.
#[derive(Clone, Debug, Serialize)]
pub struct OutlierSpec(pub Option<OutlierLimits>);

/// When an endpoint is ejected, and for how long. A failure is a connection that could not be made or broke, an
/// answer that did not come in time, a status of 500 or more, or one of gRPC that says as much: UNKNOWN, INTERNAL,
/// UNAVAILABLE, DATA_LOSS, and DEADLINE_EXCEEDED where the deadline was a second or more.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierLimits {
    /// So many failures in a row eject an endpoint, 1 to 1000.
    #[serde(deserialize_with = "whole::<1, 1000, _, _>")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive: u32,
    /// So large a share of failures within the window does, too: 1% to 100%.
    #[serde(deserialize_with = "percent::<1, 100, _>")]
    pub failure_rate: Percent,
    /// The share counts only from so many requests within the window on, 1 to 100000.
    #[serde(deserialize_with = "whole::<1, 100_000, _, _>")]
    #[schemars(range(min = 1, max = 100_000))]
    pub min_requests: u32,
    /// How far the share looks back.
    #[serde(deserialize_with = "some_time")]
    pub window: Span,
    /// How long the first ejection lasts; the n-th in close succession lasts n times as long, ±10 %.
    #[serde(deserialize_with = "some_time")]
    pub eject: Span,
    /// The longest ejection.
    #[serde(deserialize_with = "some_time")]
    pub max_eject: Span,
    /// At most this share of the endpoints is ejected at a time, rounded down but one at least, and never the last
    /// fit one: 0% to 100%, where 0% ejects none.
    #[serde(deserialize_with = "percent::<0, 100, _>")]
    pub max_ejected: Percent,
}

impl Default for OutlierLimits {
    fn default() -> Self {
        Self {
            consecutive: 5,
            failure_rate: Percent::new(50),
            min_requests: 20,
            window: Span::from_secs(10),
            eject: Span::from_secs(10),
            max_eject: Span::from_secs(300),
            max_ejected: Percent::new(30),
        }
    }
}

/// A text that is not `off`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing about outliers; write a map, or off")]
pub struct InvalidOutlier(String);

impl Default for OutlierSpec {
    fn default() -> Self {
        Self(Some(OutlierLimits::default()))
    }
}

impl From<OutlierLimits> for OutlierSpec {
    fn from(limits: OutlierLimits) -> Self {
        Self(Some(limits))
    }
}

impl FromStr for OutlierSpec {
    type Err = InvalidOutlier;

    fn from_str(text: &str) -> Result<Self, InvalidOutlier> {
        if text == "off" { Ok(Self(None)) } else { Err(InvalidOutlier(text.to_owned())) }
    }
}

impl<'de> Deserialize<'de> for OutlierSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, OutlierLimits, _>(deserializer, "a map of limits, or off")
    }
}

impl JsonSchema for OutlierSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Outlier".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        OutlierLimits::json_schema(generator)
    }
}
