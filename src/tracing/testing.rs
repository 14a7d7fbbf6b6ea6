//! A collector that answers by a script, for the tests of this module.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::{Duration, Instant};

use crate::config;
use crate::hooks::{Authorities, FetchError, FetchLimits, FetchUrl, Fetched};
use crate::types::{EndpointAddr, Span as Time};

use super::{Collector, Span};

/// What a collector was asked, and what it answers; 200 when it has nothing more to say.
#[derive(Default)]
pub(super) struct Script {
    pub(super) answers: Mutex<VecDeque<Result<Fetched, FetchError>>>,
    pub(super) asked: Mutex<Vec<Asked>>,
}

#[derive(Debug)]
pub(super) struct Asked {
    pub(super) at: Instant,
    pub(super) head: http::request::Parts,
    pub(super) limit: Duration,
    pub(super) body: ExportTraceServiceRequest,
}

/// The script is shared with the test.
struct Scripted(Arc<Script>);

#[async_trait]
impl FetchUrl for Scripted {
    async fn fetch_url(
        &self,
        request: Request<Bytes>,
        _: Option<&Authorities>,
        limits: FetchLimits,
    ) -> Result<Fetched, FetchError> {
        let (head, body) = request.into_parts();
        let body = ExportTraceServiceRequest::decode(body).unwrap();
        self.0.asked.lock().push(Asked { at: Instant::now(), head, limit: limits.total, body });
        let answer = self.0.answers.lock().pop_front();
        answer.unwrap_or_else(|| Ok(answer_of(StatusCode::OK, &[], Bytes::new())))
    }
}

impl Script {
    pub(super) fn answering(answers: impl IntoIterator<Item = Result<Fetched, FetchError>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    /// How many spans came with each request.
    pub(super) fn counts(&self) -> Vec<usize> {
        self.asked.lock().iter().map(|asked| asked.spans().len()).collect()
    }
}

impl Asked {
    pub(super) fn spans(&self) -> &[Span] {
        &self.body.resource_spans[0].scope_spans[0].spans
    }
}

pub(super) fn answer_of(status: StatusCode, headers: &[(&'static str, &str)], body: Bytes) -> Fetched {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let endpoint: EndpointAddr = "192.0.2.1:4318".parse().unwrap();
    Fetched { status, headers, body, is_whole: true, endpoint }
}

pub(super) fn settings(to: &str) -> config::Collector {
    config::Collector {
        to: to.parse().unwrap(),
        ca: None,
        headers: Vec::new(),
        service: "edge".to_owned(),
        resource: vec![("deployment.environment.name".to_owned(), "test".to_owned())],
        timeout: Time::from_secs(10),
        every: Time::from_secs(5),
        max_queue: 1000,
    }
}

pub(super) fn collector(settings: config::Collector, script: &Arc<Script>) -> Arc<Collector> {
    Arc::new(Collector::new(settings, None, Arc::new(Scripted(script.clone()))))
}

/// So many spans, which differ in their names.
pub(super) fn spans(names: std::ops::Range<usize>) -> Vec<Span> {
    names.map(|name| Span { name: name.to_string(), ..Span::default() }).collect()
}
