use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

use crate::config::KeyPath;
use crate::config::spec::{RedirectSpec, RespondSpec};

use super::Resolver;

/// What frames a message or belongs to the connection is for the edge alone to say (RFC 9110 §7.6.1, RFC 9112 §6);
/// `Host` has no meaning in an answer.
pub(super) const OWNED: [HeaderName; 9] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

impl Resolver<'_> {
    pub(super) fn check_redirect(&mut self, redirect: &RedirectSpec, at: &KeyPath) {
        let target = redirect.to.to_string();
        let path = at.child("to");
        if target.is_empty() {
            self.error(&path, "the target is empty")
                .help("write a URL or a path, like https://www.example.com{path}{query}");
        } else if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.error(&path, "a space, a control character or one outside of ASCII stands in the target")
                .help("write it percent-encoded");
        }
    }

    pub(super) fn check_respond(&mut self, respond: &RespondSpec, at: &KeyPath) {
        // RFC 9110 §15.3.5, §15.3.6 and §15.4.5.
        let has_no_content = matches!(respond.status.0.as_u16(), 204 | 205 | 304);
        if has_no_content && !respond.body.is_empty() {
            let message = format!("an answer with status {} has no body", respond.status);
            self.error(&at.child("body"), message).help("remove the body, or use status 200");
        }
        let headers = at.child("headers");
        let written = self.written_keys(&headers);
        for ((name, value), key) in respond.headers.iter().zip(written) {
            let path = headers.child(key.as_str());
            if OWNED.contains(&name.0) {
                self.error_at_key(&path, format_args!("`{key}` is for Evener alone to set"))
                    .help("remove it");
            }
            let text = value.to_string();
            if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                self.error(&path, "a control character stands in the value")
                    .help("a header's value is one line");
            } else if text.trim() != text {
                self.error(&path, "a space stands at the beginning or the end of the value")
                    .help("remove it");
            }
        }
    }
}
