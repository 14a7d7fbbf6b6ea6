use crate::audit::evidence::Evidence;
use crate::audit::rule::Check::Pool;
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{Low, Medium};
use crate::config;
use crate::config::spec::{AuditRule as Id, OutlierLimits, RetrySpec};
use crate::types::Span;

use super::{above, found};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::NoHealthCheck,
        severity: Medium,
        key: "health",
        profile: "a check every 5s",
        risk: "endpoints that are down are found out by clients' requests",
        check: Pool(|_, pool| found(pool.health.is_none(), "none")),
    },
    Rule {
        id: Id::SlowHealthCheck,
        severity: Low,
        key: "health",
        profile: "interval 5s, timeout 2s, fall 3 or less",
        risk: "endpoints that are down get requests for longer",
        check: Pool(slow_check),
    },
    Rule {
        id: Id::ProbeUnverified,
        severity: Low,
        key: "health.tls.verify",
        profile: "true",
        risk: "another server at the address, or an expired certificate, counts as healthy",
        check: Pool(|_, pool| match &pool.health.as_ref()?.check {
            config::Check::Tls(check) => found(!check.verify, "false"),
            _ => None,
        }),
    },
    Rule {
        id: Id::OutlierOff,
        severity: Medium,
        key: "outlier",
        profile: "on: 5 failures in a row, or half of 20 within 10s",
        risk: "endpoints that pass their checks and fail requests go on to get them",
        check: Pool(|_, pool| match &pool.outlier {
            None => Some("off".to_owned()),
            Some(limits) => found(limits.max_ejected.of(100) == 0, "max_ejected is 0%"),
        }),
    },
    Rule {
        id: Id::OutlierLax,
        severity: Low,
        key: "outlier",
        profile: "consecutive 5, failure_rate 50%, window 10s or less, eject 10s or more",
        risk: "endpoints fail more requests before they are left out",
        check: Pool(lax_outliers),
    },
    Rule {
        id: Id::PanicOff,
        severity: Low,
        key: "panic",
        profile: "50%, and not 0%",
        risk: "the last fit endpoints get the load of all, and break down under it",
        check: Pool(|_, pool| found(pool.panic.of(100) == 0, "0%")),
    },
    Rule {
        id: Id::SlowStartOff,
        severity: Low,
        key: "slow_start",
        profile: "10s",
        risk: "an endpoint that has just started gets its full share before it is warm",
        check: Pool(|_, pool| found(pool.slow_start.is_zero(), "off")),
    },
    Rule {
        id: Id::RetryAttempts,
        severity: Low,
        key: "retry.attempts",
        profile: "1 or less",
        risk: "each failure costs several endpoints a request",
        check: Pool(|_, pool| above(pool.retry.attempts, RetrySpec::default().attempts)),
    },
    Rule {
        id: Id::RetryBudget,
        severity: Medium,
        key: "retry.budget",
        profile: "20% or less, budget_min 3 or less",
        risk: "retries multiply the load of endpoints that struggle already",
        check: Pool(|_, pool| {
            let (retry, profile) = (&pool.retry, RetrySpec::default());
            let is_more = retry.budget > profile.budget || retry.budget_min > profile.budget_min;
            found(is_more, format_args!("{}, {} at least", retry.budget, retry.budget_min))
        }),
    },
];

fn slow_check(_: &Evidence<'_>, pool: &config::Pool) -> Option<String> {
    let health = pool.health.as_ref()?;
    let (interval, timeout, fall) = (health.interval, health.timeout, health.fall);
    let is_slow = interval > Span::from_secs(5) || timeout > Span::from_secs(2) || fall > 3;
    found(is_slow, format_args!("interval {interval}, timeout {timeout}, fall {fall}"))
}

fn lax_outliers(_: &Evidence<'_>, pool: &config::Pool) -> Option<String> {
    let (limits, profile) = (pool.outlier.as_ref()?, OutlierLimits::default());
    let OutlierLimits { consecutive, failure_rate, window, eject, .. } = limits;
    let is_lax = *consecutive > profile.consecutive
        || *failure_rate > profile.failure_rate
        || *window > profile.window
        || *eject < profile.eject;
    found(
        is_lax,
        format_args!(
            "consecutive {consecutive}, failure_rate {failure_rate}, window {window}, eject {eject}"
        ),
    )
}
