use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::Instant;

use crate::types::{EndpointAddr, PoolName, RouteName};

use crate::hooks::{
    Bounds, BuildCx, EarlyBody, End, Facts, Filter, FilterCx, Flow, HedgeAfter, HookError, Incoming, PoolRef,
    RequestView, ResponseHead, ResponseView, Scheme, TlsSession, Variables, Way,
};

/// One request and its response, on which a test calls a filter as the edge would.
///
/// The client is 192.0.2.1, the host `www.example.com`, the route `test` and the pool `app`, over plain HTTP;
/// the response is a 200 without headers.
#[derive(Debug)]
pub struct Exchange {
    request: RequestHeader,
    body: Bytes,
    response: ResponseHeader,
    facts: Facts,
    way: Way,
    route: RouteName,
    pools: Vec<PoolName>,
    pool: Option<PoolRef>,
    endpoint: Option<Arc<EndpointAddr>>,
    extensions: Extensions,
    variables: Variables,
    bounds: Bounds,
    now: Instant,
}

/// The client of an [`Exchange`], unless it has another.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The host that every [`Exchange`] asks for.
const HOST: &str = "www.example.com";

/// Builds a hook of its settings as a configuration without pools would, with IPv6 clients told apart by 64 bits.
///
/// # Errors
/// Those of `build`.
pub fn build<S, H, E>(settings: S, build: impl FnOnce(S, &BuildCx<'_>) -> Result<H, E>) -> Result<H, E> {
    build(settings, &BuildCx::new(&[], 64))
}

/// Builds a hook of its settings as a configuration with these pools would; give the same names in the same
/// order to [`Exchange::with_pools`].
///
/// # Errors
/// Those of `build`.
///
/// # Panics
/// When a name cannot be a pool's.
pub fn build_among<S, H, E>(
    pools: &[&str],
    settings: S,
    build: impl FnOnce(S, &BuildCx<'_>) -> Result<H, E>,
) -> Result<H, E> {
    build(settings, &BuildCx::new(&pool_names(pools), 64))
}

#[expect(clippy::expect_used, reason = "what is written in a test is the test's to get right")]
pub(super) fn pool_names(names: &[&str]) -> Vec<PoolName> {
    names.iter().map(|name| name.parse().expect("a pool's name")).collect()
}

#[expect(clippy::expect_used, reason = "what is written in a test is the test's to get right")]
impl Exchange {
    /// A GET for `target`, a path with or without a query, received at `now`.
    ///
    /// # Panics
    /// When `target` is no request target.
    pub fn get(target: &str, now: Instant) -> Self {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).expect("a request target");
        request.insert_header(http::header::HOST, HOST).expect("a constant");
        Self {
            request,
            body: Bytes::new(),
            response: ResponseHeader::build(StatusCode::OK, None).expect("a constant"),
            facts: Facts {
                connection: 1,
                client_ip: CLIENT,
                listener: "web".parse().expect("a constant"),
                scheme: Scheme::Http,
                tls: None,
                request_id: HeaderValue::from_static("0193-test"),
                received: now,
            },
            way: way_of(CLIENT),
            route: "test".parse().expect("a constant"),
            pools: vec!["app".parse().expect("a constant")],
            pool: Some(PoolRef(0)),
            endpoint: None,
            extensions: Extensions::new(),
            variables: Variables::default(),
            bounds: Bounds::default(),
            now,
        }
    }

    /// The same exchange with another client.
    #[must_use]
    pub fn from_client(mut self, client_ip: IpAddr) -> Self {
        self.facts.client_ip = client_ip;
        self.way = way_of(client_ip);
        self
    }

    /// The same exchange on another connection; that of every exchange is 1.
    #[must_use]
    pub fn on_connection(mut self, connection: u64) -> Self {
        self.facts.connection = connection;
        self
    }

    /// The same exchange over TLS.
    #[must_use]
    pub fn over_tls(mut self, session: TlsSession) -> Self {
        self.facts.scheme = Scheme::Https;
        self.facts.tls = Some(Arc::new(session));
        self
    }

    /// The same exchange with another method.
    ///
    /// # Panics
    /// When `method` is none.
    #[must_use]
    pub fn with_method(mut self, method: &str) -> Self {
        self.request.set_method(method.parse().expect("a method"));
        self
    }

    /// The same exchange with one more request header.
    ///
    /// # Panics
    /// When `name` or `value` cannot be a header's.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header's name");
        self.request.append_header(name, value).expect("a header's value");
        self
    }

    /// The same exchange with a body for [`RequestView::read_body`].
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same exchange with a response of another status.
    #[must_use]
    pub fn with_response_status(mut self, status: StatusCode) -> Self {
        self.response.set_status(status).expect("every status fits");
        self
    }

    /// The same exchange with one more response header.
    ///
    /// # Panics
    /// When `name` or `value` cannot be a header's.
    #[must_use]
    pub fn with_response_header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header's name");
        self.response.append_header(name, value).expect("a header's value");
        self
    }

    /// The same exchange in a configuration with these pools, the first of which is the route's.
    ///
    /// # Panics
    /// When there is none, or a name cannot be a pool's.
    #[must_use]
    pub fn with_pools(mut self, names: &[&str]) -> Self {
        assert!(!names.is_empty(), "a route needs a pool");
        self.pools = pool_names(names);
        self
    }

    /// The same exchange after `endpoint` was chosen, which gives the response.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: EndpointAddr) -> Self {
        self.endpoint = Some(Arc::new(endpoint));
        self
    }
}

impl Exchange {
    /// Lets what is called from now on happen at `now`.
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// Calls [`Filter::on_request`].
    ///
    /// # Errors
    /// Those of the filter.
    pub async fn on_request(&mut self, filter: &dyn Filter) -> Result<Flow, HookError> {
        let body = self.body.clone();
        let (head, mut cx) = self.head_and_cx();
        let mut request = Whole { head, body };
        filter.on_request(&mut RequestView::incoming(&mut request, HOST), &mut cx).await
    }

    /// Calls [`Filter::on_upstream_request`].
    ///
    /// # Errors
    /// Those of the filter.
    pub fn on_upstream_request(&mut self, filter: &dyn Filter) -> Result<(), HookError> {
        self.with_request(|request, cx| filter.on_upstream_request(request, cx))
    }

    /// Calls [`Filter::on_response`].
    ///
    /// # Errors
    /// Those of the filter.
    pub fn on_response(&mut self, filter: &dyn Filter) -> Result<(), HookError> {
        let Self { request, response, facts, way, route, pools, pool, endpoint, extensions, .. } = self;
        let Self { variables, bounds, now, .. } = self;
        let endpoint = endpoint.as_ref();
        let mut response = ResponseView::new(ResponseHead::There(response), request, HOST)
            .given_by_endpoint(endpoint.is_some());
        let mut cx =
            FilterCx { facts, way, route, pools, pool, endpoint, extensions, variables, bounds, now: *now };
        filter.on_response(&mut response, &mut cx)
    }

    /// Calls [`Filter::on_request_body`] with one piece.
    ///
    /// # Errors
    /// Those of the filter.
    pub fn on_request_body(
        &mut self,
        filter: &dyn Filter,
        body: &mut Option<Bytes>,
        end: bool,
    ) -> Result<(), HookError> {
        filter.on_request_body(body, end, &mut self.parts().1)
    }

    /// Calls [`Filter::on_response_body`] with one piece.
    ///
    /// # Errors
    /// Those of the filter.
    pub fn on_response_body(
        &mut self,
        filter: &dyn Filter,
        body: &mut Option<Bytes>,
        end: bool,
    ) -> Result<(), HookError> {
        filter.on_response_body(body, end, &mut self.parts().1)
    }

    /// Calls [`Filter::on_response_trailers`].
    ///
    /// # Errors
    /// Those of the filter.
    pub fn on_response_trailers(
        &mut self,
        filter: &dyn Filter,
        trailers: &mut HeaderMap,
    ) -> Result<Option<Bytes>, HookError> {
        filter.on_response_trailers(trailers, &mut self.parts().1)
    }

    /// Calls [`Filter::on_end`] for a request that took a second and whose client was sent this status, if any.
    pub fn on_end(&mut self, filter: &dyn Filter, status: Option<StatusCode>) {
        let end = End {
            status,
            cause: None,
            total: Duration::from_secs(1),
            first_byte: None,
            bytes_in: 0,
            bytes_out: 0,
        };
        filter.on_end(&end, &mut self.parts().1);
    }

    /// The variable of that name, if a filter has set it.
    pub fn var(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name)
    }

    /// What filters give the request in all, if they do.
    pub fn total_limit(&self) -> Option<Duration> {
        self.bounds.total
    }

    /// How many bytes filters let its body have, if they limit that.
    pub fn body_limit(&self) -> Option<u64> {
        self.bounds.body
    }

    /// When another endpoint is asked too, if filters want that.
    pub fn hedge_after(&self) -> Option<HedgeAfter> {
        self.bounds.hedge
    }

    /// For how long filters have held up what passed since this was asked last.
    pub fn take_delay(&mut self) -> Duration {
        self.bounds.delay_from = Duration::ZERO;
        std::mem::take(&mut self.bounds.delay)
    }

    /// Lends the request as filters see it.
    pub fn with_request<T>(&mut self, call: impl FnOnce(&mut RequestView<'_>, &mut FilterCx<'_>) -> T) -> T {
        let (mut request, mut cx) = self.parts();
        call(&mut request, &mut cx)
    }

    /// The path and query that would be forwarded.
    pub fn target(&self) -> &str {
        self.request.uri.path_and_query().map_or("", |target| target.as_str())
    }

    /// The request's headers as they are now.
    pub fn request_headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// The pool that would serve the request.
    pub fn pool(&self) -> Option<&str> {
        self.pool.map(|pool| self.pools[pool.0].as_str())
    }

    /// The response's status as it is now.
    pub fn response_status(&self) -> StatusCode {
        self.response.status
    }

    /// The response's headers as they are now.
    pub fn response_headers(&self) -> &HeaderMap {
        &self.response.headers
    }

    /// What filters left for the length of the request.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    fn parts(&mut self) -> (RequestView<'_>, FilterCx<'_>) {
        let (head, cx) = self.head_and_cx();
        (RequestView::new(head, HOST), cx)
    }

    fn head_and_cx(&mut self) -> (&mut RequestHeader, FilterCx<'_>) {
        let Self { request, facts, way, route, pools, pool, endpoint, extensions, .. } = self;
        let Self { variables, bounds, now, .. } = self;
        let endpoint = endpoint.as_ref();
        let cx =
            FilterCx { facts, way, route, pools, pool, endpoint, extensions, variables, bounds, now: *now };
        (request, cx)
    }
}

/// The way of a request that came from this client itself.
fn way_of(client: IpAddr) -> Way {
    let host = Some(HeaderValue::from_static(HOST));
    Way { client: HeaderValue::try_from(client.to_string()).ok(), proxy: None, host }
}

/// A request that has come as a whole.
struct Whole<'a> {
    head: &'a mut RequestHeader,
    body: Bytes,
}

#[async_trait]
impl Incoming for Whole<'_> {
    fn head(&self) -> &RequestHeader {
        self.head
    }

    fn head_mut(&mut self) -> &mut RequestHeader {
        self.head
    }

    async fn read_body(&mut self, limit: usize) -> Result<EarlyBody, HookError> {
        let read = self.body.len().min(limit + 1);
        Ok(EarlyBody { bytes: self.body.slice(..read), is_whole: read == self.body.len() })
    }
}
