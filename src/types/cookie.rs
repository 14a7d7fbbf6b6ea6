use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The value of the first cookie of that name (RFC 6265 §4.2) that is text, over all `Cookie` fields.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    cookies(headers, name).find_map(|value| std::str::from_utf8(value).ok())
}

/// The values of all cookies of that name, over all `Cookie` fields in their order.
///
/// Works on bytes, so that one cookie in some old encoding does not hide the others of its field.
pub(crate) fn cookies<'h, 'n>(
    headers: &'h HeaderMap,
    name: &'n str,
) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
    headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|field| field.as_bytes().split(|&byte| byte == b';'))
        .filter_map(|pair| value_of(pair, name.as_bytes()))
}

/// All `Cookie` fields as one, if there are several: browsers split them over HTTP/2, and servers of HTTP/1 read only the
/// first (RFC 9113 §8.2.3).
pub(crate) fn joined_cookies(headers: &HeaderMap) -> Option<HeaderValue> {
    // Nearly all requests have one at most.
    headers.get_all(COOKIE).iter().nth(1)?;
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::try_from(crumbs.join(&b"; "[..])).ok()
}

/// Whether there is a cookie of that name, whatever its value, even one without.
pub(crate) fn has_cookie(headers: &HeaderMap, name: &str) -> bool {
    let fields = headers.get_all(COOKIE).into_iter();
    let mut pairs = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b';'));
    pairs.any(|pair| split(pair).0 == name.as_bytes())
}

/// The value if the cookie has that name. Space before `=` counts for as little as many servers count it for.
fn value_of<'h>(pair: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let (found, value) = split(pair);
    value.filter(|_| found == name)
}

fn split(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    let pair = pair.trim_ascii();
    match pair.iter().position(|&byte| byte == b'=') {
        Some(end) => (pair[..end].trim_ascii_end(), Some(&pair[end + 1..])),
        None => (pair, None),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn fields(values: &[&'static [u8]]) -> HeaderMap {
        let field = |value: &&'static [u8]| (COOKIE, HeaderValue::from_bytes(value).unwrap());
        values.iter().map(field).collect()
    }

    #[test]
    fn is_found_by_its_whole_name_in_every_field() {
        let headers = fields(&[b"xa=0; ab=1;a=2", b"b=3 ;\ta=4"]);
        assert_eq!(cookie(&headers, "a"), Some("2"));
        assert_eq!(cookie(&headers, "b"), Some("3"));
        assert_eq!(cookies(&headers, "a").collect::<Vec<_>>(), [b"2", b"4"]);
        assert_eq!(cookie(&headers, "x"), None);
    }

    #[test]
    fn a_value_may_be_empty_and_may_hold_an_equals_sign() {
        let headers = fields(&[b"a=; b=x=y; c"]);
        assert_eq!(cookie(&headers, "a"), Some(""));
        assert_eq!(cookie(&headers, "b"), Some("x=y"));
        assert_eq!(cookie(&headers, "c"), None);
    }

    #[test]
    fn a_cookie_is_there_whatever_its_value() {
        let headers = fields(&[b"xa=0; a=\xff", b"b ; c =1;d"]);
        for (name, expected) in
            [("a", true), ("b", true), ("c", true), ("d", true), ("x", false), ("", false)]
        {
            assert_eq!(has_cookie(&headers, name), expected, "{name}");
        }
        assert_eq!(cookie(&headers, "c"), Some("1"));
    }

    #[test]
    fn a_cookie_that_is_no_text_does_not_hide_the_others() {
        let headers = fields(&[b"old=\xff; a=1; old=new"]);
        assert_eq!(cookie(&headers, "a"), Some("1"));
        assert_eq!(cookie(&headers, "old"), Some("new"));
    }
}
