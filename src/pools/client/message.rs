use std::net::IpAddr;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use pingora_http::RequestHeader;
use tokio::time::Instant;

use crate::config::spec::SendProxyProtocol;
use crate::hooks::{FetchError, PickCx, Variables};
use crate::pools::Endpoint;
use crate::pools::peer::server_name;
use crate::types::{EndpointAddr, RequestHost, joined_cookies};

/// A request of the edge's own, ready to be sent to any endpoint.
#[derive(Debug)]
pub(super) struct Message {
    method: Method,
    target: PathAndQuery,
    /// Without `Host` and those that are about a connection.
    headers: HeaderMap,
    /// What the request asks for; else what the endpoint is called.
    authority: Option<Authority>,
    host: RequestHost,
    body: Bytes,
    may_repeat: bool,
}

impl Message {
    /// One that may be served twice if its method or `may_repeat` says so (RFC 9110 §9.2.2).
    ///
    /// # Errors
    /// When it is none that can be sent.
    pub(super) fn new(request: Request<Bytes>, may_repeat: bool) -> Result<Self, FetchError> {
        let (parts, body) = request.into_parts();
        let unsendable = |why: &str| FetchError::Unsendable(why.to_owned());
        if parts.method == Method::CONNECT {
            return Err(unsendable("CONNECT"));
        }
        let mut headers = parts.headers;
        let named = headers.get(HOST).map(|host| Authority::try_from(host.as_bytes()));
        let named = named.transpose().map_err(|_| unsendable("a `Host` that is none"))?;
        let authority = named.or_else(|| parts.uri.authority().cloned());
        let parse = |authority: &Authority| RequestHost::parse(authority.as_str().as_bytes());
        let host = match &authority {
            Some(authority) => parse(authority).ok_or_else(|| unsendable("a host that is none"))?,
            None => RequestHost::default(),
        };
        headers.remove(HOST);
        strip_connection(&mut headers);
        if let Some(joined) = joined_cookies(&headers) {
            headers.insert(COOKIE, joined);
        }
        // Servers wait for bodies of these.
        let may_have_body = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
        if !body.is_empty() || may_have_body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let target = parts.uri.path_and_query().cloned();
        let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let may_repeat = may_repeat || parts.method.is_idempotent();
        Ok(Self { method: parts.method, target, headers, authority, host, body, may_repeat })
    }

    pub(super) fn pick_cx(&self, client_ip: IpAddr, now: Instant) -> PickCx<'_> {
        PickCx {
            client_ip,
            now,
            host: self.host.as_str(),
            path: self.target.path(),
            query: self.target.query(),
            headers: &self.headers,
            variables: Variables::NONE,
            notes: None,
        }
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether it may be sent again although it may have been served.
    pub(super) fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    /// The head for an endpoint.
    ///
    /// # Errors
    /// When there are too many fields.
    pub(super) fn head(&self, endpoint: &Endpoint, is_h2: bool) -> Result<Box<RequestHeader>, FetchError> {
        let head = if is_h2 { self.http2_head(endpoint) } else { self.http1_head(endpoint) };
        head.map(Box::new).map_err(|error| FetchError::Unsendable(error.to_string()))
    }

    /// The head for HTTP/1 and the server that the request names itself.
    ///
    /// # Errors
    /// When it names none, or there are too many fields.
    pub(super) fn head_for_named(&self) -> Result<Box<RequestHeader>, FetchError> {
        let authority = self.authority.as_ref().map(ToString::to_string);
        let authority = authority.ok_or_else(|| FetchError::Unsendable("no host".to_owned()))?;
        let head = self.head_with(authority).map(Box::new);
        head.map_err(|error| FetchError::Unsendable(error.to_string()))
    }

    fn http1_head(&self, endpoint: &Endpoint) -> pingora_core::Result<RequestHeader> {
        let mut head = self.head_with(self.authority_for(endpoint))?;
        if endpoint.pool().send_proxy_protocol != SendProxyProtocol::Off {
            // The PROXY header holds for this request alone.
            head.insert_header(CONNECTION, HeaderValue::from_static("close"))?;
        }
        Ok(head)
    }

    fn http2_head(&self, endpoint: &Endpoint) -> pingora_core::Result<RequestHeader> {
        let mut head = self.bare_head()?;
        let scheme = if endpoint.pool().tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(self.authority_for(endpoint));
        let uri = uri.path_and_query(self.target.clone()).build();
        head.set_uri(uri.map_err(|error| {
            pingora_core::Error::because(pingora_core::ErrorType::InvalidHTTPHeader, "its URI", error)
        })?);
        Ok(head)
    }

    fn head_with(&self, host: String) -> pingora_core::Result<RequestHeader> {
        let mut head = self.bare_head()?;
        head.insert_header(HOST, host)?;
        Ok(head)
    }

    fn bare_head(&self) -> pingora_core::Result<RequestHeader> {
        let target = self.target.as_str().as_bytes();
        let mut head = RequestHeader::build(self.method.clone(), target, Some(self.headers.len() + 2))?;
        for (name, value) in &self.headers {
            head.append_header(name.clone(), value.clone())?;
        }
        Ok(head)
    }

    fn authority_for(&self, endpoint: &Endpoint) -> String {
        if let Some(authority) = &self.authority {
            return authority.to_string();
        }
        match (&endpoint.pool().tls, endpoint.address().as_ref()) {
            (Some(tls), address) if tls.sni.is_some() => server_name(tls, address),
            (_, EndpointAddr::Inet(inet)) => inet.to_string(),
            // A socket has no name of its own, and servers want one.
            (_, EndpointAddr::Unix(_)) => "localhost".to_owned(),
        }
    }
}

/// Takes off what is about a connection (RFC 9110 §7.6.1), and what the one who sends the message says of its length.
pub(super) fn strip_connection(headers: &mut HeaderMap) {
    for name in connection_fields(headers) {
        headers.remove(name);
    }
}

/// The names of those that are, as far as they may be there.
pub(crate) fn connection_fields(headers: &HeaderMap) -> Vec<HeaderName> {
    let options = headers.get_all(CONNECTION).iter();
    let options = options.flat_map(|field| field.as_bytes().split(|&byte| byte == b','));
    let mut names: Vec<_> =
        options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok()).collect();
    names.extend([
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]);
    names.extend(["keep-alive", "proxy-connection"].map(HeaderName::from_static));
    names
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::pools::testing::pool;

    use super::*;

    fn message(request: http::request::Builder, body: &'static str) -> Result<Message, FetchError> {
        Message::new(request.body(Bytes::from_static(body.as_bytes())).unwrap(), false)
    }

    fn endpoint(address: &str) -> Arc<Endpoint> {
        pool(&[address], "", Instant::now()).endpoints()[0].clone()
    }

    fn fields(head: &RequestHeader) -> Vec<String> {
        let mut fields: Vec<_> =
            head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        fields.sort();
        fields
    }

    #[test]
    fn what_is_about_a_connection_is_not_sent() {
        let request = Request::post("/a?b")
            .header("host", "auth.example:8080")
            .header("connection", "x-hop, close")
            .header("x-hop", "1")
            .header("transfer-encoding", "chunked")
            .header("content-length", "99")
            .header("upgrade", "websocket")
            .header("te", "trailers")
            .header("keep-alive", "5")
            .header("expect", "100-continue")
            .header("x-own", "1");
        let message = message(request, "four").unwrap();
        let head = message.head(&endpoint("10.0.0.1:80"), false).unwrap();
        assert_eq!(fields(&head), ["content-length: 4", "host: auth.example:8080", "x-own: 1"]);
        assert_eq!((head.method.as_str(), head.raw_path()), ("POST", &b"/a?b"[..]));
    }

    #[test]
    fn the_host_is_the_requests_own_or_the_endpoints() {
        let host_for = |request, address| {
            let head = message(request, "").unwrap().head(&endpoint(address), false).unwrap();
            head.headers["host"].to_str().unwrap().to_owned()
        };
        assert_eq!(host_for(Request::get("/"), "10.0.0.1:80"), "10.0.0.1:80");
        assert_eq!(host_for(Request::get("/"), "unix:/run/auth.sock"), "localhost");
        assert_eq!(host_for(Request::get("http://in.uri/x"), "10.0.0.1:80"), "in.uri");
        let both = Request::get("http://in.uri/x").header("host", "in.field");
        assert_eq!(host_for(both, "10.0.0.1:80"), "in.field");
        for host in ["a b", "user@a", "a..b", ""] {
            let refused = message(Request::get("/").header("host", host), "");
            assert!(matches!(refused, Err(FetchError::Unsendable(_))), "{host:?}: {refused:?}");
        }
        assert!(matches!(message(Request::connect("a:1"), ""), Err(FetchError::Unsendable(_))));
    }

    #[test]
    fn over_http2_the_host_is_the_authority() {
        let request = Request::get("/a?b").header("host", "auth.example");
        let head = message(request, "").unwrap().head(&endpoint("10.0.0.1:80"), true).unwrap();
        assert_eq!(head.uri, "http://auth.example/a?b");
        assert_eq!(fields(&head), [""; 0]);
    }

    #[test]
    fn cookies_are_one_field_and_bodies_have_a_length() {
        let request = Request::get("/").header("cookie", "a=1").header("cookie", "b=2");
        let head = message(request, "").unwrap().head(&endpoint("10.0.0.1:80"), false).unwrap();
        assert_eq!(fields(&head), ["cookie: a=1; b=2", "host: 10.0.0.1:80"]);
        let head = message(Request::put("/"), "").unwrap().head(&endpoint("10.0.0.1:80"), false).unwrap();
        assert_eq!(fields(&head), ["content-length: 0", "host: 10.0.0.1:80"]);
    }
}
