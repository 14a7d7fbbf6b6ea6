use crate::audit::evidence::Evidence;
use crate::audit::rule::Check::{Filter, Route};
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{High, Low, Medium};
use crate::config;
use crate::config::spec::AuditRule as Id;
use crate::filters::{
    CacheSettings, ClientDirectives, CorsSettings, FaultSettings, FramePolicy, GeoSettings, MirrorMethod,
    MirrorSettings, OnStoreFailure, OnUnknown, OriginPattern, RateLimitMode, RateLimitSettings,
    SecurityHeadersSettings, WafLarger, WafMode, WafOverload, WafSettings,
};
use crate::hooks::KeySpec;

use super::found;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::NoRateLimit,
        severity: Medium,
        key: "filters",
        profile: "`rate_limit` on each route that goes to a pool",
        risk: "one client asks endpoints for as much as all others together",
        check: Route(no_rate_limit),
    },
    Rule {
        id: Id::RateLimitDryRun,
        severity: Low,
        key: "mode",
        profile: "reject or delay",
        risk: "nobody is limited: the log alone tells who would be",
        check: Filter("rate_limit", |evidence, at| {
            found(evidence.read::<RateLimitSettings>(at)?.mode == RateLimitMode::DryRun, "dry_run")
        }),
    },
    Rule {
        id: Id::RateLimitForgeable,
        severity: Medium,
        key: "filters",
        profile: "a `rate_limit` by client_ip, or by a variable that a filter sets, too",
        risk: "clients get a new limit with each name that they make up",
        check: Route(forgeable_limits),
    },
    Rule {
        id: Id::RateLimitFailsOpen,
        severity: Medium,
        key: "on_store_failure",
        profile: "local or reject",
        risk: "nobody is limited while the store is gone",
        check: Filter("rate_limit", |evidence, at| {
            let does = evidence.read::<RateLimitSettings>(at)?.on_store_failure;
            found(does == Some(OnStoreFailure::Allow), "allow")
        }),
    },
    Rule {
        id: Id::CorsAnyOrigin,
        severity: Low,
        key: "origins",
        profile: "the origins of the pages that use it",
        risk: "pages of every site read what is answered to their visitors",
        check: Filter("cors", |evidence, at| {
            let origins = evidence.read::<CorsSettings>(at)?.origins;
            let is_any = |origin: &OriginPattern| matches!(origin, OriginPattern::Any | OriginPattern::Null);
            found(origins.as_slice().iter().any(is_any), "every origin, or `null`")
        }),
    },
    Rule {
        id: Id::CorsBroadCredentials,
        severity: High,
        key: "origins",
        profile: "exact https: origins, where credentials may be sent",
        risk: "whoever gets a page onto one of these hosts, or between it and its visitors, acts as any user",
        check: Filter("cors", broad_credentials),
    },
    Rule {
        id: Id::WafDetect,
        severity: Medium,
        key: "mode",
        profile: "block",
        risk: "attacks are told in the log, and served",
        check: Filter("waf", |evidence, at| {
            found(evidence.read::<WafSettings>(at)?.mode == WafMode::Detect, "detect")
        }),
    },
    Rule {
        id: Id::WafPass,
        severity: Low,
        key: "",
        profile: "`on_overload: refuse` and `body.on_larger: block`",
        risk: "attacks pass unseen in long bodies, or while the edge is busy",
        check: Filter("waf", |evidence, at| {
            let WafSettings { body, on_overload, .. } = evidence.read(at)?;
            let passes = on_overload == WafOverload::Pass || body.on_larger == WafLarger::Pass;
            found(passes, "what is too much passes")
        }),
    },
    Rule {
        id: Id::CacheShared,
        severity: High,
        key: "",
        profile: "neither `store_set_cookie` nor `store_authorized`",
        risk: "clients get each other's cookies, or answers that are for one of them alone",
        check: Filter("cache", |evidence, at| {
            let CacheSettings { store_set_cookie, store_authorized, .. } = evidence.read(at)?;
            found(store_set_cookie || store_authorized, "private answers are stored")
        }),
    },
    Rule {
        id: Id::CacheForced,
        severity: Low,
        key: "force_ttl",
        profile: "false",
        risk: "answers are given for longer than those who made them say",
        check: Filter("cache", |evidence, at| found(evidence.read::<CacheSettings>(at)?.force_ttl, "true")),
    },
    Rule {
        id: Id::CacheClientDirectives,
        severity: Low,
        key: "client_directives",
        profile: "ignore",
        risk: "clients make endpoints work for each of their requests, past the cache",
        check: Filter("cache", |evidence, at| {
            let directives = evidence.read::<CacheSettings>(at)?.client_directives;
            found(directives == ClientDirectives::Honour, "honour")
        }),
    },
    Rule {
        id: Id::FaultForAll,
        severity: High,
        key: "",
        profile: "no `fault`, or one for `clients` of a test",
        risk: "requests of all clients are made slow, or fail",
        check: Filter("fault", |evidence, at| {
            found(evidence.read::<FaultSettings>(at)?.clients.is_none(), "faults for every client")
        }),
    },
    Rule {
        id: Id::MirrorWrites,
        severity: Low,
        key: "methods",
        profile: "GET, HEAD and OPTIONS",
        risk: "what a request changes is changed twice where both pools share data",
        check: Filter("mirror", mirrored_writes),
    },
    Rule {
        id: Id::GeoUnknown,
        severity: Low,
        key: "on_unknown",
        profile: "deny, with a list `allow`",
        risk: "clients whom the database does not know come in from anywhere",
        check: Filter("geo", |evidence, at| {
            let GeoSettings { allow, on_unknown, .. } = evidence.read(at)?;
            found(allow.is_some() && on_unknown == Some(OnUnknown::Allow), "allow")
        }),
    },
    Rule {
        id: Id::SecurityHeaderOff,
        severity: Low,
        key: "",
        profile: "`content_type_options` and `frame` on, `report_only` off",
        risk: "browsers take files for what they are not, or show pages in the frames of others",
        check: Filter("security_headers", |evidence, at| {
            let SecurityHeadersSettings { content_type_options, frame, report_only, .. } =
                evidence.read(at)?;
            let is_off = !content_type_options || frame == FramePolicy::Off || report_only;
            found(is_off, "a header is off, or only reported")
        }),
    },
    Rule {
        id: Id::FilesHidden,
        severity: Medium,
        key: "files.hidden",
        profile: "false",
        risk: "files such as .env and .git are served to whoever asks",
        check: Route(|_, route| match &route.action {
            config::Action::Files(files) => found(files.spec.hidden, "true"),
            _ => None,
        }),
    },
];

fn limits<'r>(
    evidence: &'r Evidence<'_>,
    route: &'r config::Route,
) -> impl Iterator<Item = RateLimitSettings> + 'r {
    evidence
        .filters_of::<RateLimitSettings>(route, "rate_limit")
        .filter(|limit| limit.mode != RateLimitMode::DryRun)
}

fn no_rate_limit(evidence: &Evidence<'_>, route: &config::Route) -> Option<String> {
    let proxies = !route.action.pools().is_empty();
    found(proxies && limits(evidence, route).next().is_none(), "no `rate_limit`")
}

fn forgeable_limits(evidence: &Evidence<'_>, route: &config::Route) -> Option<String> {
    let is_forgeable =
        |key: &KeySpec| matches!(key, KeySpec::Header(_) | KeySpec::Cookie(_) | KeySpec::Query(_));
    let keys: Vec<_> = limits(evidence, route).map(|limit| limit.key).collect();
    found(!keys.is_empty() && keys.iter().all(is_forgeable), "limits by what clients say alone")
}

fn broad_credentials(evidence: &Evidence<'_>, at: &config::KeyPath) -> Option<String> {
    let CorsSettings { origins, credentials, .. } = evidence.read(at)?;
    let is_broad = |origin: &OriginPattern| match origin {
        OriginPattern::Any | OriginPattern::Null | OriginPattern::Wildcard { .. } => true,
        OriginPattern::Exact(origin) => origin.starts_with("http://"),
    };
    let is_found = credentials && origins.as_slice().iter().any(is_broad);
    found(is_found, "credentials from wildcards, or from pages without TLS")
}

fn mirrored_writes(evidence: &Evidence<'_>, at: &config::KeyPath) -> Option<String> {
    let methods = evidence.read::<MirrorSettings>(at)?.methods?;
    let is_write = |method: &MirrorMethod| {
        !matches!(method, MirrorMethod::Get | MirrorMethod::Head | MirrorMethod::Options)
    };
    found(methods.iter().any(is_write), "methods that change something")
}
