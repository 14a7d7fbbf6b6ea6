use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::{NamedMap, OneOrMany};
use crate::filters::headers::{Side, changeable};
use crate::filters::{FieldName, ForwardedHost, may_be_set};
use crate::hooks::{BuildError, KeySpec};
use crate::types::{ByteSize, Span, VarName};

use super::answer::ABOUT_BODY;

/// Asks another service about each request: it passes on a 2xx. A redirect or a 4xx is what the client gets; any other
/// answer, or none, is a 503.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuthSettings {
    /// The pool of the service.
    pub pool: String,
    /// Which path of the service is asked, with a query if need be. Default: `/`.
    #[serde(default)]
    pub path: Option<String>,
    /// By which method. The client's own is told in `X-Forwarded-Method`. Default: `GET`.
    #[serde(default)]
    pub method: AuthMethod,
    /// The `Host` that the service is asked for. Default: `tls.sni` of its pool, or its endpoint's address.
    #[serde(default)]
    pub host: Option<ForwardedHost>,
    /// Which headers of requests the service gets, beside `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri`, `-For` and
    /// `X-Request-ID`. Default: `Accept`, `Authorization`, `Cookie`, `User-Agent` and `X-Requested-With`.
    #[serde(default)]
    pub send: Option<Vec<FieldName>>,
    /// Which headers of its answer endpoints get. What clients say under these names is dropped, whatever the answer.
    #[serde(default)]
    pub to_request: Vec<FieldName>,
    /// Which headers of the answer that lets a request pass its client gets with the endpoint's answer, such as `Set-Cookie`.
    #[serde(default)]
    pub to_response: Vec<FieldName>,
    /// Which headers of the answer that does not let it pass the client gets, beside those about the body. Default:
    /// `Cache-Control`, `Location`, `Retry-After`, `Set-Cookie`, `Vary` and `WWW-Authenticate`.
    #[serde(default)]
    pub to_client: Option<Vec<FieldName>>,
    /// Variables for filters after this one and for keys, by the header of the answer that they are taken from.
    #[serde(default)]
    pub vars: NamedMap<VarName, FieldName>,
    /// How long the answer may take in all, 100ms to 10s. Default: 2s.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// How large a body may be that clients get, up to 1MiB; of an answer with a larger one they get the head alone.
    /// Default: 64KiB.
    #[serde(default)]
    pub max_body: Option<ByteSize>,
    /// How long it counts that a request may pass. Default: not at all.
    #[serde(default)]
    pub cache: Option<AuthCacheSettings>,
}

/// How the service is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AuthMethod {
    /// `GET`
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// `HEAD`: its answers have no bodies then.
    #[serde(rename = "HEAD")]
    Head,
    /// `POST`, without a body.
    #[serde(rename = "POST")]
    Post,
}

/// How long, and for which requests, it counts that one may pass.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthCacheSettings {
    /// For how long, 1s to 1m.
    pub ttl: Span,
    /// Requests that are alike in these parts are one to the service: `client_ip`, `host`, `path`, `{ header: NAME }`,
    /// `{ cookie: NAME }`, `{ query: NAME }` or `{ var: NAME }`; one, or a list. Where a part is missing, or stands
    /// twice, the service is asked.
    /// Default: alike in all that the service is sent.
    #[serde(default)]
    pub key: Option<OneOrMany<KeySpec>>,
    /// How many are kept, up to 1000000. Default: 10000.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub size: Option<u32>,
}

const SEND: [&str; 5] = ["accept", "authorization", "cookie", "user-agent", "x-requested-with"];
const TO_CLIENT: [&str; 6] =
    ["cache-control", "location", "retry-after", "set-cookie", "vary", "www-authenticate"];

const TIMEOUT: Duration = Duration::from_secs(2);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);

const MAX_BODY: usize = 64 << 10;
const LARGEST_BODY: usize = 1 << 20;

const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(60);
const SIZE: u32 = 10_000;
const LARGEST_SIZE: u32 = 1_000_000;

impl ForwardAuthSettings {
    pub(super) fn checked_path(&self) -> Result<PathAndQuery, BuildError> {
        let Some(path) = &self.path else { return Ok(PathAndQuery::from_static("/")) };
        let parsed = path.parse().ok().filter(|_| path.starts_with('/') && !path.contains('#'));
        parsed.ok_or_else(|| {
            let error = BuildError::new(format!("`{path}` is no path of a service"));
            error.at("path").with_help("write it with a `/` first, as in `/verify` or `/auth?site=1`")
        })
    }

    pub(super) fn checked_timeout(&self) -> Result<Duration, BuildError> {
        match self.timeout {
            None => Ok(TIMEOUT),
            Some(span) if (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&span.get()) => Ok(span.get()),
            Some(span) => {
                let error = BuildError::new(format!("a timeout of `{span}`; 100ms to 10s are allowed"));
                Err(error.at("timeout"))
            }
        }
    }

    pub(super) fn checked_max_body(&self) -> Result<usize, BuildError> {
        match self.max_body {
            None => Ok(MAX_BODY),
            Some(size) if size.as_usize() <= LARGEST_BODY => Ok(size.as_usize()),
            Some(size) => {
                Err(BuildError::new(format!("a body of {size}; up to 1MiB is allowed")).at("max_body"))
            }
        }
    }

    pub(super) fn checked_send(&self) -> Result<Vec<HeaderName>, BuildError> {
        let Some(send) = &self.send else { return Ok(SEND.map(HeaderName::from_static).to_vec()) };
        let check = |(index, name): (usize, &FieldName)| {
            if may_be_set(name.name()) {
                return Ok(name.name().clone());
            }
            let error = BuildError::new(format!("`{name}` cannot be sent as the client says it"));
            let error =
                error.with_help("the service is told of the request in `X-Forwarded-Uri` and the like");
            Err(error.at(index).at("send"))
        };
        send.iter().enumerate().map(check).collect()
    }

    pub(super) fn checked_to_request(&self) -> Result<Vec<HeaderName>, BuildError> {
        checked_names("to_request", Side::Request, &self.to_request)
    }

    pub(super) fn checked_to_response(&self) -> Result<Vec<HeaderName>, BuildError> {
        checked_names("to_response", Side::Response, &self.to_response)
    }

    pub(super) fn checked_to_client(&self) -> Result<Vec<HeaderName>, BuildError> {
        let Some(names) = &self.to_client else { return Ok(TO_CLIENT.map(HeaderName::from_static).to_vec()) };
        let mut names = checked_names("to_client", Side::Response, names)?;
        names.retain(|name| !ABOUT_BODY.contains(name));
        Ok(names)
    }
}

impl AuthMethod {
    pub(super) fn get(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Post => Method::POST,
        }
    }
}

impl AuthCacheSettings {
    pub(super) fn checked_ttl(&self) -> Result<Duration, BuildError> {
        let ttl = self.ttl;
        if (SHORTEST_TTL..=LONGEST_TTL).contains(&ttl.get()) {
            return Ok(ttl.get());
        }
        let error = BuildError::new(format!("`{ttl}`; 1s to 1m are allowed")).at("ttl").at("cache");
        Err(error.with_help("whoever is shut out gets in for so long"))
    }

    pub(super) fn checked_size(&self) -> Result<usize, BuildError> {
        match self.size.unwrap_or(SIZE) {
            size @ 1..=LARGEST_SIZE => Ok(size as usize),
            size => Err(BuildError::new(format!("{size}; 1 to 1000000 are allowed")).at("size").at("cache")),
        }
    }
}

/// The names, if filters may set such headers.
fn checked_names(key: &str, side: Side, names: &[FieldName]) -> Result<Vec<HeaderName>, BuildError> {
    let check = |(index, name)| changeable(side, name).map_err(|error| error.at(index).at(key));
    names.iter().enumerate().map(check).collect()
}
