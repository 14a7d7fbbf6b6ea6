//! The headers that no filter may change, and why.

use http::HeaderName;

/// Which way the headers travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::filters) enum Side {
    Request,
    Response,
}

const FRAMING: &str = "the framing of messages depends on it";
const OWNED: &str = "Evener sets it on its own, after the filters";

/// Those of RFC 9112 §6 and RFC 9110 §7.6.1, on both sides.
const FRAMING_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const REQUEST_HEADERS: [&str; 6] =
    ["via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id"];

/// Why the header may not be changed, and what to do instead; `None` when it may be.
pub(super) fn reason(side: Side, name: &HeaderName) -> Option<(&'static str, Option<&'static str>)> {
    match (side, name.as_str()) {
        (_, framing) if FRAMING_HEADERS.contains(&framing) => Some((FRAMING, None)),
        (_, proxy) if proxy.starts_with("proxy-") => {
            Some(("it is between the client and the edge alone", None))
        }
        (Side::Request, "host") => Some((
            "requests could reach another site than the one that their route was found for",
            Some("write `- rewrite: { host: NAME }` to forward another `Host`"),
        )),
        (Side::Request, owned) if REQUEST_HEADERS.contains(&owned) => {
            Some((OWNED, Some("`server.trusted_proxies` says whose values are kept")))
        }
        (Side::Response, "date") => Some(("it says when the response was made", None)),
        _ => None,
    }
}
