use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED, SET_COOKIE, TRAILER, VARY};
use http::{HeaderMap, StatusCode};

use super::control::seconds;
use super::{Control, VaryOf, vary_of};
use crate::cache::Plan;
use crate::types::http_date;

/// An answer as it came from an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// When the request was sent, and when the head of the answer was there.
    pub(crate) requested: SystemTime,
    pub(crate) received: SystemTime,
    /// Whether the request carried credentials.
    pub(crate) is_authorized: bool,
}

/// Whether an answer is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Store(Terms),
    Refuse(Refusal),
}

/// Under what terms a stored answer is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// From when its age counts.
    pub(crate) epoch: SystemTime,
    pub(crate) fresh_until: SystemTime,
    /// So long after that it may be given while another is fetched, in seconds.
    pub(crate) while_revalidate: u32,
    /// So long after that it may be given when none can be fetched.
    pub(crate) if_error: u32,
}

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The origin says so, or says nothing that allows it.
    Origin,
    /// It is one for this client alone, while others may get one that can be stored.
    Client,
}

/// Whether and for how long an answer may be used again (RFC 9111 §3, §4.2).
pub(crate) fn judge(answer: &Received<'_>, plan: &Plan) -> Judgement {
    let control = Control::of(answer.headers, &plan.control_fields);
    if let Some(refusal) = refusal(answer, &control, plan) {
        return Judgement::Refuse(refusal);
    }
    let age = initial_age(answer);
    let Some(lifetime) = lifetime(answer, &control, plan) else {
        return Judgement::Refuse(Refusal::Origin);
    };
    // An age that cannot be read may be any.
    let (age, lifetime) = age.map_or((Duration::ZERO, Duration::ZERO), |age| (age, lifetime));
    let epoch = answer.received.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
    // Equal ages are stale (RFC 9111 §4.2), and Pingora takes the end for fresh.
    let fresh_until = epoch + lifetime.saturating_sub(Duration::from_millis(1));
    let while_revalidate = control.stale_while_revalidate.map_or(plan.while_revalidate, Duration::from_secs);
    let if_error = control.stale_if_error.map_or(plan.if_error, Duration::from_secs);
    let stale = |span: Duration| if control.forbids_stale() { 0 } else { saturated(span) };
    let terms =
        Terms { epoch, fresh_until, while_revalidate: stale(while_revalidate), if_error: stale(if_error) };
    let is_useful = !lifetime.is_zero() || terms.if_error > 0 || has_validator(answer.headers);
    if is_useful { Judgement::Store(terms) } else { Judgement::Refuse(Refusal::Origin) }
}

fn saturated(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

fn refusal(answer: &Received<'_>, control: &Control, plan: &Plan) -> Option<Refusal> {
    let is_public = control.public || control.must_revalidate || control.s_maxage.is_some();
    if answer.is_authorized && !is_public && !plan.store_authorized {
        return Some(Refusal::Client);
    }
    let no_store = if control.must_understand { !is_understood(answer.status) } else { control.no_store };
    let sets_cookie = answer.headers.contains_key(SET_COOKIE) && !plan.store_set_cookie;
    let is_refused = no_store
        || control.private
        || sets_cookie
        || !is_storable(answer.status)
        || answer.headers.contains_key(TRAILER)
        || (answer.headers.contains_key(VARY) && vary_of(answer.headers) == VaryOf::Everything);
    is_refused.then_some(Refusal::Origin)
}

/// Final answers that stand for themselves: a part of one, or word that there is no other, is none.
fn is_storable(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The statuses whose rules for caches are known here.
fn is_understood(status: StatusCode) -> bool {
    has_heuristic(status)
        || matches!(status.as_u16(), 201 | 202 | 302 | 303 | 307 | 400..=403 | 406 | 409 | 500..=504)
}

/// Statuses of which an answer may be used again though nothing is said (RFC 9110 §15.1).
fn has_heuristic(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(http::header::ETAG) || headers.contains_key(LAST_MODIFIED)
}

/// How long the answer is fresh from its making on; `None` where nothing allows it to be stored.
fn lifetime(answer: &Received<'_>, control: &Control, plan: &Plan) -> Option<Duration> {
    let configured = plan.ttl_of(answer.status);
    if control.no_cache {
        return Some(Duration::ZERO);
    }
    if let (true, Some(ttl)) = (plan.force_ttl, configured) {
        return Some(ttl);
    }
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Some(Duration::from_secs(seconds));
    }
    if !control.is_targeted
        && let Some(lifetime) = until_expiry(answer)
    {
        return Some(lifetime);
    }
    let allows_guess = has_heuristic(answer.status) || control.public;
    let guessed = || guess(answer, plan.heuristic?).filter(|_| allows_guess);
    let is_kept_anyway = control.public || (has_heuristic(answer.status) && has_validator(answer.headers));
    configured.or_else(guessed).or(is_kept_anyway.then_some(Duration::ZERO))
}

/// What `Expires` gives from `Date` on; one that cannot be read, `0` above all, is past.
fn until_expiry(answer: &Received<'_>) -> Option<Duration> {
    if !answer.headers.contains_key(EXPIRES) {
        return None;
    }
    let expires = http_date(answer.headers, &EXPIRES);
    Some(expires.and_then(|expires| expires.duration_since(made(answer)).ok()).unwrap_or_default())
}

/// A part of the time for which the answer has been the same (RFC 9111 §4.2.2).
fn guess(answer: &Received<'_>, percent: u8) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    let modified = http_date(answer.headers, &LAST_MODIFIED)?;
    let unchanged = made(answer).duration_since(modified).ok()?;
    Some((unchanged * u32::from(percent) / 100).min(LONGEST))
}

/// How old the answer was when it came (RFC 9111 §4.2.3); `None` where it says something that is no age.
fn initial_age(answer: &Received<'_>) -> Option<Duration> {
    let apparent = answer.received.duration_since(made(answer)).unwrap_or_default();
    let mut lines = answer.headers.get_all(AGE).iter();
    let told = match lines.next() {
        None => 0,
        Some(line) => seconds(line.as_bytes()).filter(|_| lines.next().is_none())?,
    };
    let delay = answer.received.duration_since(answer.requested).unwrap_or_default();
    Some(apparent.max(Duration::from_secs(told) + delay))
}

/// When the answer was made, by the clock of its origin.
fn made(answer: &Received<'_>) -> SystemTime {
    http_date(answer.headers, &DATE).unwrap_or(answer.received)
}

#[cfg(test)]
mod tests {
    use http::header::{CACHE_CONTROL, ETAG};
    use http::{HeaderName, HeaderValue};

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn now() -> SystemTime {
        NOW + Duration::from_secs(1_700_000_000)
    }

    /// An HTTP date, so many seconds from now.
    fn date(offset: i64) -> String {
        let time = if offset < 0 { now() - secs(offset.unsigned_abs()) } else { now() + secs(offset as u64) };
        httpdate::fmt_http_date(time)
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |value: &str| HeaderValue::from_str(value).unwrap();
        let mut headers = HeaderMap::new();
        for (name, text) in fields {
            headers.append(name.clone(), value(text));
        }
        headers
    }

    fn judged(status: u16, fields: &[(HeaderName, &str)], plan: &Plan) -> Judgement {
        let headers = headers(fields);
        let status = StatusCode::from_u16(status).unwrap();
        let answer =
            Received { status, headers: &headers, requested: now(), received: now(), is_authorized: false };
        judge(&answer, plan)
    }

    /// For how many seconds from now the answer is fresh; `None` where it is not stored.
    fn fresh(status: u16, fields: &[(HeaderName, &str)]) -> Option<u64> {
        match judged(status, fields, &Plan::default()) {
            Judgement::Store(terms) => {
                let left = terms.fresh_until.duration_since(now()).unwrap_or_default();
                Some(left.as_millis().div_ceil(1000) as u64)
            }
            Judgement::Refuse(_) => None,
        }
    }

    #[test]
    fn explicit_lifetimes_have_an_order() {
        let (future, past, today) = (date(5000), date(-5000), date(0));
        for (fields, expected) in [
            (&[(CACHE_CONTROL, "max-age=60")][..], Some(60)),
            (&[(CACHE_CONTROL, "max-age=60, s-maxage=10")], Some(10)),
            (&[(CACHE_CONTROL, "s-maxage=x, max-age=60")], None),
            (&[(CACHE_CONTROL, "max-age=60"), (EXPIRES, &past), (DATE, &today)], Some(60)),
            (&[(EXPIRES, &future), (DATE, &today)], Some(5000)),
            (&[(EXPIRES, &future), (DATE, &past)], Some(5000)),
            (&[(EXPIRES, &future)], Some(5000)),
            (&[(EXPIRES, "0"), (DATE, &today)], None),
            (&[(EXPIRES, "0"), (ETAG, "\"a\"")], Some(0)),
            (&[(EXPIRES, &future), (EXPIRES, &future)], None),
            (&[(CACHE_CONTROL, "max-age=0")], None),
            (&[(CACHE_CONTROL, "no-cache, max-age=60"), (ETAG, "\"a\"")], Some(0)),
            (&[], None),
        ] {
            let stored = fresh(200, fields);
            assert_eq!(stored, expected, "{fields:?}");
        }
    }

    #[test]
    fn an_answer_is_as_old_as_it_says_or_looks() {
        let old = date(-100);
        for (fields, expected) in [
            (&[(AGE, "600")][..], Some(3000)),
            (&[(DATE, &*old)], Some(3500)),
            (&[(DATE, &old), (AGE, "50")], Some(3500)),
            (&[(AGE, "7200")], None),
            (&[(AGE, "abc")], None),
            (&[(AGE, "-1")], None),
            (&[(AGE, "10.0")], None),
            (&[(AGE, "0, 0")], None),
            (&[(AGE, "0"), (AGE, "0")], None),
            (&[(AGE, "0;foo=bar")], None),
        ] {
            let mut fields = fields.to_vec();
            fields.extend([(CACHE_CONTROL, "max-age=3600"), (ETAG, "\"a\"")]);
            let left = fresh(200, &fields).filter(|left| *left > 0);
            assert_eq!(left, expected, "{fields:?}");
        }
    }

    #[test]
    fn what_took_long_to_come_is_older() {
        let headers = headers(&[(CACHE_CONTROL, "max-age=60"), (AGE, "10")]);
        let answer = Received {
            status: StatusCode::OK,
            headers: &headers,
            requested: now() - secs(5),
            received: now(),
            is_authorized: false,
        };
        let Judgement::Store(terms) = judge(&answer, &Plan::default()) else { panic!("not stored") };
        assert_eq!(terms.epoch, now() - secs(15));
    }

    #[test]
    fn nothing_is_guessed_but_where_it_may() {
        let (day_old, today) = (date(-86_400), date(0));
        let fields = [(LAST_MODIFIED, &*day_old), (DATE, &*today)];
        for status in [200, 203, 204, 404, 405, 410, 414, 501] {
            assert_eq!(fresh(status, &fields), Some(8640), "{status}");
        }
        for status in [201, 202, 403, 502, 503, 504, 599] {
            assert_eq!(fresh(status, &fields), None, "{status}");
        }
        let public = [&fields[..], &[(CACHE_CONTROL, "public")]].concat();
        assert_eq!(fresh(599, &public), Some(8640));
        let ancient = date(-86_400 * 365);
        assert_eq!(fresh(200, &[(LAST_MODIFIED, &*ancient)]), Some(86_400));
        let off = Plan { heuristic: None, ..Plan::default() };
        let Judgement::Store(terms) = judged(200, &fields, &off) else { panic!("it has a validator") };
        assert!(terms.fresh_until <= now());
    }

    #[test]
    fn what_is_not_for_everybody_is_not_stored() {
        let max_age = (CACHE_CONTROL, "max-age=60");
        for field in [
            (CACHE_CONTROL, "private"),
            (CACHE_CONTROL, "no-store"),
            (SET_COOKIE, "a=b"),
            (VARY, "*"),
            (VARY, "Foo, *"),
            (TRAILER, "Foo"),
        ] {
            assert_eq!(fresh(200, &[max_age.clone(), field.clone()]), None, "{field:?}");
        }
        for status in [206, 304] {
            assert_eq!(fresh(status, std::slice::from_ref(&max_age)), None, "{status}");
        }
        let told = Plan { store_set_cookie: true, ..Plan::default() };
        let fields = [max_age.clone(), (SET_COOKIE, "a=b")];
        assert!(matches!(judged(200, &fields, &told), Judgement::Store(_)));
        let understands = (CACHE_CONTROL, "must-understand, no-store");
        assert_eq!(fresh(200, &[max_age.clone(), understands.clone()]), Some(60));
        assert_eq!(fresh(299, &[max_age, understands]), None);
    }

    #[test]
    fn answers_to_credentials_need_leave() {
        let judged = |control: &str, plan: &Plan| {
            let headers = headers(&[(CACHE_CONTROL, control)]);
            let answer = Received {
                status: StatusCode::OK,
                headers: &headers,
                requested: now(),
                received: now(),
                is_authorized: true,
            };
            judge(&answer, plan)
        };
        let plan = Plan::default();
        assert_eq!(judged("max-age=60", &plan), Judgement::Refuse(Refusal::Client));
        for control in ["max-age=60, public", "s-maxage=60", "max-age=60, must-revalidate"] {
            assert!(matches!(judged(control, &plan), Judgement::Store(_)), "{control}");
        }
        let told = Plan { store_authorized: true, ..Plan::default() };
        assert!(matches!(judged("max-age=60", &told), Judgement::Store(_)));
    }

    #[test]
    fn settings_fill_what_the_origin_leaves_open() {
        let ok = StatusCode::OK;
        let plan = Plan { ttl: vec![(ok, secs(30))], ..Plan::default() };
        let left = |fields: &[(HeaderName, &str)], plan: &Plan| match judged(200, fields, plan) {
            Judgement::Store(terms) => {
                terms.fresh_until.duration_since(now()).ok().map(|left| left.as_secs() + 1)
            }
            Judgement::Refuse(_) => None,
        };
        assert_eq!(left(&[], &plan), Some(30));
        assert_eq!(left(&[(CACHE_CONTROL, "max-age=5")], &plan), Some(5));
        let forced = Plan { force_ttl: true, ..plan };
        assert_eq!(left(&[(CACHE_CONTROL, "max-age=5")], &forced), Some(30));
        assert_eq!(left(&[(CACHE_CONTROL, "no-store")], &forced), None);
    }

    #[test]
    fn stale_answers_are_used_as_the_origin_and_the_settings_say() {
        let plan = Plan { while_revalidate: secs(7), if_error: secs(9), ..Plan::default() };
        let of = |control: &str| match judged(200, &[(CACHE_CONTROL, control)], &plan) {
            Judgement::Store(terms) => (terms.while_revalidate, terms.if_error),
            Judgement::Refuse(_) => panic!("{control} is not stored"),
        };
        assert_eq!(of("max-age=1"), (7, 9));
        assert_eq!(of("max-age=1, stale-if-error=60, stale-while-revalidate=0"), (0, 60));
        for control in ["must-revalidate", "proxy-revalidate", "s-maxage=2"] {
            assert_eq!(of(&format!("max-age=1, {control}, stale-if-error=60")), (0, 0), "{control}");
        }
    }
}
