use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::time::sleep;

use crate::filters::headers::{FieldName, Side, changeable, strip_claims};
use crate::filters::networks::NetworkSet;
use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Rejection, RequestView};
use crate::types::{Percent, Random, Span, with_random};

use super::settings::checked_percent;
use super::{AbortSettings, DelaySettings, FaultSettings};

/// The filter `fault`.
///
/// A request that fails by it has the cause `fault_injected`. The headers by which clients ask for faults are taken off every
/// request, whoever sends it.
#[derive(Debug)]
pub struct Fault {
    delay: Option<(Duration, Chance)>,
    abort: Option<(StatusCode, Chance)>,
    /// Everybody's, if there are none.
    clients: Option<NetworkSet>,
    headers: Vec<HeaderName>,
    description: String,
}

/// Which requests it happens to.
#[derive(Debug)]
struct Chance {
    percent: Percent,
    /// Those only that have this header.
    header: Option<HeaderName>,
}

impl Fault {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is neither `delay` nor `abort`, one of them does not say to which requests it happens or is out of range, a
    /// header is one that filters may not change, or there is a header and no `clients`.
    pub fn build(settings: FaultSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        let FaultSettings { delay, abort, clients } = settings;
        if delay.is_none() && abort.is_none() {
            return Err(BuildError::new("nothing happens; write `delay`, `abort` or both"));
        }
        let description = describe(delay.as_ref(), abort.as_ref());
        let delay = delay.as_ref().map(build_delay).transpose().map_err(|error| error.at("delay"))?;
        let abort = abort.as_ref().map(build_abort).transpose().map_err(|error| error.at("abort"))?;
        let chances = [delay.as_ref().map(|(_, chance)| chance), abort.as_ref().map(|(_, chance)| chance)];
        let headers: Vec<_> =
            chances.into_iter().flatten().filter_map(|chance| chance.header.clone()).collect();
        match &clients {
            Some(clients) if clients.is_empty() => {
                return Err(BuildError::new("no networks; write at least one").at("clients"));
            }
            None if !headers.is_empty() => {
                let error = BuildError::new("whoever knows the `header` could ask for faults");
                return Err(error.with_help("write `clients: [NETWORK]` with those who may"));
            }
            _ => {}
        }
        let clients = clients.map(|clients| clients.into_iter().collect());
        Ok(Self { delay, abort, clients, headers, description })
    }

    fn is_meant(&self, client: IpAddr) -> bool {
        self.clients.as_ref().is_none_or(|clients| clients.contains(client))
    }

    /// What happens to a request: how long it waits, and the status with which it fails.
    fn decide(
        &self,
        request: &RequestView<'_>,
        random: &mut Random,
    ) -> (Option<Duration>, Option<StatusCode>) {
        let delay = self.delay.as_ref().and_then(|(most, chance)| {
            let wanted = chance.happens(request, random)?;
            wanted.map_or(Some(*most), |field| Some(time(field)?.min(*most)))
        });
        let abort = self.abort.as_ref().and_then(|(status, chance)| {
            let wanted = chance.happens(request, random)?;
            Some(wanted.and_then(failure).unwrap_or(*status))
        });
        (delay, abort)
    }
}

impl Chance {
    fn build(percent: Option<Percent>, header: Option<&FieldName>) -> Result<Self, BuildError> {
        let percent = checked_percent(percent, header)?;
        let header = header.map(|name| changeable(Side::Request, name)).transpose();
        Ok(Self { percent, header: header.map_err(|error| error.at("header"))? })
    }

    /// What the request says in the header, if it has to have one; `None` when nothing happens to it.
    fn happens<'r>(
        &self,
        request: &'r RequestView<'_>,
        random: &mut Random,
    ) -> Option<Option<&'r HeaderValue>> {
        let field = match &self.header {
            Some(header) => Some(request.header(header)?),
            None => None,
        };
        (random.u16(0..100) < self.percent.get()).then_some(field)
    }
}

#[async_trait]
impl Filter for Fault {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let (delay, abort) = match self.is_meant(cx.facts().client_ip) {
            true => with_random(|random| self.decide(request, random)),
            false => (None, None),
        };
        strip_claims(&self.headers, request);
        if let Some(time) = delay {
            sleep(time).await;
        }
        match abort {
            Some(status) => Ok(Rejection::new(status, "fault_injected").into()),
            None => Ok(Flow::Continue),
        }
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

fn build_delay(settings: &DelaySettings) -> Result<(Duration, Chance), BuildError> {
    Ok((settings.checked_time()?, Chance::build(settings.percent, settings.header.as_ref())?))
}

fn build_abort(settings: &AbortSettings) -> Result<(StatusCode, Chance), BuildError> {
    Ok((settings.checked_status()?, Chance::build(settings.percent, settings.header.as_ref())?))
}

/// A time that a request asks for.
fn time(field: &HeaderValue) -> Option<Duration> {
    let span: Span = field.to_str().ok()?.parse().ok()?;
    Some(span.get())
}

/// A status that a request asks for, if it is one of a failure.
fn failure(field: &HeaderValue) -> Option<StatusCode> {
    let status = StatusCode::from_bytes(field.as_bytes()).ok()?;
    (status.is_client_error() || status.is_server_error()).then_some(status)
}

fn describe(delay: Option<&DelaySettings>, abort: Option<&AbortSettings>) -> String {
    let whom = |percent: Option<Percent>, header: Option<&FieldName>| {
        let percent = percent.unwrap_or(Percent::new(100));
        header.map_or(format!("{percent}"), |header| format!("{percent} of those with {header}"))
    };
    let delay =
        delay.map(|delay| format!("{} wait {}", whom(delay.percent, delay.header.as_ref()), delay.time));
    let abort =
        abort.map(|abort| format!("{} get {}", whom(abort.percent, abort.header.as_ref()), abort.status));
    delay.into_iter().chain(abort).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn build(yaml: &str) -> Result<Fault, BuildError> {
        testing::build(serde_yaml::from_str(yaml).unwrap(), Fault::build)
    }

    /// How long a request waits, and how it fails.
    async fn send(filter: &Fault, mut exchange: Exchange) -> (Duration, Option<u16>) {
        let begun = Instant::now();
        let status = match exchange.on_request(filter).await.unwrap() {
            Flow::Continue => None,
            Flow::Reject(rejection) => {
                assert_eq!(rejection.cause, "fault_injected");
                Some(rejection.status.as_u16())
            }
            other => panic!("{other:?}"),
        };
        for name in ["x-delay", "x_delay", "x-abort"] {
            assert!(exchange.request_headers().get(name).is_none(), "{name}");
        }
        (begun.elapsed(), status)
    }

    fn get() -> Exchange {
        Exchange::get("/", Instant::now())
    }

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn all_requests_wait_and_fail_at_a_hundred_percent() {
        let both = "{ delay: { for: 100ms, percent: 100% }, abort: { status: 503, percent: 100% } }";
        assert_eq!(send(&build(both).unwrap(), get()).await, (100 * MILLISECOND, Some(503)));
        let delay = build("{ delay: { for: 100ms, percent: 100% }, clients: [10.0.0.0/8] }").unwrap();
        assert_eq!(send(&delay, get()).await, (Duration::ZERO, None));
        assert_eq!(send(&delay, get().from_client([10, 0, 0, 1].into())).await, (100 * MILLISECOND, None));
        assert_eq!(build(both).unwrap().describe(), "100% wait 100ms, 100% get 503");
    }

    #[test]
    fn a_percentage_is_a_share_of_the_requests() {
        let filter =
            build("{ delay: { for: 1s, percent: 20% }, abort: { status: 500, percent: 1% } }").unwrap();
        let mut random = Random::with_seed(7);
        let mut counts = (0, 0);
        for _ in 0..100_000 {
            let (delay, abort) = get().with_request(|request, _| filter.decide(request, &mut random));
            counts.0 += u32::from(delay.is_some());
            counts.1 += u32::from(abort.is_some());
        }
        assert!((19_500..20_500).contains(&counts.0) && (900..1_100).contains(&counts.1), "{counts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_may_ask_for_faults_get_no_worse_ones_than_are_allowed() {
        let filter = build(
            "{ delay: { for: 2s, header: X-Delay }, abort: { status: 500, header: X-Abort }, clients: [192.0.2.0/24] }",
        )
        .unwrap();
        for (name, value, expected) in [
            ("x-delay", "250ms", (250 * MILLISECOND, None)),
            ("x-delay", "1h", (2000 * MILLISECOND, None)),
            ("x-delay", "0", (Duration::ZERO, None)),
            ("x-delay", "250", (Duration::ZERO, None)),
            ("x-delay", "-1s", (Duration::ZERO, None)),
            ("x_delay", "1s", (Duration::ZERO, None)),
            ("x-abort", "404", (Duration::ZERO, Some(404))),
            ("x-abort", "200", (Duration::ZERO, Some(500))),
            ("x-abort", "101", (Duration::ZERO, Some(500))),
            ("x-abort", "true", (Duration::ZERO, Some(500))),
            ("x-other", "1", (Duration::ZERO, None)),
        ] {
            assert_eq!(send(&filter, get().with_header(name, value)).await, expected, "{name}: {value}");
            let stranger = get().from_client([198, 51, 100, 1].into()).with_header(name, value);
            assert_eq!(send(&filter, stranger).await, (Duration::ZERO, None), "{name}: {value}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_at_their_key() {
        for (yaml, key, words) in [
            ("{}", &[][..], "nothing happens"),
            ("{ delay: { for: 1s } }", &["delay"], "to which requests"),
            ("{ delay: { for: 0s, percent: 1% } }", &["delay", "for"], "1ms to 1m"),
            ("{ delay: { for: 61s, percent: 1% } }", &["delay", "for"], "1ms to 1m"),
            ("{ delay: { for: 1s, percent: 0% } }", &["delay", "percent"], "1% to 100%"),
            ("{ delay: { for: 1s, percent: 101% } }", &["delay", "percent"], "1% to 100%"),
            ("{ abort: { status: 200, percent: 1% } }", &["abort", "status"], "400 to 599"),
            ("{ abort: { status: 500, header: X-Abort } }", &[], "whoever knows"),
            (
                "{ abort: { status: 500, header: Host }, clients: [10.0.0.1] }",
                &["abort", "header"],
                "cannot be changed",
            ),
            ("{ abort: { status: 500, percent: 1% }, clients: [] }", &["clients"], "no networks"),
        ] {
            let (found, message, _) = build(yaml).unwrap_err().into_parts();
            assert_eq!(found, key, "{yaml}");
            assert!(message.contains(words), "{yaml}: {message}");
        }
    }
}
