use serde::Deserialize;

use crate::audit::evidence::{Evidence, FileKind, NamedFile};
use crate::audit::rule::Check::{File, Filter, Route, Secret};
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{High, Low, Medium};
use crate::config;
use crate::config::spec::{AuditRule as Id, OneOrMany, SecretSpec};
use crate::filters::{CredentialSource, JwtSettings};
use crate::types::Span;

use super::{above, found};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::InlineSecret,
        severity: High,
        key: "",
        profile: "${NAME} or { file: PATH }; of an API key its sha256",
        risk: "whoever reads the file, its backups or its repository has the secret",
        check: Secret(|secret| found(matches!(secret.spec, SecretSpec::Text(_)), "the secret itself")),
    },
    Rule {
        id: Id::WeakSecret,
        severity: High,
        key: "",
        profile: "what `openssl rand -hex 32` makes, or as much by chance",
        risk: "it can be guessed, or worked out from what is signed with it",
        check: Secret(|secret| {
            let bits = secret.bits.filter(|bits| *bits < 80)?;
            Some(format!("{bits} bits at most"))
        }),
    },
    Rule {
        id: Id::SecretReadable,
        severity: High,
        key: "",
        profile: "no access for others than owner and group, and none to write for the group (0640)",
        risk: "every user of this machine can read or replace it",
        check: File(|file| opened(file, FileKind::Secret, 0o027)),
    },
    Rule {
        id: Id::ConfigWritable,
        severity: High,
        key: "",
        profile: "writable by its owner alone (0644)",
        risk: "others decide what is served, and who is let in",
        check: File(|file| opened(file, FileKind::Configuration, 0o022)),
    },
    Rule {
        id: Id::JwtAudience,
        severity: Medium,
        key: "audience",
        profile: "whom tokens have to be for",
        risk: "tokens that say nothing of whom they are for are taken, whatever the issuer made them for",
        check: Filter("jwt", |evidence, at| {
            found(evidence.read::<JwtSettings>(at)?.audience.is_none(), "any token without `aud`")
        }),
    },
    Rule {
        id: Id::JwtIssuer,
        severity: Medium,
        key: "issuer",
        profile: "who may have issued tokens",
        risk: "whoever else has one of the keys, as all tenants of one provider may, issues tokens",
        check: Filter("jwt", |evidence, at| {
            found(evidence.read::<JwtSettings>(at)?.issuer.is_none(), "everybody who has a key")
        }),
    },
    Rule {
        id: Id::JwtExpiry,
        severity: High,
        key: "require",
        profile: "with `exp`",
        risk: "a token that leaks counts for ever",
        check: Filter("jwt", |evidence, at| {
            let required = evidence.read::<JwtSettings>(at)?.require;
            found(!required.iter().any(|claim| claim == "exp"), "without `exp`")
        }),
    },
    Rule {
        id: Id::JwtLeeway,
        severity: Low,
        key: "leeway",
        profile: "1m or less",
        risk: "tokens count for longer than their issuer says",
        check: Filter("jwt", |evidence, at| {
            above(evidence.read::<JwtSettings>(at)?.leeway, Span::from_secs(60))
        }),
    },
    Rule {
        id: Id::CredentialInQuery,
        severity: Medium,
        key: "filters",
        profile: "`from` a header or a cookie",
        risk: "URLs are kept in logs, histories and `Referer`, and the credential with them",
        check: Route(|evidence, route| {
            let sources = shown(evidence, route).filter_map(|shown| shown.from);
            let mut sources = sources.flat_map(OneOrMany::into_iter);
            found(
                sources.any(|source| matches!(source, CredentialSource::Query(_))),
                "a credential in the query",
            )
        }),
    },
    Rule {
        id: Id::CredentialForwarded,
        severity: Low,
        key: "filters",
        profile: "`forward: false`",
        risk: "endpoints, and whoever reads their logs, get credentials that the edge has checked already",
        check: Route(|evidence, route| {
            let forwarded = shown(evidence, route).filter(|shown| shown.forward).count();
            found(forwarded > 0, "credentials go on to endpoints")
        }),
    },
];

/// What the filters that let clients in by credentials have in common.
#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    from: Option<OneOrMany<CredentialSource>>,
    #[serde(default)]
    forward: bool,
}

fn shown<'r>(evidence: &'r Evidence<'_>, route: &'r config::Route) -> impl Iterator<Item = Shown> + 'r {
    ["jwt", "api_key", "basic_auth"].into_iter().flat_map(|name| evidence.filters_of(route, name))
}

/// The file with its mode, if it has any of these bits.
fn opened(file: &NamedFile, kind: FileKind, bits: u32) -> Option<String> {
    let mode = file.mode.filter(|mode| file.kind == kind && mode & bits != 0)?;
    Some(format!("{} has mode {:04o}", file.path.display(), mode & 0o7777))
}
