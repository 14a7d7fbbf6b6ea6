use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::{HeaderName, HeaderValue, Request, StatusCode};

use crate::filters::headers::strip_claims;
use crate::filters::own;
use crate::hooks::{
    BuildCx, BuildError, FetchLimits, Filter, FilterCx, Flow, HookError, Larger, PoolClient, Rejection,
    RequestView, ResponseView,
};
use crate::types::Rarely;

use super::ForwardAuthSettings;
use super::answer::{Granted, Takes, Verdict};
use super::known::Known;
use super::question::Question;

/// The filter `forward_auth`.
///
/// Where the service does not answer, or not with something to go by, the request gets 503 with the cause
/// `auth_unavailable`.
#[derive(Debug)]
pub struct ForwardAuth {
    client: PoolClient,
    limits: FetchLimits,
    question: Question,
    takes: Takes,
    known: Option<Known>,
    pool: String,
    told: Rarely,
}

/// Bytes of the head of the service's answer.
const LARGEST_HEAD: usize = 32 << 10;

/// What the answer of the service has for the client of a request.
#[derive(Clone, Debug)]
struct ForClient(Arc<Granted>);

impl ForwardAuth {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is no such pool, a name is that of a header that filters may not set, or a limit is out of range.
    pub fn build(settings: ForwardAuthSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let pool = cx.pool(&settings.pool).map_err(|error| error.at("pool"))?;
        let (timeout, body) = (settings.checked_timeout()?, settings.checked_max_body()?);
        let question = Question {
            method: settings.method.get(),
            path: settings.checked_path()?,
            host: settings.host.as_ref().map(ToString::to_string).map(value).transpose()?,
            send: settings.checked_send()?,
        };
        let vars = settings.vars.iter().map(|(name, header)| (name.clone(), header.name().clone()));
        let takes = Takes {
            to_request: settings.checked_to_request()?,
            to_response: settings.checked_to_response()?,
            to_client: settings.checked_to_client()?,
            vars: vars.collect(),
        };
        let known = settings.cache.map(|cache| Known::new(cache, cx.ipv6_prefix())).transpose()?;
        Ok(Self {
            // A question changes nothing, by whichever method it is asked.
            client: cx.client(pool).repeatable(),
            limits: FetchLimits { total: timeout, head: LARGEST_HEAD, body, larger: Larger::Cut },
            question,
            takes,
            known,
            pool: settings.pool,
            told: Rarely::default(),
        })
    }

    /// Asks, unless it is known that the request may pass.
    async fn verdict(
        &self,
        request: &RequestView<'_>,
        cx: &FilterCx<'_>,
        question: Request<Bytes>,
    ) -> Verdict {
        let tag = self.known.as_ref().and_then(|known| Some((known, known.tag(request, cx, &question)?)));
        if let Some((known, tag)) = &tag
            && let Some(granted) = known.get(tag, cx.now())
        {
            return Verdict::Granted(granted);
        }
        let client = self.client.for_client(cx.facts().client_ip);
        let verdict = self.takes.judge(client.send(question, self.limits).await);
        if let (Some((known, tag)), Verdict::Granted(granted)) = (tag, &verdict) {
            known.put(tag, granted.clone(), cx.now());
        }
        verdict
    }

    fn grant(
        &self,
        granted: Arc<Granted>,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        for (name, value) in &granted.to_request {
            request.add_header(name.clone(), value.clone())?;
        }
        for (name, value) in &granted.vars {
            cx.set_var(name, value.clone())?;
        }
        if !granted.to_response.is_empty() {
            own::keep(self, ForClient(granted), cx);
        }
        Ok(())
    }

    fn tell(&self, reason: &str, cx: &FilterCx<'_>) {
        if self.told.may_tell(cx.now()) {
            let (pool, route) = (&self.pool, cx.route());
            log::warn!(
                "no word from the service, requests are refused route={route} pool={pool} error={reason:?}"
            );
        }
    }
}

#[async_trait]
impl Filter for ForwardAuth {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        if request.headers().get_all(AUTHORIZATION).iter().nth(1).is_some() {
            // The service and an endpoint could go by different ones.
            return Ok(Rejection::new(StatusCode::BAD_REQUEST, "ambiguous_credentials").into());
        }
        let question = self.question.about(request, cx)?;
        let verdict = self.verdict(request, cx, question).await;
        strip_claims(&self.takes.to_request, request);
        match verdict {
            Verdict::Granted(granted) => {
                cx.mark_personal();
                self.grant(granted, request, cx).map(|()| Flow::Continue)
            }
            Verdict::Denied(answer) => Ok(answer.into()),
            Verdict::Unknown(reason) => {
                self.tell(&reason, cx);
                Ok(Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "auth_unavailable").into())
            }
        }
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let Some(ForClient(granted)) = own::kept(self, cx) else { return Ok(()) };
        let mut replaced: Vec<&HeaderName> = Vec::new();
        for (name, value) in &granted.to_response {
            if *name != SET_COOKIE && !replaced.contains(&name) {
                response.remove_header(name);
                replaced.push(name);
            }
            response.add_header(name.clone(), value.clone())?;
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} of {}, {:?}", self.question.path, self.pool, self.limits.total)
    }
}

fn value(host: String) -> Result<HeaderValue, BuildError> {
    HeaderValue::try_from(host).map_err(|error| BuildError::new(error).at("host"))
}
