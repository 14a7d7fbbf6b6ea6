use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Control;

/// Fields of one connection, or of proxies among themselves (RFC 9111 §3.1).
fn is_unstorable(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TE
        || *name == TRAILER
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || name.as_str() == "keep-alive"
        || name.as_str().starts_with("proxy-")
}

/// Fields that describe the stored body, which word that nothing has changed does not change (RFC 9111 §3.2). With a new
/// `Vary` the answer could be found by requests that it is not for.
fn describes_body(name: &HeaderName) -> bool {
    *name == CONTENT_ENCODING
        || *name == CONTENT_LENGTH
        || *name == CONTENT_RANGE
        || *name == ETAG
        || *name == VARY
        || matches!(name.as_str(), "content-md5" | "content-digest" | "repr-digest")
}

/// The names of fields that are not stored: of the connection, and those that `no-cache` names.
pub(crate) fn strip_unstorable(headers: &HeaderMap, control: &Control) -> Vec<HeaderName> {
    let is_doomed = |name: &&HeaderName| is_unstorable(name) || control.no_cache_fields.contains(name);
    headers.keys().filter(is_doomed).cloned().collect()
}

/// The fields of a 304 that take the place of those that are stored, name by name.
pub(crate) fn merge(not_modified: &HeaderMap) -> impl Iterator<Item = (&HeaderName, Vec<&HeaderValue>)> {
    let names = not_modified.keys().filter(|name| !is_unstorable(name) && !describes_body(name));
    names.map(|name| (name, not_modified.get_all(name).iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_304_changes_all_but_what_describes_the_body() {
        let mut head = HeaderMap::new();
        for name in [
            "x-a",
            "x-a",
            "cache-control",
            "set-cookie",
            "connection",
            "keep-alive",
            "content-length",
            "etag",
            "proxy-authenticate",
            "content-encoding",
            "content-md5",
            "content-type",
            "vary",
        ] {
            head.append(name, HeaderValue::from_static("1"));
        }
        let mut merged: Vec<_> = merge(&head).map(|(name, values)| (name.as_str(), values.len())).collect();
        merged.sort_unstable();
        assert_eq!(merged, [("cache-control", 1), ("content-type", 1), ("set-cookie", 1), ("x-a", 2)]);
    }

    #[test]
    fn fields_of_the_connection_are_not_stored() {
        let mut head = HeaderMap::new();
        for name in ["transfer-encoding", "trailer", "proxy-authorization", "a", "b", "date"] {
            head.append(name, HeaderValue::from_static("1"));
        }
        let control = Control { no_cache_fields: vec![HeaderName::from_static("a")], ..Control::default() };
        let mut stripped = strip_unstorable(&head, &control);
        stripped.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        assert_eq!(stripped, ["a", "proxy-authorization", "trailer", "transfer-encoding"]);
    }
}
