use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;

use crate::config;
use crate::hooks::{Authorities, FetchError, FetchLimits, FetchUrl, Fetched, Larger, Watched};
use crate::types::shown_url;

use super::{Attributes, Span};

/// Who takes spans, by OTLP over HTTP.
pub(crate) struct Collector {
    settings: config::Collector,
    uri: Uri,
    headers: HeaderMap,
    resource: Resource,
    authorities: Option<Watched<Authorities>>,
    client: Arc<dyn FetchUrl>,
}

/// Why a collector did not take spans.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotTaken {
    pub(super) why: String,
    pub(super) next: Next,
}

/// What may become of spans that were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// They would not be taken another time either.
    Drop,
    /// They may be sent again, and not before that time, where the collector tells one.
    SendAgain(Option<Duration>),
}

/// What requests of spans begin with.
const PATH: &str = "/v1/traces";
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("evener/", env!("CARGO_PKG_VERSION")));
/// More than that of an answer is of no use.
const MOST_ANSWER: usize = 64 << 10;

impl Collector {
    pub(crate) fn new(
        settings: config::Collector,
        authorities: Option<Watched<Authorities>>,
        client: Arc<dyn FetchUrl>,
    ) -> Self {
        let mut headers: HeaderMap = settings.headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, PROTOBUF);
        headers.entry(USER_AGENT).or_insert(AGENT);
        let uri = uri(settings.to.uri());
        Self { uri, headers, resource: resource(&settings), authorities, client, settings }
    }

    pub(crate) fn settings(&self) -> &config::Collector {
        &self.settings
    }

    /// These spans as the body of a request.
    pub(super) fn body(&self, spans: Vec<Span>) -> Bytes {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec().into()
    }

    /// Sends a body of spans. Returns how many of them the collector has refused.
    pub(super) async fn send(&self, body: Bytes) -> Result<u64, NotTaken> {
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let total = self.settings.timeout.get();
        let limits = FetchLimits { total, body: MOST_ANSWER, larger: Larger::Cut, ..FetchLimits::default() };
        let authorities = self.authorities.as_ref().map(Watched::get);
        let answer = self.client.fetch_url(request, authorities.as_deref(), limits).await;
        judge(answer)
    }
}

fn judge(answer: Result<Fetched, FetchError>) -> Result<u64, NotTaken> {
    let answer = answer.map_err(|error| {
        let next = match error {
            FetchError::Unsendable(_) => Next::Drop,
            _ => Next::SendAgain(None),
        };
        NotTaken { why: error.to_string(), next }
    })?;
    let status = answer.status;
    if status.is_success() {
        // What cannot be read tells of nothing that was refused.
        let told = ExportTraceServiceResponse::decode(answer.body).unwrap_or_default();
        let refused = told.partial_success.map_or(0, |partial| partial.rejected_spans);
        return Ok(u64::try_from(refused).unwrap_or_default());
    }
    let next = if may_pass(status) { Next::SendAgain(pause(&answer.headers)) } else { Next::Drop };
    Err(NotTaken { why: format!("the answer is {status}"), next })
}

/// The statuses after which spans may be sent again, by the specification of OTLP.
fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Where spans are sent to by a URL that may have no path.
fn uri(to: &Uri) -> Uri {
    if to.path() != "/" || to.query().is_some() {
        return to.clone();
    }
    let mut parts = to.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static(PATH));
    Uri::from_parts(parts).unwrap_or_else(|_| to.clone())
}

fn resource(settings: &config::Collector) -> Resource {
    let mut attributes = Attributes::default();
    attributes.text("service.name", &settings.service);
    attributes.text("telemetry.sdk.name", env!("CARGO_PKG_NAME"));
    attributes.text("telemetry.sdk.language", "rust");
    attributes.text("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    for (name, value) in &settings.resource {
        attributes.text(name, value);
    }
    Resource { attributes: attributes.into_list(), ..Resource::default() }
}

/// As everybody may see it.
impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_url(&self.uri.to_string()))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
