//! Which names stand for credentials, in requests and in configurations alike.

use memchr::memmem;

/// Whole names of parameters that are credentials by themselves, or by what they sign, [plain](PlainName), without a number, and in
/// their order.
pub(crate) const CREDENTIALS: [&str; 19] = [
    "auth",
    "authcode",
    "code",
    "codeverifier",
    "credentials",
    "csrf",
    "hmac",
    "idtokenhint",
    "jwt",
    "otp",
    "pass",
    "samlrequest",
    "samlresponse",
    "session",
    "sig",
    "ticket",
    "totp",
    "verificationcode",
    "xsrf",
];

/// How names of credentials end, plain as well, and without a number: of parameters, headers and cookies.
pub(crate) const ENDINGS: [&str; 20] = [
    "accesscode",
    "accesskey",
    "apikey",
    "assertion",
    "authorization",
    "credential",
    "mfacode",
    "otpcode",
    "passcode",
    "passphrase",
    "privatekey",
    "pwd",
    "secretkey",
    "sessid",
    "sessionid",
    "sessionkey",
    "signature",
    "subscriptionkey",
    "token",
    "tokenvalue",
];

/// What names of credentials have in them, wherever.
pub(crate) const ANYWHERE: [&str; 3] = ["passwd", "password", "secret"];

/// Whole names of headers that hold credentials, plain, without a number, and in their order.
pub(crate) const CREDENTIAL_HEADERS: [&str; 10] = [
    "authenticationinfo",
    "cookie",
    "dpop",
    "proxyauthenticationinfo",
    "secwebsocketprotocol",
    "setcookie",
    "xamznoidcdata",
    "xauth",
    "xauthkey",
    "xfunctionskey",
];

/// A name as it is compared: without case, `-` and `_`, so that `X-Auth-Token`, `auth_token` and `authToken` end alike.
/// Of what is too long, the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainName {
    bytes: [u8; Self::LONGEST],
    length: usize,
    is_cut: bool,
    /// Whether what was cut off has a word of [`ANYWHERE`] in it.
    has_word: bool,
}

impl PlainName {
    const LONGEST: usize = 64;

    pub(crate) const EMPTY: Self =
        Self { bytes: [0; Self::LONGEST], length: 0, is_cut: false, has_word: false };

    pub(crate) fn of(name: &[u8]) -> Self {
        let mut plain = Self::EMPTY;
        name.iter().for_each(|byte| plain.push(*byte));
        plain
    }

    /// Adds what comes next.
    pub(crate) fn push(&mut self, byte: u8) {
        if matches!(byte, b'-' | b'_') {
            return;
        }
        if self.length == Self::LONGEST {
            self.has_word = self.has_word();
            self.bytes.copy_within(Self::LONGEST / 2.., 0);
            self.length = Self::LONGEST / 2;
            self.is_cut = true;
        }
        self.bytes[self.length] = byte.to_ascii_lowercase();
        self.length += 1;
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        (self.length, self.is_cut, self.has_word) = (0, false, false);
    }

    /// All of it; `None` where it is too long.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        (!self.is_cut).then(|| self.end())
    }

    fn end(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whether it ends in this, which is plain.
    pub(crate) fn ends_with(&self, ending: &str) -> bool {
        self.end().ends_with(ending.as_bytes())
    }

    /// Whether it ends like those of credentials.
    pub(crate) fn ends_as_credential(&self) -> bool {
        ends_as_credential(self.end())
    }

    /// Whether a parameter, or a cookie, of this name is a credential. `token.x` is a part of one.
    pub(crate) fn is_credential(&self) -> bool {
        self.has_word()
            || self.end().split(|&byte| byte == b'.').any(ends_as_credential)
            || self.is_one_of(&CREDENTIALS)
    }

    /// Whether a header of this name holds one.
    pub(crate) fn is_credential_header(&self) -> bool {
        self.has_word() || self.ends_as_credential() || self.is_one_of(&CREDENTIAL_HEADERS)
    }

    fn has_word(&self) -> bool {
        self.has_word || ANYWHERE.iter().any(|word| memmem::find(self.end(), word.as_bytes()).is_some())
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        let is_among = |name: &[u8]| names.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok();
        self.whole().is_some_and(|name| is_among(without_number(name)))
    }
}

fn ends_as_credential(name: &[u8]) -> bool {
    let name = without_number(name);
    ENDINGS.iter().chain(&ANYWHERE).any(|ending| name.ends_with(ending.as_bytes()))
}

/// A name without the digits at its end: `password2` is one as well.
fn without_number(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_credential(name: &str) -> bool {
        PlainName::of(name.as_bytes()).is_credential()
    }

    #[test]
    fn lists_are_plain_and_in_their_order() {
        for list in [&CREDENTIALS[..], &ENDINGS[..], &ANYWHERE[..], &CREDENTIAL_HEADERS[..]] {
            assert!(list.is_sorted(), "{list:?}");
            assert!(list.iter().all(|name| PlainName::of(name.as_bytes()).whole() == Some(name.as_bytes())));
        }
    }

    #[test]
    fn parameters_are_credentials_however_they_are_spelt() {
        for name in [
            "token",
            "access_token",
            "access-token",
            "accessToken",
            "auth_token",
            "api_token",
            "csrf_token",
            "reset_token",
            "oauth_token",
            "private_key",
            "clientSecret",
            "client_secret",
            "session-id",
            "JSESSIONID",
            "PHPSESSID",
            "pass",
            "passwd",
            "user_password",
            "x-ms-signature",
            "X-Amz-Signature",
            "x-goog-credential",
            "api-key",
            "x_api_key",
            "code",
            "code_verifier",
            "id_token_hint",
            "SAMLResponse",
            "sig",
            "password_confirmation",
            "password1",
            "new_password2",
            "secret_answer",
            "token2",
            "tokenValue",
            "apikey1",
            "access_token.x",
            "otp1",
            "otp_code",
            "mfa_code",
            "access_code",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "",
            "q",
            "tokens",
            "passenger",
            "bypass",
            "codec",
            "key",
            "sign",
            "author",
            "x-amz-date",
            "42",
            "md5",
            "tokens.x",
        ] {
            assert!(!is_credential(name), "{name}");
        }
    }

    #[test]
    fn headers_are_known_by_their_names_and_ends() {
        let holds_one = |name: &str| PlainName::of(name.as_bytes()).is_credential_header();
        for name in [
            "authorization",
            "Proxy-Authorization",
            "cookie",
            "Set-Cookie",
            "Cookie2",
            "Set-Cookie2",
            "X-Password-Hint",
            "x-vault-token",
            "private-token",
            "x-goog-api-key",
            "api-key",
            "apikey",
            "cf-access-jwt-assertion",
            "x-amzn-oidc-accesstoken",
            "dpop",
        ] {
            assert!(holds_one(name), "{name}");
        }
        for name in ["access-control-allow-credentials", "session", "code", "host", "www-authenticate"] {
            assert!(!holds_one(name), "{name}");
        }
    }

    #[test]
    fn of_long_names_the_end_counts() {
        let long = "a".repeat(100);
        assert!(is_credential(&format!("{long}_token")) && !is_credential(&long));
        assert!(!is_credential(&format!("{long}code")), "it is no whole name");
        assert_eq!(PlainName::of(long.as_bytes()).whole(), None);
        for before in 0..100 {
            assert!(is_credential(&format!("{}password{long}", "a".repeat(before))), "{before}");
        }
    }
}
