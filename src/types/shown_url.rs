/// What stands for what is not shown.
const HIDDEN: &str = "…";

/// A URL, or a path with a query, as everybody may see it: without who signs in, and without the values of its query and its
/// fragment, which may be credentials whatever they are called. Placeholders (`{path}`) stay.
pub(crate) fn shown_url(url: &str) -> String {
    let mut shown = String::new();
    let mut rest = url;
    // Of several URLs in one, each can have a user; in a query they are values.
    while let Some(at) = rest[..begin_of_query(rest)].find("://") {
        let (before, authority) = rest.split_at(at + 3);
        shown.push_str(before);
        rest = authority;
        let Some(at) = end_of_user(authority) else { continue };
        shown.push_str(HIDDEN);
        let (user, behind) = authority.split_at(at);
        // Who can tell whether the query has begun: a password may have such a mark in it, and a value an `@`.
        if begin_of_query(user) < at {
            return shown;
        }
        rest = behind;
    }
    let end = begin_of_query(rest);
    shown.push_str(&rest[..end]);
    push_pairs(&rest[end..], &mut shown);
    shown
}

/// Where the query or the fragment begins, or the text ends.
fn begin_of_query(text: &str) -> usize {
    text.find(['?', '#']).unwrap_or(text.len())
}

/// Where the user and the password of what follows `://` end. A password that is not encoded can have a slash, too.
fn end_of_user(rest: &str) -> Option<usize> {
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let before_query = &authority[..begin_of_query(authority)];
    let begins_as_user = !before_query.ends_with(']')
        && before_query.rsplit_once(':').is_some_and(|(_, port)| !is_port(port) && !port.contains('{'));
    match authority.rfind('@') {
        None if begins_as_user => rest.rfind('@'),
        found => found,
    }
}

/// The names of a query and a fragment, each after the mark that it begins with.
fn push_pairs(query: &str, shown: &mut String) {
    let mut begin = 0;
    while begin < query.len() {
        let mark = &query[begin..=begin];
        let after = begin + 1;
        let end = query[after..].find(['?', '#', '&', ';']).map_or(query.len(), |end| after + end);
        shown.push_str(mark);
        push_pair(&query[after..end], mark == "#", shown);
        begin = end;
    }
}

/// What stands alone may be a value as well as a name, but in a fragment it is a place of a page.
fn push_pair(pair: &str, is_fragment: bool, shown: &mut String) {
    match pair.split_once('=') {
        Some((name, value)) => {
            shown.push_str(name);
            shown.push('=');
            shown.push_str(if value.is_empty() || is_placeholder(value) { value } else { HIDDEN });
        }
        None if pair.is_empty() || is_fragment || is_placeholder(pair) => shown.push_str(pair),
        None => shown.push_str(HIDDEN),
    }
}

/// Whether it is one variable of a template, and nothing else.
fn is_placeholder(text: &str) -> bool {
    let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['{', '}']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neither_users_nor_values_are_shown() {
        for (url, expected) in [
            ("https://a.example/x", "https://a.example/x"),
            ("https://a.example:8443", "https://a.example:8443"),
            ("https://user:secret@a.example/x", "https://…@a.example/x"),
            ("https://secret@a.example", "https://…@a.example"),
            ("redis://user:sec/ret@a.example/0", "redis://…@a.example/0"),
            ("https://user:sec?ret@a.example/0", "https://…"),
            ("https://a.example?to=ops@b.example&key=secret", "https://…"),
            ("https://user:sec/ret@a.example/x?mail=a@b&key=secret", "https://…"),
            ("https://a.example#a@b&key=secret", "https://…"),
            ("postgres://u:p/w@h/db?a=@&password=secret", "postgres://…"),
            ("redis://u:secret@a,redis://u:secret@b/0", "redis://…@a,redis://…@b/0"),
            ("https://a.example/https://u:secret@b/", "https://a.example/https://…@b/"),
            ("https://a.example/@user", "https://a.example/@user"),
            ("https://a.example:80/@user", "https://a.example:80/@user"),
            ("https://[::1]/@user", "https://[::1]/@user"),
            ("https://a.example?token=secret", "https://a.example?token=…"),
            ("https://a.example/x?a=1&b=2;c=3#d=4", "https://a.example/x?a=…&b=…;c=…#d=…"),
            ("https://a.example/x?secret", "https://a.example/x?…"),
            ("https://a.example/?a=x?y=z", "https://a.example/?a=…?y=…"),
            ("https://a.example/#top", "https://a.example/#top"),
            ("https://{host}{path}?{query}", "https://{host}{path}?{query}"),
            ("https://a.example/?from={path}&key=1{path}", "https://a.example/?from={path}&key=…"),
            ("/healthz?key=secret", "/healthz?key=…"),
            ("/healthz?key=secret&next=https://a.example/x", "/healthz?key=…&next=…"),
            ("/healthz", "/healthz"),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), expected);
        }
    }

    /// Who signs in, with all that a password may have in it; no port begins as a password does.
    fn user() -> impl Strategy<Value = String> {
        let mark = prop::sample::select(vec!["", "/", "?", "#", "&", "=", ";", "%40"]);
        prop_oneof![
            Just(String::new()),
            (mark, "[a-z/?#&=;]{0,4}").prop_map(|(mark, rest)| format!("user:pw{mark}SECRET{rest}@")),
        ]
    }

    fn pairs() -> impl Strategy<Value = String> {
        let mark = prop::sample::select(vec!["?", "&", ";", "#"]);
        let pair = (mark, "[a-z@]{1,4}", "[a-z@:/=?]{0,4}");
        let pair = pair.prop_map(|(mark, name, value)| format!("{mark}{name}={value}SECRET"));
        prop::collection::vec(pair, 0..3).prop_map(|pairs| match pairs.concat() {
            // What has no mark is no query.
            pairs if pairs.starts_with(['&', ';']) => format!("?{pairs}"),
            pairs => pairs,
        })
    }

    proptest! {
        #[test]
        fn no_secret_is_left(
            begin in prop::sample::select(vec!["https://", "redis://h,redis://"]),
            user in user(),
            host in prop::sample::select(vec!["a.example", "a.example:80", "[::1]", ""]),
            path in prop::sample::select(vec!["", "/", "/x@y", "/https://b.example/"]),
            pairs in pairs(),
        ) {
            let url = format!("{begin}{user}{host}{path}{pairs}");
            let shown = shown_url(&url);
            prop_assert!(!shown.contains("SECRET"), "{}: {}", url, shown);
        }

        #[test]
        fn any_text_is_taken(text in ".{0,60}|[a:/?#@&=;]{0,20}") {
            let _ = shown_url(&text);
        }
    }
}
