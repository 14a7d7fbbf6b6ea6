use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Method, Request, Version};

use crate::filters::forwarded::header_value;
use crate::filters::own;
use crate::hooks::{
    BuildCx, BuildError, FetchLimits, Filter, FilterCx, Flow, HookError, Larger, Needs, RequestView,
};
use crate::semantics::is_grpc;
use crate::types::{content_length, with_random};

use super::MirrorSettings;
use super::copies::{Copy, Slot};
use super::sending::Sending;

/// The filter `mirror`.
///
/// A copy is sent as soon as all of the request is there. Whatever becomes of it, the request goes its way.
#[derive(Debug)]
pub struct Mirror {
    pub(super) sending: Sending,
    percent: u16,
    methods: Vec<Method>,
    max_body: usize,
    description: String,
}

/// Names the route of the request that a copy is of. What bears it is not copied again, so that copies do not go round.
const X_EVENER_MIRROR: HeaderName = HeaderName::from_static("x-evener-mirror");

/// Bytes of an answer that are read: more of them, and the connection is not kept.
const LARGEST_HEAD: usize = 32 << 10;
const LARGEST_ANSWER: usize = 64 << 10;

impl Mirror {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is no such pool, or a setting is out of range.
    pub fn build(settings: MirrorSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let pool = cx.pool(&settings.pool).map_err(|error| error.at("pool"))?;
        let (percent, in_flight) = (settings.checked_percent()?, settings.checked_in_flight()?);
        let limits = FetchLimits {
            total: settings.checked_timeout()?,
            head: LARGEST_HEAD,
            body: LARGEST_ANSWER,
            larger: Larger::Cut,
        };
        Ok(Self {
            percent,
            methods: settings.checked_methods()?,
            max_body: settings.checked_max_body()?,
            description: format!("{percent}% to {}", settings.pool),
            sending: Sending::new(settings.pool, cx.client(pool), limits, in_flight),
        })
    }

    fn is_wanted(&self, request: &RequestView<'_>) -> bool {
        self.methods.contains(request.method())
            && !request.headers().contains_key(UPGRADE)
            && !request.headers().contains_key(X_EVENER_MIRROR)
            // Calls may go on for hours, in both directions.
            && !is_grpc(request.headers())
            && with_random(|random| random.u16(..100)) < self.percent
    }

    /// Whether bodies are looked at; what is copied then has none.
    fn sees_bodies(&self) -> bool {
        self.methods.iter().any(may_have_body)
    }
}

#[async_trait]
impl Filter for Mirror {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        if !self.is_wanted(request) {
            return Ok(Flow::Continue);
        }
        let has_body = has_body(request);
        let is_longer = content_length(request.headers()).is_some_and(|length| length > self.max_body as u64);
        if has_body && (!self.sees_bodies() || is_longer) {
            self.sending.drop_one("the body is too large", cx.now());
            return Ok(Flow::Continue);
        }
        let Some(place) = self.sending.place(cx.now()) else { return Ok(Flow::Continue) };
        // One that cannot be made is none; the request is served.
        let Ok(head) = copy_of(request, cx) else { return Ok(Flow::Continue) };
        if has_body {
            let copy = Copy::new(head, place);
            own::keep(self, copy.into_slot(), cx);
        } else {
            self.sending.send(head.map(|()| Bytes::new()), cx.facts().client_ip, place);
        }
        Ok(Flow::Continue)
    }

    fn on_upstream_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        if let Some(copy) = own::kept::<Slot>(self, cx)
            && let Some(copy) = &mut *copy.lock()
        {
            copy.begin_anew();
        }
        Ok(())
    }

    fn on_request_body(
        &self,
        body: &mut Option<Bytes>,
        end: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let Some(slot) = own::kept::<Slot>(self, cx).cloned() else { return Ok(()) };
        let mut slot = slot.lock();
        let piece = body.as_deref().unwrap_or_default();
        let Some(added) = slot.as_mut().map(|copy| copy.add(piece, self.max_body)) else { return Ok(()) };
        if added.is_err() {
            *slot = None;
            self.sending.drop_one("the body is too large", cx.now());
        } else if end && let Some(copy) = slot.take() {
            let (copy, place) = copy.into_parts();
            self.sending.send(copy, cx.facts().client_ip, place);
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        if self.sees_bodies() { Needs::BODIES } else { Needs::NOTHING }
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// The request as the filters so far left it, and with what endpoints are told of the way that it came.
fn copy_of(request: &RequestView<'_>, cx: &FilterCx<'_>) -> Result<Request<()>, HookError> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.head().uri.clone();
    *copy.headers_mut() = request.headers().clone();
    let told = cx.way.tell(cx.facts(), request.version(), copy.headers_mut());
    told.ok_or_else(|| HookError::new("there are too many fields"))?;
    copy.headers_mut().insert(X_EVENER_MIRROR, header_value(cx.route().as_str())?);
    Ok(copy)
}

/// Whether requests of the method usually have a body.
fn may_have_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

/// Whether pieces of a body follow. Over HTTP/2 only those that have none say so, in a way that is not seen here.
fn has_body(request: &RequestView<'_>) -> bool {
    match request.header(CONTENT_LENGTH) {
        Some(length) => length != "0",
        None if request.head().version == Version::HTTP_2 => may_have_body(request.method()),
        None => request.headers().contains_key(TRANSFER_ENCODING),
    }
}
