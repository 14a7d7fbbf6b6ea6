mod target;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::RandomState;
use http::HeaderName;

use crate::config::spec::{ClientShown, ParameterName, RedactSpec};
use crate::types::escaped_byte;

/// What stands for a value that is not written.
pub(super) const HIDDEN: &[u8] = b"***";

/// Parameters of queries that are not written unless somebody says so: credentials by themselves, or by what they sign.
const PARAMETERS: [&str; 38] = [
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "assertion",
    "auth",
    "authorization",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "credentials",
    "id_token",
    "id_token_hint",
    "jwt",
    "otp",
    "passwd",
    "password",
    "private_token",
    "pwd",
    "refresh_token",
    "samlrequest",
    "samlresponse",
    "secret",
    "session",
    "session_id",
    "sessionid",
    "sig",
    "signature",
    "subject_token",
    "ticket",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-api-key",
    "x-goog-credential",
    "x-goog-signature",
];

/// Headers that are never written.
const HEADERS: [&str; 14] = [
    "authentication-info",
    "authorization",
    "cookie",
    "cookie2",
    "proxy-authentication-info",
    "proxy-authorization",
    "sec-websocket-protocol",
    "set-cookie",
    "set-cookie2",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
];

/// Headers in which proxies pass the client's address on.
const ADDRESSES: [&str; 8] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded-for",
    "x-real-ip",
];

/// Names of parameters, in lower case.
type Parameters = HashSet<Box<[u8]>, RandomState>;

/// What is told of requests as [`HIDDEN`], by lines, recordings and spans alike, and how much lines tell of clients' addresses.
#[derive(Debug)]
pub(crate) struct Redaction {
    parameters: Parameters,
    headers: BTreeSet<String>,
    client: ClientShown,
}

impl Redaction {
    pub(crate) fn new(spec: &RedactSpec, client: ClientShown) -> Self {
        let is_excepted = |name: &&str| !spec.except.iter().any(|except| except.as_str() == *name);
        let own = spec.query.iter().map(ParameterName::as_str);
        let parameters = PARAMETERS.into_iter().filter(is_excepted).chain(own);
        let own = spec.headers.iter().map(|name| name.0.as_str());
        let addresses = ADDRESSES.into_iter().filter(|_| client != ClientShown::Full);
        Self {
            parameters: parameters.map(|name| name.as_bytes().into()).collect(),
            headers: HEADERS.into_iter().chain(own).chain(addresses).map(str::to_owned).collect(),
            client,
        }
    }

    /// Whether the header's value is not written.
    pub(super) fn hides(&self, header: &HeaderName) -> bool {
        self.headers.contains(header.as_str())
    }

    /// What is written of a client's address.
    pub(super) fn client(&self, address: IpAddr) -> Option<IpAddr> {
        match self.client {
            ClientShown::Full => Some(address),
            ClientShown::Prefix => Some(network(address)),
            ClientShown::Off => None,
        }
    }

    /// The text without the values of parameters that are not written, wherever a query may be in it. It may be encoded
    /// itself, as in `?next=%2Flogin%3Ftoken%3D…`, so that what stands for `=` and `&` counts as these.
    pub(crate) fn text<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.has_plainly_nothing(text) {
            return Cow::Borrowed(text);
        }
        let mut written: Option<Vec<u8>> = None;
        let mut name = Name::default();
        let (mut at, mut kept) = (0, 0);
        while at < text.len() {
            let mark = Mark::at(text, at);
            at += mark.length;
            match mark.byte {
                b'?' | b'&' | b';' | b'#' => name = Name::default(),
                b'=' if name.ends(&self.parameters) => {
                    let written = written.get_or_insert_with(|| Vec::with_capacity(text.len()));
                    written.extend_from_slice(&text[kept..at]);
                    written.extend_from_slice(HIDDEN);
                    at = end_of_value(text, at, mark.depth);
                    kept = at;
                }
                byte => name.take(byte, &self.parameters),
            }
        }
        match written {
            Some(mut written) => {
                written.extend_from_slice(&text[kept..]);
                Cow::Owned(written)
            }
            None => Cow::Borrowed(text),
        }
    }

    /// The same for a path, which has parameters as well: `/a;token=…`.
    pub(crate) fn path<'t>(&self, path: &'t str) -> Cow<'t, str> {
        match self.text(path.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(path),
            // Whole values are hidden, and characters with them.
            Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
        }
    }

    /// Whether nothing is encoded, and no name that stands before a `=` is one to be looked at. It is so of most texts, and
    /// quickly seen.
    fn has_plainly_nothing(&self, text: &[u8]) -> bool {
        if memchr::memchr(b'%', text).is_some() {
            return false;
        }
        let mut begin = 0;
        for end in memchr::memchr_iter(b'=', text) {
            let between = &text[begin..end];
            let mark = between.iter().rposition(|byte| b"?&;#[]+ ".contains(byte));
            let name = mark.map_or(between, |mark| &between[mark + 1..]);
            // After another `=` there is no name without a mark before it.
            let may_be_name = mark.is_some() || begin == 0;
            let is_part = mark.is_some_and(|mark| b"[]+ ".contains(&between[mark]));
            if may_be_name && (is_part || self.names(name)) {
                return false;
            }
            begin = end + 1;
        }
        true
    }

    /// Whether it is the name of a parameter whose value is not written.
    fn names(&self, name: &[u8]) -> bool {
        let mut lower = [0; ParameterName::LONGEST];
        let Some(lower) = lower.get_mut(..name.len()) else { return false };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.parameters.contains(&*lower)
    }
}

/// The network of a client (24 bits of IPv4, 48 of IPv6), which is what is left of addresses where they are not to tell of
/// people.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

/// A byte of a text, however often it was encoded: `=`, `%3D`, `%253D`.
struct Mark {
    byte: u8,
    /// How many bytes stand for it.
    length: usize,
    /// How often it was encoded.
    depth: usize,
}

impl Mark {
    fn at(text: &[u8], at: usize) -> Self {
        let plain = Self { byte: text[at], length: 1, depth: 0 };
        if plain.byte != b'%' {
            return plain;
        }
        let encoded = text[at + 1..].chunks(2).take_while(|pair| *pair == b"25").count();
        let digits = at + 1 + 2 * encoded;
        let byte = text.get(digits..digits + 2).and_then(|pair| escaped_byte(pair[0], pair[1]));
        match byte {
            Some(byte) => Self { byte, length: digits + 2 - at, depth: encoded + 1 },
            None => plain,
        }
    }
}

/// Where the value that begins at `at` ends. What is encoded more often than its `=` was belongs to it.
fn end_of_value(text: &[u8], mut at: usize, depth: usize) -> usize {
    while at < text.len() {
        let mark = Mark::at(text, at);
        if matches!(mark.byte, b'&' | b'#') && mark.depth <= depth {
            break;
        }
        at += mark.length;
    }
    at
}

/// The name of a parameter, as it is read byte by byte. `user[password]` has two parts, each of which may be what is looked
/// for.
struct Name {
    part: [u8; ParameterName::LONGEST],
    length: usize,
    is_found: bool,
    /// Whether its value has begun.
    is_over: bool,
}

impl Default for Name {
    fn default() -> Self {
        Self { part: [0; ParameterName::LONGEST], length: 0, is_found: false, is_over: false }
    }
}

impl Name {
    fn take(&mut self, byte: u8, parameters: &Parameters) {
        match byte {
            _ if self.is_over => {}
            b'[' | b']' | b' ' | b'+' => self.end_part(parameters),
            byte => {
                if let Some(place) = self.part.get_mut(self.length) {
                    *place = byte.to_ascii_lowercase();
                }
                // One more than fits tells that it is too long.
                self.length = (self.length + 1).min(ParameterName::LONGEST + 1);
            }
        }
    }

    fn end_part(&mut self, parameters: &Parameters) {
        self.is_found |= self.part.get(..self.length).is_some_and(|part| parameters.contains(part));
        self.length = 0;
    }

    /// Whether its value, which begins here, is not written.
    fn ends(&mut self, parameters: &Parameters) -> bool {
        if self.is_over {
            return false;
        }
        self.end_part(parameters);
        self.is_over = true;
        self.is_found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<ParameterName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn redaction() -> Redaction {
        Redaction::new(&RedactSpec::default(), ClientShown::Full)
    }

    fn shown(text: &str) -> String {
        String::from_utf8(redaction().text(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn values_of_credentials_are_hidden_wherever_they_stand() {
        let cases = [
            ("/a?token=abc", "/a?token=***"),
            ("/a?x=1&token=abc&y=2", "/a?x=1&token=***&y=2"),
            ("/a?TOKEN=abc&Password=d", "/a?TOKEN=***&Password=***"),
            ("/a?%74oken=abc", "/a?%74oken=***"),
            ("/a?to%6Ben=abc#x", "/a?to%6Ben=***#x"),
            ("/a?token=a=b;c%26d?e", "/a?token=***"),
            ("/a;token=abc?x=1", "/a;token=***"),
            ("/a?user[password]=abc&x=1", "/a?user[password]=***&x=1"),
            ("/a?user%5Bpassword%5D=abc", "/a?user%5Bpassword%5D=***"),
            ("/a?password[]=a&password[0]=b", "/a?password[]=***&password[0]=***"),
            ("/a?+token=abc&%20sig=d", "/a?+token=***&%20sig=***"),
            ("https://a.example/#access_token=abc&state=1", "https://a.example/#access_token=***&state=1"),
            ("/a?next=/b?token=abc", "/a?next=/b?token=***"),
            (
                "/a?next=%2Fb%3Fx%3D1%26token%3Dabc%26y%3D2&z=3",
                "/a?next=%2Fb%3Fx%3D1%26token%3D***%26y%3D2&z=3",
            ),
            ("/a?next=%252Fb%253Ftoken%253Dabc%2526d&z", "/a?next=%252Fb%253Ftoken%253D***%2526d&z"),
            ("?X-Amz-Signature=abc&X-Amz-Date=1", "?X-Amz-Signature=***&X-Amz-Date=1"),
            ("token=abc", "token=***"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn everything_else_is_left_as_it_is() {
        let long = format!("/a?{}=1", "token".repeat(20));
        for text in [
            "",
            "/",
            "/token/abc",
            "/a?tokens=1&mytoken=2",
            "/a?q=token",
            "/a?x=100%&%zz=1",
            "/%",
            "/%2",
            &long,
        ] {
            assert!(matches!(redaction().text(text.as_bytes()), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn the_documentation_lists_them_all() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/logging.md");
        let text = std::fs::read_to_string(file).unwrap().to_ascii_lowercase();
        for name in PARAMETERS {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn names_can_be_added_and_taken_out() {
        let spec = RedactSpec {
            query: names(&["Pin"]),
            except: names(&["code"]),
            headers: vec!["X-Tenant".parse().unwrap()],
        };
        let redaction = Redaction::new(&spec, ClientShown::Full);
        assert_eq!(*redaction.text(b"/a?pin=1&code=2&token=3"), *b"/a?pin=***&code=2&token=***");
        let hides = |name: &'static str| redaction.hides(&HeaderName::from_static(name));
        assert!(hides("authorization") && hides("x-tenant") && !hides("referer"));
    }

    #[test]
    fn an_address_is_whole_or_a_network_or_nothing() {
        let of = |client, address: &str| {
            let redaction = Redaction::new(&RedactSpec::default(), client);
            (
                redaction.client(address.parse().unwrap()).map(|address| address.to_string()),
                redaction.hides(&HeaderName::from_static("x-forwarded-for")),
            )
        };
        assert_eq!(of(ClientShown::Full, "192.0.2.77"), (Some("192.0.2.77".to_owned()), false));
        assert_eq!(of(ClientShown::Prefix, "192.0.2.77"), (Some("192.0.2.0".to_owned()), true));
        assert_eq!(of(ClientShown::Prefix, "2001:db8:1:2::3"), (Some("2001:db8:1::".to_owned()), true));
        assert_eq!(of(ClientShown::Off, "192.0.2.77"), (None, true));
    }

    /// Whatever surrounds it, and however it is encoded.
    fn parameter() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["token", "ToKeN", "%74oken", "tok%65n", "a[token]", "secret"]);
        let plain = "[a-z0-9=/?+.]{0,6}";
        (plain, prop::sample::select(vec!["?", "&", ";", "#"]), name)
            .prop_map(|(before, mark, name)| format!("/{before}{mark}{name}=SECRET"))
    }

    proptest! {
        #[test]
        fn what_is_quickly_seen_is_so(text in "([a-z=?&;#+ ]|\\[|\\]|token|Sig){0,12}") {
            let redaction = redaction();
            if redaction.has_plainly_nothing(text.as_bytes()) {
                // Encoded in vain, it is looked at in full.
                let looked_at = format!("{text}&%20");
                prop_assert_eq!(&*redaction.text(looked_at.as_bytes()), looked_at.as_bytes());
            }
        }

        #[test]
        fn no_secret_is_left(parts in prop::collection::vec(parameter(), 1..4), rest in "[a-z0-9&=%]{0,8}") {
            let shown = shown(&format!("{}&{rest}", parts.join("&")));
            prop_assert!(!shown.contains("SECRET"), "{}", shown);
        }

        #[test]
        fn any_bytes_are_taken(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = redaction().text(&text);
        }
    }
}
