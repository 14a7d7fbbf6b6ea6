use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

use super::{RequestHost, shown_url, text_leaf};

/// The URL of something that a server has: `https:` or `http:`, a host, and what is asked for there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl(Uri);

/// A text that is no URL of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no URL of a server; write it as https://server.example/path")]
pub struct InvalidHttpUrl {
    found: String,
}

impl HttpUrl {
    /// The URL as everybody may see it: its query may have a key.
    pub(crate) fn shown(&self) -> String {
        shown_url(&self.0.to_string())
    }

    /// The URL itself, as requests have it.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// Whether its server is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.0.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl FromStr for HttpUrl {
    type Err = InvalidHttpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidHttpUrl> {
        let invalid = || InvalidHttpUrl { found: shown_url(text) };
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let is_http = uri.scheme().is_some_and(|scheme| [Scheme::HTTPS, Scheme::HTTP].contains(scheme));
        let authority = uri.authority().ok_or_else(invalid)?.as_str();
        // A name with `_` would be looked for in certificates as one with `-`.
        let is_host = RequestHost::parse(authority.as_bytes()).is_some() && !authority.contains(['_', '%']);
        if !is_http || !is_host || text.contains('#') {
            return Err(invalid());
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_leaf!(HttpUrl, "a URL", "https://server.example/path");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_server_and_no_more_than_is_sent_to_it() {
        for (text, is_tls, is_loopback) in [
            ("https://idp.example.com/keys?a=b", true, false),
            ("https://idp.example.com:8443", true, false),
            ("HTTPS://192.0.2.1/", true, false),
            ("http://localhost:8080/keys", false, true),
            ("http://LOCALHOST/", false, true),
            ("http://127.0.0.2/", false, true),
            ("http://[::1]:80/", false, true),
            ("http://localhost.example/", false, false),
            ("http://127.0.0.1.example/", false, false),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!((url.is_tls(), url.is_loopback()), (is_tls, is_loopback), "{text}");
        }
        for text in [
            "",
            "/keys",
            "idp.example.com/keys",
            "ftp://idp.example.com/",
            "https://",
            "https:///keys",
            "https://user@idp.example.com/",
            "https://user:secret@idp.example.com/",
            "https://idp.example.com/#keys",
            "https://idp..example.com/",
            "https://idp_a.example.com/",
            "https://idp.example.com:99999/",
            "https://idp.example.com/a b",
        ] {
            assert!(text.parse::<HttpUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_secret_in_a_url_is_not_told() {
        for text in ["https://user:SECRET@idp.example.com/", "https://idp.example.com/a b?key=SECRET"] {
            let error = text.parse::<HttpUrl>().unwrap_err().to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
        let url: HttpUrl = "https://idp.example.com/keys?key=SECRET".parse().unwrap();
        assert_eq!(url.shown(), "https://idp.example.com/keys?key=…");
    }
}
