use std::borrow::Cow;

use crate::types::PlainName;

use super::mark::Mark;
use super::user::Users;
use super::{HIDDEN, Redaction};

impl Redaction {
    /// The text without the values of parameters that are not written, and without users and passwords of URLs, wherever a query
    /// or a URL may be in it. These may be encoded themselves, as in `?next=%2Flogin%3Ftoken%3D…`, so that what stands for `=` and
    /// `&` counts as these.
    pub(crate) fn text<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.has_plainly_nothing(text) {
            return Cow::Borrowed(text);
        }
        let mut written = Written { text, so_far: None, kept: 0 };
        let (mut name, mut users) = (Name::default(), Users::new());
        let (mut at, mut is_in_query) = (0, false);
        while at < text.len() {
            let mark = Mark::at(text, at);
            at += mark.length;
            is_in_query |= matches!(mark.byte, b'?' | b'=');
            match mark.byte {
                b'?' | b'&' | b';' | b'#' => name = Name::default(),
                // In a path, and in a header's list.
                b'/' | b',' | b'|' if !name.is_in_brackets => name = Name::default(),
                b'=' if name.ends(self) => {
                    let end = end_of_value(text, at, mark.depth);
                    written.hide(at, end);
                    at = end;
                }
                byte => name.take(byte, self),
            }
            // What is taken for a user may be a query, with values that end behind it.
            if let Some(end) = users.end_behind(&mark, text, at, is_in_query) {
                written.hide(at, end);
            }
        }
        written.finish()
    }

    /// The same for a path, which has parameters as well: `/a;token=…`.
    pub(crate) fn path<'t>(&self, path: &'t str) -> Cow<'t, str> {
        match self.text(path.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(path),
            // Whole values are hidden, and characters with them.
            Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
        }
    }

    /// Whether nothing is encoded, nobody may be named before a host, and no name that stands before a `=` is one to be looked
    /// at. It is so of most texts, and quickly seen.
    fn has_plainly_nothing(&self, text: &[u8]) -> bool {
        if memchr::memchr2(b'%', b'@', text).is_some() {
            return false;
        }
        let mut begin = 0;
        for end in memchr::memchr_iter(b'=', text) {
            let between = &text[begin..end];
            let mark = between.iter().rposition(|byte| b"?&;#[]+ /,|".contains(byte));
            let name = mark.map_or(between, |mark| &between[mark + 1..]);
            // After another `=` there is no name without a mark before it.
            let may_be_name = mark.is_some() || begin == 0;
            let is_part = mark.is_some_and(|mark| !b"?&;#".contains(&between[mark]));
            if may_be_name && (is_part || self.hides_parameter(&PlainName::of(name))) {
                return false;
            }
            begin = end + 1;
        }
        true
    }
}

/// A text, and what is written in its place.
struct Written<'t> {
    text: &'t [u8],
    so_far: Option<Vec<u8>>,
    /// How much of the text is in that.
    kept: usize,
}

impl<'t> Written<'t> {
    /// Hides a part, in one with that before where they overlap.
    fn hide(&mut self, begin: usize, end: usize) {
        if begin < self.kept {
            self.kept = self.kept.max(end);
            return;
        }
        let so_far = self.so_far.get_or_insert_with(|| Vec::with_capacity(self.text.len()));
        so_far.extend_from_slice(&self.text[self.kept..begin]);
        so_far.extend_from_slice(HIDDEN);
        self.kept = end;
    }

    fn finish(self) -> Cow<'t, [u8]> {
        match self.so_far {
            Some(mut so_far) => {
                so_far.extend_from_slice(&self.text[self.kept..]);
                Cow::Owned(so_far)
            }
            None => Cow::Borrowed(self.text),
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
    part: PlainName,
    is_found: bool,
    is_in_brackets: bool,
    /// Whether its value has begun.
    is_over: bool,
}

impl Default for Name {
    fn default() -> Self {
        Self { part: PlainName::EMPTY, is_found: false, is_in_brackets: false, is_over: false }
    }
}

impl Name {
    fn take(&mut self, byte: u8, redaction: &Redaction) {
        match byte {
            _ if self.is_over => {}
            b'[' | b']' => {
                self.is_in_brackets = byte == b'[';
                self.end_part(redaction);
            }
            b' ' | b'+' | b'/' | b',' | b'|' => self.end_part(redaction),
            byte => self.part.push(byte),
        }
    }

    fn end_part(&mut self, redaction: &Redaction) {
        self.is_found |= redaction.hides_parameter(&self.part);
        self.part.clear();
    }

    /// Whether its value, which begins here, is not written.
    fn ends(&mut self, redaction: &Redaction) -> bool {
        if self.is_over {
            return false;
        }
        self.end_part(redaction);
        (self.is_over, self.is_in_brackets) = (true, false);
        self.is_found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::config::spec::{ClientShown, RedactSpec};

    use super::*;

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
            ("/a?auth_token=abc&apiToken=d&reset-token=e", "/a?auth_token=***&apiToken=***&reset-token=***"),
            ("/a?clientSecret=abc&x-ms-signature=d", "/a?clientSecret=***&x-ms-signature=***"),
            ("https://a.example/#/code=abc", "https://a.example/#/code=***"),
            ("/cb/code=abc", "/cb/code=***"),
            ("/cb%2Fcode=abc", "/cb%2Fcode=***"),
            ("a=1, token=abc", "a=1, token=***"),
            ("a=1|sig=abc", "a=1|sig=***"),
            ("/a?password[a/b]=abc&password[a/b=abc", "/a?password[a/b]=***&password[a/b=***"),
            ("/a?new_password2=abc&access_token.x=d", "/a?new_password2=***&access_token.x=***"),
            ("/a?user%5Bnew_password%5D=abc", "/a?user%5Bnew_password%5D=***"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn everything_else_is_left_as_it_is() {
        let long = format!("/a?{}=1", "tokens".repeat(20));
        for text in [
            "",
            "/",
            "/token/abc",
            "/a?tokens=1&keys=2&passenger=3",
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
    fn users_and_passwords_of_urls_are_hidden() {
        for (text, expected) in [
            ("https://user:secret@a.example/b?c=d", "https://***@a.example/b?c=d"),
            ("https://user:sec@ret@a.example", "https://***@a.example"),
            ("https://user:sec%2Fret@a.example/", "https://***@a.example/"),
            ("https://user:sec&ret@a.example/", "https://***@a.example/"),
            ("//user:secret@a.example/", "//***@a.example/"),
            ("/a?next=https://user:secret@a.example/b&c=d@e", "/a?next=https://***@a.example/b&c=d@e"),
            ("/a?next=https://a.example&c=d@e", "/a?next=https://a.example&c=d@e"),
            (
                "/a?next=https%3A%2F%2Fuser%3Asecret%40a.example%2Fb&c=d",
                "/a?next=https%3A%2F%2F***%40a.example%2Fb&c=d",
            ),
            ("<https://user:secret@a.example/>; rel=next", "<https://***@a.example/>; rel=next"),
            ("https://user:secret@a.example/?token=abc", "https://***@a.example/?token=***"),
            ("https://u:p?w@h.example/", "https://***@h.example/"),
            ("https://u:p#w@h.example/?token=abc", "https://***@h.example/?token=***"),
            ("https://u:p?token=abc@def&x=1", "https://***&x=1"),
            ("/a?x=//b;token=abc@def", "/a?x=//***"),
            ("https://a.example:80?x=1@2", "https://a.example:80?x=1@2"),
            ("//a:%2F%2Fb:%252F%252Fuser:secret%40c", "//***%40c"),
            ("https://a.example/@user", "https://a.example/@user"),
            ("https://cdn.example//@scope/x", "https://cdn.example//@scope/x"),
            ("https://cdn.example//x@scope/y", "https://cdn.example//x@scope/y"),
            ("/a?next=//user:secret@a.example/", "/a?next=//***@a.example/"),
            ("https:////user:secret@a.example/", "https:////***@a.example/"),
            ("/mail/a@b.example", "/mail/a@b.example"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    /// Whatever surrounds it, and however it is encoded.
    fn parameter() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["token", "ToKeN", "%74oken", "tok%65n", "a[token]", "secret"]);
        let plain = "[a-z0-9=/?+.:@,|]{0,6}|https://u:p|x=//b";
        (plain, prop::sample::select(vec!["?", "&", ";", "#", "/", ",", "|"]), name)
            .prop_map(|(before, mark, name)| format!("/{before}{mark}{name}=a@SECRET"))
    }

    proptest! {
        #[test]
        fn what_is_quickly_seen_is_so(text in "([a-z=?&;#+ /,|]|\\[|\\]|token|Sig){0,12}") {
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
