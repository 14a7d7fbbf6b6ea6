//! Entity tags of bodies that are coded in another way than their endpoint has sent them.
//!
//! Such a tag is weak, since the same content does not always become the same bytes, and says what was done:
//! `W/"a--gzip"` where the endpoint has `"a"`. A request that names it is told to the endpoint in its own words. `If-Range`
//! is left as it is: a weak tag never matches there, and a part of the endpoint's bytes is none of the client's.

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::filters::own;
use crate::hooks::{FilterCx, HookError, RequestView, ResponseView};
use crate::semantics::entity_tags;

/// Between the endpoint's tag and what was done.
const MARK: &[u8] = b"--";

/// What the client has said of the copies that it has, where one of them was made here.
#[derive(Clone, Debug)]
struct Known(HeaderMap);

/// The tag of a body that this was done to; `None` for one that is weak, and so the same whatever was done.
pub(in crate::filters) fn marked(etag: &HeaderValue, done: &str) -> Option<HeaderValue> {
    let opaque = etag.as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    HeaderValue::from_bytes(&[b"W/\"", opaque, MARK, done.as_bytes(), b"\""].concat()).ok()
}

/// The endpoint's tag in one that says that something of this was done.
fn unmarked(tag: &[u8], done: &[&str]) -> Option<Vec<u8>> {
    let opaque = tag.strip_prefix(b"W/\"")?.strip_suffix(b"\"")?;
    let without = |done: &&str| opaque.strip_suffix(done.as_bytes())?.strip_suffix(MARK);
    let opaque = done.iter().find_map(without)?;
    Some([b"\"", opaque, b"\""].concat())
}

/// Has a request name the endpoint's tags in the place of those that were made here.
pub(in crate::filters) fn ask_for_originals(
    filter: &impl Sized,
    request: &mut RequestView<'_>,
    done: &[&str],
    cx: &mut FilterCx<'_>,
) -> Result<(), HookError> {
    for name in [IF_NONE_MATCH, IF_MATCH] {
        let Some(list) = originals(request.headers(), &name, done) else { continue };
        if name == IF_NONE_MATCH {
            let fields = request.headers().get_all(&name).iter();
            own::keep(filter, Known(fields.map(|field| (name.clone(), field.clone())).collect()), cx);
        }
        request.set_header(name, list)?;
    }
    Ok(())
}

/// A list of tags with those of the endpoint; `None` where it has none that were made here.
fn originals(headers: &HeaderMap, name: &HeaderName, done: &[&str]) -> Option<HeaderValue> {
    if !headers.contains_key(name) {
        return None;
    }
    let mut is_changed = false;
    let original = |tag: &[u8]| {
        let original = unmarked(tag, done);
        is_changed |= original.is_some();
        original.unwrap_or_else(|| tag.to_vec())
    };
    let fields = headers.get_all(name).iter();
    let tags: Vec<_> = fields.flat_map(|field| entity_tags(field.as_bytes())).map(original).collect();
    is_changed.then(|| HeaderValue::from_bytes(&tags.join(&b", "[..])).ok()).flatten()
}

/// Has a 304 name the copy that the client has: the one that it would be sent now, or the endpoint's, or another.
pub(in crate::filters) fn confirm(
    filter: &impl Sized,
    response: &mut ResponseView<'_>,
    done_now: Option<&str>,
    done: &[&str],
    cx: &FilterCx<'_>,
) -> Result<(), HookError> {
    let Some(Known(known)) = own::kept(filter, cx) else { return Ok(()) };
    let Some(etag) = response.header(ETAG) else { return Ok(()) };
    let is_known = |tag: &HeaderValue| {
        let mut fields = known.get_all(IF_NONE_MATCH).iter();
        fields.any(|field| entity_tags(field.as_bytes()).any(|known| known == tag.as_bytes()))
    };
    let candidate = |done: &&str| marked(etag, done).filter(is_known);
    let found = match done_now.as_ref().and_then(candidate) {
        None if is_known(etag) => None,
        None => done.iter().find_map(candidate),
        wanted => wanted,
    };
    match found {
        Some(tag) => response.set_header(ETAG, tag),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: [&str; 2] = ["br", "gzip"];

    #[test]
    fn a_mark_comes_off_again_and_nothing_else_does() {
        let strong = HeaderValue::from_static("\"a, b\"");
        let made = marked(&strong, "gzip").unwrap();
        assert_eq!(made, "W/\"a, b--gzip\"");
        assert_eq!(unmarked(made.as_bytes(), &DONE).unwrap(), strong.as_bytes());
        for other in ["W/\"a\"", "\"a--gzip\"", "W/\"a--zstd\"", "W/\"a-gzip\"", "W/a--gzip", "*"] {
            assert_eq!(unmarked(other.as_bytes(), &DONE), None, "{other}");
            assert_eq!(marked(&HeaderValue::from_static("W/\"a\""), "gzip"), None);
        }
    }

    #[test]
    fn lists_keep_what_is_not_ours() {
        let of = |fields: &[&'static str]| {
            let fields = fields.iter().map(|field| (IF_NONE_MATCH, HeaderValue::from_static(field)));
            originals(&fields.collect(), &IF_NONE_MATCH, &DONE)
        };
        assert_eq!(of(&["W/\"x\", W/\"a,b--br\"", "\"c\""]).unwrap(), "W/\"x\", \"a,b\", \"c\"");
        assert_eq!(of(&["W/\"x\", \"c--br\""]), None);
        assert_eq!(of(&["*"]), None);
        assert_eq!(of(&[]), None);
    }
}
