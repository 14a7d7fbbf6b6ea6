/// What stands for what is not shown.
const HIDDEN: &str = "…";

/// A URL, or a path with a query, as everybody may see it: without who signs in, and without the values of its query and its
/// fragment, which may be credentials whatever they are called. Placeholders (`{path}`) stay.
pub(crate) fn shown_url(url: &str) -> String {
    let (begin, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + 3));
    let mut shown = begin.to_owned();
    let rest = if begin.is_empty() { rest } else { without_user(rest, &mut shown) };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    shown.push_str(&rest[..end]);
    let mut begin = end;
    while begin < rest.len() {
        let mark = &rest[begin..=begin];
        let after = begin + 1;
        let end = rest[after..].find(['?', '#', '&', ';']).map_or(rest.len(), |end| after + end);
        shown.push_str(mark);
        push_pair(&rest[after..end], mark == "#", &mut shown);
        begin = end;
    }
    shown
}

/// What comes after the user and the password of what follows `://`. A password that is not encoded can have a slash, too.
fn without_user<'u>(rest: &'u str, shown: &mut String) -> &'u str {
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let before_query = authority.split(['?', '#']).next().unwrap_or_default();
    let begins_as_user = !before_query.ends_with(']')
        && before_query.rsplit_once(':').is_some_and(|(_, port)| !is_port(port) && !port.contains('{'));
    let at = match authority.rfind('@') {
        None if begins_as_user => rest.rfind('@'),
        found => found,
    };
    let Some(at) = at else { return rest };
    shown.push_str(HIDDEN);
    &rest[at..]
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
    use super::*;

    #[test]
    fn neither_users_nor_values_are_shown() {
        for (url, expected) in [
            ("https://a.example/x", "https://a.example/x"),
            ("https://a.example:8443", "https://a.example:8443"),
            ("https://user:secret@a.example/x", "https://…@a.example/x"),
            ("https://secret@a.example", "https://…@a.example"),
            ("redis://user:sec/ret@a.example/0", "redis://…@a.example/0"),
            ("https://user:sec?ret@a.example/0", "https://…@a.example/0"),
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
            ("/healthz", "/healthz"),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), expected);
        }
    }
}
