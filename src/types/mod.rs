//! Names, addresses and units that every other module speaks in.
//!
//! Everything here is a checked newtype: a value that exists is a value that is allowed ("parse, don't
//! validate"). Each one reads itself from the text that stands in a configuration file and says in its error
//! what was found and what is allowed. This layer imports nothing from the rest of the crate.

mod address;
mod cidr;
mod closest;
mod content_length;
mod cookie;
mod counter;
mod credential;
mod cut;
mod digest;
mod escape;
mod file_path;
mod head_lines;
mod host;
mod host_map;
mod http_date;
mod http_url;
mod log_field;
mod log_template;
mod name;
mod path;
mod percent;
mod proxy_header;
mod random;
mod rarely;
mod redis_addr;
mod request_host;
mod share;
mod shown_url;
mod stamp;
mod template;
mod tls_version;
mod units;
mod var_name;
mod visible;
mod wall;

pub(crate) use address::MAX_UNIX_PATH;
pub use address::{BindAddr, EndpointAddr, InvalidAddress};
pub use cidr::{Cidr, ClientKey, InvalidCidr, client_key};
pub(crate) use closest::closest;
pub(crate) use content_length::content_length;
pub(crate) use cookie::{cookie, cookies, has_cookie, joined_cookies};
pub(crate) use counter::{COUNTS, Counter};
pub(crate) use credential::PlainName;
#[cfg(test)]
pub(crate) use credential::{ANYWHERE, CREDENTIAL_HEADERS, CREDENTIALS, ENDINGS};
pub(crate) use cut::cut;
pub use digest::Digest;
pub(crate) use escape::escaped_byte;
pub(crate) use file_path::{FilePath, Hidden};
pub(crate) use head_lines::put_head;
pub use host::{HostPattern, InvalidHost};
pub(crate) use host_map::HostMap;
pub(crate) use http_date::http_date;
pub use http_url::{HttpUrl, InvalidHttpUrl};
pub use log_field::{InvalidLogField, KnownField, LogField};
pub use log_template::{InvalidLogTemplate, LogPart, LogTemplate};
pub use name::{
    CacheName, ConsumerName, InvalidName, LimitName, ListenerName, PoolName, RouteName, StoreName, TokenName,
    ZoneName,
};
pub use path::{RejectedPath, normalise_path};
pub use percent::{InvalidPercent, Percent};
pub(crate) use proxy_header::{InvalidProxyHeader, ProxyHeader, Scan, Tlvs};
pub use random::Random;
pub(crate) use random::{jittered, with_random};
pub(crate) use rarely::Rarely;
pub use redis_addr::{InvalidRedisAddr, RedisAddr};
pub(crate) use request_host::RequestHost;
pub use share::{InvalidShare, Share};
pub(crate) use shown_url::shown_url;
pub(crate) use stamp::{Stamp, looking, next_look};
pub use template::{InvalidTemplate, Template, Variable, Vars};
pub use tls_version::{InvalidTlsVersion, TlsVersion};
pub use units::{ByteRate, ByteSize, InvalidUnit, Rate, Span, Weight};
pub use var_name::{InvalidVarName, VarName};
pub(crate) use visible::{Visible, visible_line};
pub(crate) use wall::wall_time;

/// Gives a newtype its serde and schema impls from `FromStr` and `Display`.
///
/// `$kind` is what the reference says stands there, `$example` a value to copy; the schema says `$more` of it.
macro_rules! text_leaf {
    ($type:ty, $kind:literal, $example:literal $(, $key:literal: $more:literal)*) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::types::deserialize_text(deserializer, concat!($kind, " like ", $example))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $kind.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "title": $kind, "examples": [$example] $(, $key: $more)* })
            }
        }
    };
}
pub(crate) use text_leaf;

/// Reads a scalar of any YAML type as text and parses it, so that `5s`, `80` and `true` all reach the parser
/// of the leaf and get its message.
pub(crate) fn deserialize_text<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
    D: serde::Deserializer<'de>,
{
    let visitor = TextVisitor { expected, parsed: std::marker::PhantomData };
    deserializer.deserialize_newtype_struct(AS_WRITTEN, visitor)
}

/// The name by which a reader of texts asks the configuration's deserializer for the spelling of a scalar, so
/// that the text `1.10` does not become the number 1.1 on the way. Other deserializers know nothing of it and
/// hand out what they have.
pub(crate) const AS_WRITTEN: &str = "evener::as_written";

struct TextVisitor<T> {
    expected: &'static str,
    parsed: std::marker::PhantomData<T>,
}

impl<'de, T> serde::de::Visitor<'de> for TextVisitor<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_newtype_struct<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}
