use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::filters::FieldName;

/// Tells browsers what the pages of a site may do. A header that the endpoint has set stays as it is, unless `override` says
/// otherwise. `Strict-Transport-Security` has a filter of its own, `hsts`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityHeadersSettings {
    /// `X-Content-Type-Options: nosniff`: browsers take bodies for what `Content-Type` says, and for nothing else.
    pub content_type_options: bool,
    /// Who may show pages in a frame (`X-Frame-Options`): `deny`, `sameorigin` or `off`. In browsers that know it,
    /// `frame-ancestors` of the content security policy counts in its place.
    pub frame: FramePolicy,
    /// How much of a page's address is told where its links and requests go (`Referrer-Policy`): `no-referrer`,
    /// `same-origin`, `strict-origin`, `strict-origin-when-cross-origin` or `off`.
    pub referrer: ReferrerPolicy,
    /// `Content-Security-Policy`: where pages may load from and send to, like `default-src 'self'`. Default: none.
    pub content_security_policy: Option<String>,
    /// Whether browsers only report what the policy forbids (`Content-Security-Policy-Report-Only`), to try it out.
    pub report_only: bool,
    /// `Permissions-Policy`: which abilities of browsers pages may use, like `camera=(), geolocation=(self)`. Default: none.
    pub permissions: Option<String>,
    /// How pages are kept apart from those of other sites.
    pub cross_origin: CrossOriginSettings,
    /// Headers that are taken off answers, whoever set them. Default: `Server` and `X-Powered-By`.
    pub remove: Vec<FieldName>,
    /// Whether the values here take the place of those that the endpoint has set.
    pub r#override: bool,
}

/// How pages are kept apart from those of other sites.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrossOriginSettings {
    /// Whether pages share their windows' process with those that opened them (`Cross-Origin-Opener-Policy`):
    /// `same-origin`, `same-origin-allow-popups` or `off`. Default: `off`.
    pub opener: OpenerPolicy,
    /// Whether pages may embed what does not say that it may be embedded (`Cross-Origin-Embedder-Policy`): `require-corp`,
    /// `credentialless` or `off`. Default: `off`.
    pub embedder: EmbedderPolicy,
    /// Whose pages may embed the answer (`Cross-Origin-Resource-Policy`): `same-origin`, `same-site`, `cross-origin` or
    /// `off`. Default: `off`.
    pub resource: ResourcePolicy,
}

/// A choice among the values of a header; `off` for none of them.
macro_rules! policy {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* } default $default:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// The header is not set.
            Off,
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }

        impl $name {
            pub(super) fn value(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($value),)*
                    Self::Off => None,
                }
            }
        }
    };
}

policy!(
    /// Who may show pages in a frame.
    FramePolicy {
        /// Nobody.
        Deny = "DENY",
        /// Pages of the same origin.
        #[serde(rename = "sameorigin")]
        SameOrigin = "SAMEORIGIN",
    }
    default Deny
);

policy!(
    /// How much of a page's address is told.
    ReferrerPolicy {
        /// Nothing.
        NoReferrer = "no-referrer",
        /// All of it to the same origin, nothing to others.
        SameOrigin = "same-origin",
        /// The origin, but nothing from HTTPS to HTTP.
        StrictOrigin = "strict-origin",
        /// All of it to the same origin, the origin to others, nothing from HTTPS to HTTP.
        StrictOriginWhenCrossOrigin = "strict-origin-when-cross-origin",
    }
    default StrictOriginWhenCrossOrigin
);

policy!(
    /// Whom a page shares its window's process with.
    OpenerPolicy {
        /// Pages of the same origin.
        SameOrigin = "same-origin",
        /// Also those that it opens itself.
        SameOriginAllowPopups = "same-origin-allow-popups",
    }
    default Off
);

policy!(
    /// What a page may embed.
    EmbedderPolicy {
        /// What says that it may be.
        RequireCorp = "require-corp",
        /// Also other things, which are asked for without credentials.
        Credentialless = "credentialless",
    }
    default Off
);

policy!(
    /// Whose pages may embed an answer.
    ResourcePolicy {
        /// Those of the same origin.
        SameOrigin = "same-origin",
        /// Those of the same site.
        SameSite = "same-site",
        /// All.
        CrossOrigin = "cross-origin",
    }
    default Off
);

impl Default for SecurityHeadersSettings {
    fn default() -> Self {
        Self {
            content_type_options: true,
            frame: FramePolicy::default(),
            referrer: ReferrerPolicy::default(),
            content_security_policy: None,
            report_only: false,
            permissions: None,
            cross_origin: CrossOriginSettings::default(),
            remove: ["Server", "X-Powered-By"].iter().filter_map(|name| name.parse().ok()).collect(),
            r#override: false,
        }
    }
}
