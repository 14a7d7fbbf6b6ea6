use http::header::VIA;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora_http::RequestHeader;

use super::Facts;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Which way a request came, as the fields tell that endpoints get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// The client's address.
    pub(crate) client: Option<HeaderValue>,
    /// The address of the peer, where that is one whose forwarding headers are believed.
    pub(crate) proxy: Option<HeaderValue>,
    /// The `Host` field as the client sent it; filters may change the one that is forwarded.
    pub(crate) host: Option<HeaderValue>,
}

/// A request's header that can be told of it.
pub(crate) trait Fields {
    fn fields(&self) -> &HeaderMap;

    /// Puts a field in the place of those of its name; `None` when there is no room for it.
    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Option<()>;

    /// Adds a field to those of its name; `None` when there is no room for it.
    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Option<()>;
}

impl Way {
    /// Whether the peer's forwarding headers are believed.
    pub(crate) fn is_by_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// Sets `X-Forwarded-For`, `-Proto` and `-Host`, `X-Real-IP`, `X-Request-ID` and `Via` of a request that came in this
    /// version of HTTP; `None` when there is no room for them.
    pub(crate) fn tell(&self, facts: &Facts, version: Version, to: &mut impl Fields) -> Option<()> {
        let client = self.client.clone()?;
        let list = self.proxy.as_ref().and_then(|proxy| extended(to.fields(), proxy));
        to.set(X_FORWARDED_FOR, list.unwrap_or_else(|| client.clone()))?;
        self.set_unless_told(X_FORWARDED_PROTO, HeaderValue::from_static(facts.scheme.as_str()), to)?;
        if let Some(host) = self.host.clone() {
            self.set_unless_told(X_FORWARDED_HOST, host, to)?;
        }
        to.set(X_REAL_IP, client)?;
        to.set(X_REQUEST_ID, facts.request_id.clone())?;
        to.add(VIA, via(version))
    }

    /// What a trusted proxy said stays; anything else is ours to say.
    fn set_unless_told(&self, name: HeaderName, value: HeaderValue, to: &mut impl Fields) -> Option<()> {
        if self.is_by_proxy() && to.fields().contains_key(&name) {
            return Some(());
        }
        to.set(name, value)
    }
}

/// The list of addresses that a trusted proxy sent, with its own at the end.
fn extended(fields: &HeaderMap, proxy: &HeaderValue) -> Option<HeaderValue> {
    let mut sent = fields.get_all(X_FORWARDED_FOR).iter().peekable();
    sent.peek()?;
    let mut list = Vec::with_capacity(64);
    for field in sent {
        list.extend_from_slice(field.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(proxy.as_bytes());
    HeaderValue::try_from(list).ok()
}

/// RFC 9110 §7.6.3, with a name in place of the edge's own address.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2 evener",
        Version::HTTP_10 => "1.0 evener",
        _ => "1.1 evener",
    })
}

impl Fields for RequestHeader {
    fn fields(&self) -> &HeaderMap {
        &self.headers
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Option<()> {
        self.insert_header(name, value).ok()
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Option<()> {
        self.append_header(name, value).ok().map(drop)
    }
}

impl Fields for HeaderMap {
    fn fields(&self) -> &HeaderMap {
        self
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Option<()> {
        self.try_insert(name, value).ok().map(drop)
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Option<()> {
        self.try_append(name, value).ok().map(drop)
    }
}
