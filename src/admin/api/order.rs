use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::{HeaderMap, StatusCode};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use crate::admin::Sight;
use crate::admin::caller::Caller;
use crate::admin::problem::Problem;
use crate::runtime::{Actor, Waiting};

use super::tag::Tag;

/// What somebody wants changed. Only JSON is read: no form of a page in a browser can send that without being asked for leave,
/// which nobody gets here.
#[derive(Debug)]
pub(super) struct Order<T> {
    pub(super) by: Actor,
    pub(super) body: T,
    if_match: Option<String>,
}

/// An order that has no more to say. An empty body says the same.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Bytes of a body.
const MOST_BYTES: usize = 64 << 10;
/// How long a body may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// What stands for an empty body.
const EMPTY: &[u8] = b"{}";
const JSON: &str = "application/json";

impl<T: DeserializeOwned> FromRequest<Arc<Sight>> for Order<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Sight>) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let by = head.extensions.get::<Caller>().ok_or(UNKNOWN_CALLER)?.actor();
        // No page of somebody else can have a browser send the token, so that an empty body needs no name.
        let is_unnamed = !head.headers.contains_key(CONTENT_TYPE);
        if !is_unnamed && !is_json(&head.headers) {
            return Err(NO_JSON);
        }
        let waiting = head.extensions.get::<Arc<Waiting>>();
        waiting.inspect(|waiting| waiting.note_body_awaited(Instant::now()));
        let body = timeout(BODY_LIMIT, to_bytes(body, MOST_BYTES)).await.map_err(|_| TOO_LATE)?;
        waiting.inspect(|waiting| waiting.note_request());
        let body = body.map_err(|error| if is_of_client(&error) { BROKEN } else { TOO_LARGE })?;
        if is_unnamed && !body.is_empty() {
            return Err(NO_JSON);
        }
        let text = if body.is_empty() { EMPTY } else { &*body };
        let body = serde_json::from_slice(text).map_err(|error| not_understood(&error))?;
        if serde_json::from_slice(text).is_ok_and(|value: Value| has_list(&value)) {
            return Err(NO_LISTS);
        }
        Ok(Self { by, body, if_match: if_match(&head.headers) })
    }
}

impl<T> Order<T> {
    /// Whether it is for one version only.
    pub(super) fn names_version(&self) -> bool {
        self.if_match.as_ref().is_some_and(|list| !list.split(',').any(|tag| tag.trim() == "*"))
    }

    /// Makes sure that nobody has changed what is to be changed since it was looked at, where the order says when that was:
    /// by one of these versions, each of something that it is a part of.
    pub(super) fn check_version(&self, current: &[Tag]) -> Result<(), Problem> {
        let is_current = |list: &String| current.iter().any(|tag| tag.is_named_by(list));
        self.if_match.as_ref().is_none_or(is_current).then_some(()).ok_or(CHANGED)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let essence = media.and_then(|media| media.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON))
}

/// All lines as one list. What cannot be read names no version.
fn if_match(headers: &HeaderMap) -> Option<String> {
    let lines: Vec<_> =
        headers.get_all(IF_MATCH).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// Whether a body broke off, or was not what its header says; else there was too much of it.
fn is_of_client(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(found) = cause {
        if found.is::<hyper::Error>() {
            return true;
        }
        cause = found.source();
    }
    false
}

/// Whether there is a list in it: in the place of an object one would be read as its fields in their order, which nobody has
/// promised to keep.
fn has_list(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(fields) => fields.values().any(has_list),
        _ => false,
    }
}

/// Reads a word of an enumeration, and nothing else that would be read as one.
pub(super) fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(deserializer)?.into_deserializer())
}

/// Only the caller is told what stands there: a secret may, in a wrong place.
fn not_understood(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem {
        status: StatusCode::BAD_REQUEST,
        error: format!("the body is not understood: {error}").into(),
        help: "/v1/openapi.json tells what is to stand in it".into(),
        is_noted: false,
        public: Some(format!("the body is not understood at line {line} column {column}").into()),
    }
}

const UNKNOWN_CALLER: Problem = Problem::new(
    StatusCode::UNAUTHORIZED,
    "this needs a token",
    "send one of admin.tokens as `Authorization: Bearer TOKEN`",
);

const NO_JSON: Problem = Problem::new(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "changes are only taken as JSON",
    "send `Content-Type: application/json`",
);

const TOO_LATE: Problem =
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 10s", "send it at once");

const TOO_LARGE: Problem =
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64KiB", "orders are short");

const BROKEN: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "the body breaks off, or is not in the chunks that the header tells of",
    "send it with `Content-Length`",
);

const NO_LISTS: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "the body is not understood: there is a list in it, and no change takes one",
    "send an object; /v1/openapi.json tells what is to stand in it",
);

pub(super) const CHANGED: Problem = Problem::new(
    StatusCode::PRECONDITION_FAILED,
    "somebody has changed this since you have looked at it",
    "look again, and send the new `ETag` as `If-Match`, or none",
);

pub(super) const NO_VERSION: Problem = Problem::new(
    StatusCode::PRECONDITION_FAILED,
    "stored answers have no version that `If-Match` could name",
    "send none: whatever was stored by then is removed",
);
