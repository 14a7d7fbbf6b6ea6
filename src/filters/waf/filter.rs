use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hooks::{
    BuildCx, BuildError, EarlyBody, Filter, FilterCx, Flow, HookError, Offload, Overloaded, Rejection,
    RequestView,
};
use crate::types::{VarName, content_length};

use super::engine::{Engine, Rules};
use super::fingerprint::fingerprint;
use super::sources::Sources;
use super::subject::{is_stream, subject};
use super::{WafLarger, WafMode, WafOverload, WafSettings, WafVerdict, WafWord};

/// The filter `waf`.
///
/// A request that the rules object to gets 403 with the cause `waf_blocked`.
pub struct Waf {
    rules: Arc<Result<Rules, (usize, String)>>,
    inspections: Offload,
    settings: WafSettings,
    refusal: StatusCode,
    score_var: VarName,
    rules_var: VarName,
    /// When a refusal may be told again, and how many were not.
    told: Mutex<(Option<Instant>, u64)>,
    description: String,
}

/// Refusals are told by messages once in this time; the access log has them all.
const TELL_EVERY: Duration = Duration::from_secs(1);
const GET_ENGINE: &str =
    "apt-get install libmodsecurity3, or build libmodsecurity 3 where the system finds it";

impl Waf {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When a setting is out of range, the engine or a file is not there, or rules cannot be read.
    pub fn build(settings: WafSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let refusal = settings.check()?;
        let sources = Sources::of(&settings, cx)?;
        let engine = Engine::get().map_err(|error| {
            let error = BuildError::new(format!("the engine libmodsecurity 3 cannot be loaded: {error}"));
            error.with_help(GET_ENGINE)
        })?;
        let rules = cx.share(&fingerprint(&sources.sources), || engine.read(&sources.sources));
        if let Err((source, problem)) = &*rules {
            return Err(sources.error_in(*source, problem));
        }
        let action = if settings.mode == WafMode::Block { "refuses" } else { "tells" };
        let description = format!(
            "{action} from a score of {} on, paranoia {}, {}",
            settings.threshold,
            settings.paranoia,
            engine.version()
        );
        Ok(Self {
            rules,
            inspections: Offload::new(),
            refusal,
            score_var: "waf.score".parse().map_err(BuildError::new)?,
            rules_var: "waf.rules".parse().map_err(BuildError::new)?,
            told: Mutex::new((None, 0)),
            description,
            settings,
        })
    }

    /// The beginning of the body, and whether there is more than is looked at.
    async fn read(&self, request: &mut RequestView<'_>) -> Result<(EarlyBody, bool), HookError> {
        let most = self.settings.body.max.bytes();
        if most == 0 || is_stream(request) {
            return Ok((EarlyBody::default(), false));
        }
        if self.refuses_larger() && content_length(request.headers()).is_some_and(|length| length > most) {
            // It is not asked for.
            return Ok((EarlyBody::default(), true));
        }
        let body = request.read_body(usize::try_from(most).unwrap_or(usize::MAX)).await?;
        let is_larger = !body.is_whole || body.bytes.len() as u64 > most;
        Ok((body, is_larger))
    }

    fn refuses_larger(&self) -> bool {
        self.settings.mode == WafMode::Block && self.settings.body.on_larger == WafLarger::Block
    }

    fn overloaded(&self) -> Flow {
        match self.settings.on_overload {
            WafOverload::Refuse => Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "waf_overloaded").into(),
            WafOverload::Pass => Flow::Continue,
        }
    }

    fn act(&self, verdict: WafVerdict, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        if let Some(score) = verdict.score {
            cx.set_var(&self.score_var, score.to_string())?;
        }
        if verdict.is_silent() {
            return Ok(Flow::Continue);
        }
        cx.set_var(&self.rules_var, listed(&verdict.rules))?;
        let is_blocked = verdict.word == WafWord::Blocked;
        if verdict.word != WafWord::Passed {
            self.tell(&verdict, cx);
        }
        verdict.record(cx.extensions_mut());
        if is_blocked {
            return Ok(Rejection::new(self.refusal, "waf_blocked").into());
        }
        Ok(Flow::Continue)
    }

    /// Tells operators, but not of everything that a scanner tries.
    fn tell(&self, verdict: &WafVerdict, cx: &FilterCx<'_>) {
        let untold = {
            let mut told = self.told.lock();
            if told.0.is_some_and(|next| cx.now() < next) {
                told.1 += 1;
                return;
            }
            told.0 = Some(cx.now() + TELL_EVERY);
            std::mem::take(&mut told.1)
        };
        let WafVerdict { word, score, rules } = verdict;
        log::warn!(
            "waf route={} verdict={} score={} rules={} client={} request_id={:?} untold={untold}",
            cx.route(),
            word.as_str(),
            score.map_or_else(|| "none".to_owned(), |score| score.to_string()),
            listed(rules),
            cx.facts().client_ip,
            cx.facts().request_id,
        );
    }
}

#[async_trait]
impl Filter for Waf {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let (body, is_larger) = self.read(request).await?;
        if is_larger && self.refuses_larger() {
            return Ok(Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, "waf_body_too_large").into());
        }
        let subject = subject(request, cx.facts(), &body, is_larger);
        let rules = self.rules.clone();
        let inspected = self.inspections.run(move || match &*rules {
            Ok(rules) => rules.inspect(&subject).map_err(|error| error.to_string()),
            Err((_, problem)) => Err(problem.clone()),
        });
        let inspection = match inspected.await {
            Ok(inspection) => inspection.map_err(HookError::new)?,
            Err(Overloaded) => return Ok(self.overloaded()),
        };
        let threshold = u32::from(self.settings.threshold);
        let would_block = |score| self.settings.mode == WafMode::Detect && score >= threshold;
        let verdict = WafVerdict::read(inspection.refusal.as_deref(), &inspection.told, would_block);
        self.act(verdict, cx)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

impl fmt::Debug for Waf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waf").field("description", &self.description).finish_non_exhaustive()
    }
}

fn listed(rules: &[u32]) -> String {
    rules.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
