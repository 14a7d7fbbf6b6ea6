use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// How much something is wanted, in thousandths (RFC 9110 §12.4.2).
type Weight = u16;

const FULL: Weight = 1000;

/// The codings among `offered` that the client takes and would rather have than none, the best first; between two of
/// the same weight the order of `offered` decides. Nothing for a client that says nothing, which may know none.
pub(crate) fn codings_by_preference<'o>(
    headers: &HeaderMap,
    offered: &'o [&'o str],
) -> SmallVec<[&'o str; 4]> {
    let weight = |coding: &str| explicit_weight(headers, coding).or_else(|| explicit_weight(headers, "*"));
    let none = explicit_weight(headers, "identity").unwrap_or(0);
    let weights = offered.iter().map(|coding| (*coding, weight(coding).unwrap_or(0)));
    let mut wanted: SmallVec<[_; 4]> = weights.filter(|(_, weight)| *weight > 0 && *weight >= none).collect();
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    wanted.into_iter().map(|(coding, _)| coding).collect()
}

/// Whether the client says that it takes a coding, however much it wants it.
pub(crate) fn takes_coding(headers: &HeaderMap, coding: &str) -> bool {
    let weight = explicit_weight(headers, coding).or_else(|| explicit_weight(headers, "*"));
    weight.is_some_and(|weight| weight > 0)
}

/// What the client says of a coding by that name; `x-gzip` is another for gzip (RFC 9110 §8.4.1.3).
fn explicit_weight(headers: &HeaderMap, coding: &str) -> Option<Weight> {
    let is_it = |name: &[u8]| {
        name.eq_ignore_ascii_case(coding.as_bytes())
            || (coding == "gzip" && name.eq_ignore_ascii_case(b"x-gzip"))
    };
    items(headers, &ACCEPT_ENCODING).find(|(name, _)| is_it(name)).map(|(_, weight)| weight)
}

/// How much the client wants a media type like `text/html`: what it says of it, else of all of its kind, else of
/// everything. All of it where it says nothing, and zero where it does not take it.
pub(crate) fn media_weight(headers: &HeaderMap, media: &str) -> Weight {
    if !headers.contains_key(ACCEPT) {
        return FULL;
    }
    let kind = media.split('/').next().unwrap_or(media);
    let said_of = |matches: &dyn Fn(&[u8]) -> bool| {
        items(headers, &ACCEPT).find(|(range, _)| matches(range)).map(|(_, weight)| weight)
    };
    let is_kind = |range: &[u8]| {
        range.strip_suffix(b"/*").is_some_and(|found| found.eq_ignore_ascii_case(kind.as_bytes()))
    };
    said_of(&|range| range.eq_ignore_ascii_case(media.as_bytes()))
        .or_else(|| said_of(&is_kind))
        .or_else(|| said_of(&|range| range == b"*/*"))
        .unwrap_or(0)
}

/// The items of a list field with their weights. One whose weight cannot be read is not wanted.
fn items<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'h [u8], Weight)> {
    let fields = headers.get_all(name).into_iter();
    let items = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b','));
    items.map(|item| {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        (name, weight.map_or(FULL, read_weight))
    })
}

fn read_weight(text: &[u8]) -> Weight {
    let (whole, decimals) = match text {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return 0,
    };
    let mut weight = 0;
    for place in 0..3 {
        let digit = decimals.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return 0;
        }
        weight = weight * 10 + Weight::from(digit - b'0');
    }
    match whole {
        b'0' => weight,
        b'1' if weight == 0 => FULL,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn codings(values: &[&str]) -> Vec<&'static str> {
        codings_by_preference(&headers(&ACCEPT_ENCODING, values), &["br", "zstd", "gzip"]).into_vec()
    }

    #[test]
    fn the_best_coding_comes_first() {
        assert_eq!(codings(&["gzip, br"]), ["br", "gzip"]);
        assert_eq!(codings(&["gzip", "br;q=0.5"]), ["gzip", "br"]);
        assert_eq!(codings(&["GZIP ; q=0.8 , zstd;Q=0.9"]), ["zstd", "gzip"]);
        assert_eq!(codings(&["*"]), ["br", "zstd", "gzip"]);
        assert_eq!(codings(&["br;q=0, *;q=0.1"]), ["zstd", "gzip"]);
        assert_eq!(codings(&["x-gzip"]), ["gzip"]);
    }

    #[test]
    fn what_is_not_wanted_is_not_given() {
        let none: [&str; 0] = [];
        assert_eq!(codings(&[]), none);
        assert_eq!(codings(&[""]), none);
        assert_eq!(codings(&["identity"]), none);
        assert_eq!(codings(&["gzip;q=0"]), none);
        assert_eq!(codings(&["gzip;q=0.000, br;q=0.0"]), none);
        assert_eq!(codings(&["identity, gzip;q=0.5"]), none);
        assert_eq!(codings(&["identity;q=0.5, gzip;q=0.5"]), ["gzip"]);
        for broken in
            ["gzip;q=2", "gzip;q=1.001", "gzip;q=", "gzip;q=0.5555", "gzip;q=-1", "gzip;q=a", "gzipx"]
        {
            assert_eq!(codings(&[broken]), none, "{broken}");
        }
    }

    #[test]
    fn what_is_wanted_less_than_nothing_is_taken_all_the_same() {
        let takes = |value: &str| takes_coding(&headers(&ACCEPT_ENCODING, &[value]), "gzip");
        assert!(takes("identity, x-gzip;q=0.1"));
        assert!(takes("*"));
        assert!(!takes("gzip;q=0, *"));
        assert!(!takes("br"));
        assert!(!takes_coding(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn the_closest_range_says_how_much_a_media_type_is_wanted() {
        let weight = |values: &[&str]| media_weight(&headers(&ACCEPT, values), "text/html");
        assert_eq!(weight(&[]), 1000);
        assert_eq!(weight(&["*/*"]), 1000);
        assert_eq!(weight(&["text/html;charset=utf-8;q=0.7, */*;q=0.1"]), 700);
        assert_eq!(weight(&["*/*, text/*;q=0.25"]), 250);
        assert_eq!(weight(&["TEXT/HTML;q=0.001"]), 1);
        assert_eq!(weight(&["*/*, text/html;q=0"]), 0);
        assert_eq!(weight(&["application/json"]), 0);
        assert_eq!(weight(&["application/json", "text/html"]), 1000);
    }
}
