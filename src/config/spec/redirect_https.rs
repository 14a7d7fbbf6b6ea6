use std::borrow::Cow;
use std::num::NonZeroU16;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::shapes::switch_or_map;

/// Where plain requests are sent: `false` (the default), `true` for port 443, or a map with another `port`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RedirectHttpsSpec(pub Option<HttpsPort>);

/// The port of the URLs that clients are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpsPort {
    /// The port.
    pub port: NonZeroU16,
}

impl Default for HttpsPort {
    fn default() -> Self {
        const HTTPS: NonZeroU16 = NonZeroU16::new(443).unwrap();
        Self { port: HTTPS }
    }
}

impl<'de> Deserialize<'de> for RedirectHttpsSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        switch_or_map(deserializer, "true, false, or a map like `{ port: 8443 }`").map(Self)
    }
}

impl JsonSchema for RedirectHttpsSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RedirectHttps".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean", "title": "true, false or `{ port: 8443 }`", "examples": [true] })
    }
}
