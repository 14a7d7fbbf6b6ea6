use http::HeaderMap;
use http::header::CONTENT_LENGTH;

/// The length of a body, where its head tells one: digits and nothing else (RFC 9110 §8.6).
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_length_is_of_digits() {
        for (text, expected) in [("0", Some(0)), ("18446744073709551615", Some(u64::MAX)), ("007", Some(7))] {
            let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static(text))]);
            assert_eq!(content_length(&headers), expected, "{text}");
        }
        for text in ["", "+5", "-1", "5, 5", "5 ", "18446744073709551616", "0x5"] {
            let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static(text))]);
            assert_eq!(content_length(&headers), None, "{text}");
        }
        assert_eq!(content_length(&HeaderMap::new()), None);
    }
}
