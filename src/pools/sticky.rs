use std::collections::HashMap;
use std::fmt::Write;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderValue};

use crate::config;
use crate::config::spec::SameSite;
use crate::hooks::Scheme;
use crate::types::{EndpointAddr, PoolName, cookies};

/// The cookies that bring clients back to their endpoints: made once, then looked up.
///
/// A cookie's value is an HMAC-SHA256 of the pool and the endpoint's address, cut to 128 bits. So it tells nothing, it
/// cannot be made up without the secret, and it means the same after a reload, a restart and on other instances with
/// the same secret. A value that no endpoint has, because it was tampered with or its endpoint is gone, is no cookie.
#[derive(Debug)]
pub(crate) struct Sticky {
    name: String,
    /// By the value of the cookie.
    endpoints: HashMap<Token, usize>,
    /// By the endpoint's index.
    cookies: Vec<SetCookie>,
}

/// 128 bits as hexadecimal digits.
type Token = [u8; 32];

#[derive(Debug)]
struct SetCookie {
    plain: HeaderValue,
    secure: HeaderValue,
}

impl Sticky {
    /// The cookies for a pool's endpoints, signed with its own secret, else with `secret`.
    pub(super) fn new(sticky: &config::Sticky, secret: &[u8], pool: &config::Pool) -> Self {
        let secret = sticky.secret.as_ref().map_or(secret, |own| &own.0);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tokens = pool.endpoints.iter().map(|endpoint| token(&key, &pool.name, &endpoint.address));
        let tokens: Vec<Token> = tokens.collect();
        Self {
            name: sticky.cookie.to_string(),
            cookies: tokens.iter().map(|token| SetCookie::new(sticky, token)).collect(),
            endpoints: tokens.into_iter().zip(0..).collect(),
        }
    }

    /// The index of the endpoint that a client of these headers belongs to.
    pub(crate) fn find(&self, headers: &HeaderMap) -> Option<usize> {
        let mut values = cookies(headers, &self.name);
        values.find_map(|value| self.endpoints.get(<&Token>::try_from(value).ok()?).copied())
    }

    /// The `Set-Cookie` that binds a client to an endpoint.
    pub(crate) fn set_cookie(&self, endpoint: usize, scheme: Scheme) -> &HeaderValue {
        let SetCookie { plain, secure } = &self.cookies[endpoint];
        match scheme {
            Scheme::Http => plain,
            Scheme::Https => secure,
        }
    }
}

fn token(key: &hmac::Key, pool: &PoolName, address: &EndpointAddr) -> Token {
    // A name of a pool holds no space, so that no two pairs are the same text.
    let tag = hmac::sign(key, format!("{pool} {address}").as_bytes());
    let mut token = [0; 32];
    for (digits, byte) in token.chunks_exact_mut(2).zip(tag.as_ref()) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    token
}

impl SetCookie {
    fn new(sticky: &config::Sticky, token: &Token) -> Self {
        let mut text = format!("{}={}; Path={}", sticky.cookie, String::from_utf8_lossy(token), sticky.path);
        // Writing into a String cannot fail.
        if let Some(ttl) = sticky.ttl {
            let _ = write!(text, "; Max-Age={}", ttl.get().as_secs());
        }
        if let Some(domain) = &sticky.domain {
            let _ = write!(text, "; Domain={domain}");
        }
        let _ = write!(text, "; HttpOnly; SameSite={}", sticky.same_site.as_str());
        let needs_secure = sticky.same_site == SameSite::None;
        let secure = format!("{text}; Secure");
        let plain = if needs_secure { &secure } else { &text };
        Self { plain: header_value(plain), secure: header_value(&secure) }
    }
}

fn header_value(text: &str) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "every part was checked to be visible ASCII when it was read")]
    HeaderValue::from_str(text).expect("a checked cookie")
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;
    use crate::pools::testing::{pool_config, sticky_config};

    fn sticky(secret: &[u8]) -> Sticky {
        Sticky::new(&sticky_config("srv"), secret, &pool_config(&["10.0.0.1:80", "10.0.0.2:80"]))
    }

    fn value_of(sticky: &Sticky, endpoint: usize) -> String {
        let text = sticky.set_cookie(endpoint, Scheme::Http).to_str().unwrap();
        text.split([';', '=']).nth(1).unwrap().to_owned()
    }

    fn find(sticky: &Sticky, cookie: &str) -> Option<usize> {
        let headers = [(COOKIE, HeaderValue::from_str(cookie).unwrap())].into_iter().collect();
        sticky.find(&headers)
    }

    #[test]
    fn a_cookie_leads_back_in_every_process_with_the_secret() {
        let (one, other) = (sticky(b"secret"), sticky(b"secret"));
        for endpoint in [0, 1] {
            let value = value_of(&one, endpoint);
            assert_eq!(find(&other, &format!("a=b; srv={value}")), Some(endpoint));
            assert!(!value.contains("10.0"));
        }
        assert_eq!(find(&sticky(b"another"), &format!("srv={}", value_of(&one, 0))), None);
    }

    #[test]
    fn what_was_tampered_with_is_no_cookie() {
        let sticky = sticky(b"secret");
        let value = value_of(&sticky, 0);
        let other_digit = if value.starts_with('0') { "1" } else { "0" };
        for value in ["", "x", &value[1..], &format!("{value}0"), &format!("{other_digit}{}", &value[1..])] {
            assert_eq!(find(&sticky, &format!("srv={value}")), None, "{value}");
        }
    }

    #[test]
    fn a_cookie_is_secure_over_tls_and_never_for_scripts() {
        let sticky = sticky(b"secret");
        let text = |scheme| sticky.set_cookie(0, scheme).to_str().unwrap();
        assert!(text(Scheme::Http).ends_with("; Path=/; HttpOnly; SameSite=Lax"));
        assert!(text(Scheme::Https).ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
    }
}
