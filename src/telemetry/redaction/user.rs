use super::mark::Mark;

/// Where authorities begin in a text that is read mark by mark, and where users end in them.
pub(super) struct Users {
    /// What stands before the slashes that were read last.
    before_slashes: Option<u8>,
    is_after_slash: bool,
    /// How far it was looked for users. Whatever else begins before can have none behind it, so that nothing is looked through
    /// twice, however often it is encoded.
    seen: usize,
}

impl Users {
    pub(super) fn new() -> Self {
        Self { before_slashes: None, is_after_slash: false, seen: 0 }
    }

    /// Takes the next mark, and tells where a user ends that begins at `at`, right behind it. In a query of its own the
    /// authority ends with its parameter.
    pub(super) fn end_behind(
        &mut self,
        mark: &Mark,
        text: &[u8],
        at: usize,
        is_in_query: bool,
    ) -> Option<usize> {
        let is_slash = mark.byte == b'/';
        // Two slashes in a path begin no authority.
        let may_begin = is_slash && self.is_after_slash && !self.before_slashes.is_some_and(is_of_path);
        self.is_after_slash = is_slash;
        if !is_slash {
            self.before_slashes = Some(mark.byte);
        }
        if !may_begin || at < self.seen {
            return None;
        }
        let (user, end) = end_of_user(text, at, mark.depth, is_in_query);
        self.seen = end;
        user
    }
}

/// What words are made of (RFC 3986 §2.3).
fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Where the user, and the password, of the authority that begins at `begin` end, if it has one, and where it was looked for.
/// The `@` may be encoded more often than the slashes: rather too much is hidden than that all would be looked through again for
/// each depth.
fn end_of_user(text: &[u8], begin: usize, depth: usize, is_in_query: bool) -> (Option<usize>, usize) {
    let (mut user, mut at) = (None, begin);
    let mut port = Port::Absent;
    while at < text.len() {
        let mark = Mark::at(text, at);
        let ends = mark.depth <= depth
            && match mark.byte {
                b'/' | b'"' | b'<' | b'>' => true,
                // A password that is not encoded may have these.
                b'?' | b'#' => matches!(port, Port::Absent | Port::Number),
                b'&' => is_in_query,
                byte => byte.is_ascii_whitespace(),
            };
        if ends {
            break;
        }
        if mark.byte == b'@' {
            user = Some(at);
        }
        port = port.with(mark.byte);
        at += mark.length;
    }
    (user.filter(|user| *user > begin), at)
}

/// What stands after the colon of an authority.
#[derive(Clone, Copy)]
enum Port {
    /// There is none, or it is that of an address in brackets.
    Absent,
    Empty,
    Number,
    /// It is none, but a password.
    Password,
}

impl Port {
    fn with(self, byte: u8) -> Self {
        match (self, byte) {
            (_, b']') => Self::Absent,
            (Self::Absent, b':') => Self::Empty,
            (Self::Absent, _) => Self::Absent,
            (Self::Empty | Self::Number, b'0'..=b'9') => Self::Number,
            (Self::Empty | Self::Number | Self::Password, _) => Self::Password,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Option<&str> {
        end_of_user(text.as_bytes(), 0, 0, false).0.map(|end| &text[..end])
    }

    #[test]
    fn a_user_ends_at_the_last_at_before_a_path_or_a_query() {
        for (text, expected) in [
            ("u:p@h/a@b", Some("u:p")),
            ("u@h", Some("u")),
            ("u:p@q@h", Some("u:p@q")),
            ("u:p?w@h.example/", Some("u:p?w")),
            ("u:p#w@h", Some("u:p#w")),
            ("u:?w@h", Some("u:?w")),
            ("u:8:w?w@h", Some("u:8:w?w")),
            ("h?a@b", None),
            ("h:80?a@b", None),
            ("[::1]?a@b", None),
            ("[::1]:80#a@b", None),
            ("u:p w@h", None),
            ("@scope/x", None),
            ("h", None),
        ] {
            assert_eq!(user(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_looked_through_twice() {
        let mut users = Users::new();
        let slashes = |depth: usize| Mark { byte: b'/', length: 1 + 2 * depth, depth };
        let begin = |users: &mut Users, depth: usize, at: usize| {
            users.end_behind(&Mark { byte: b':', length: 1, depth: 0 }, b"", at, false);
            users.end_behind(&slashes(depth), b"", at, false);
            users.end_behind(&slashes(depth), b"://a:%2F%2Fu@h/b", at, false)
        };
        assert_eq!(begin(&mut users, 0, 3), Some(12));
        assert_eq!(begin(&mut users, 1, 11), None, "it was looked for before");
        assert_eq!(begin(&mut users, 0, 15), None);
    }
}
