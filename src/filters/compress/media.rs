use std::fmt;
use std::str::FromStr;

use crate::types::text_leaf;

/// Media types: one (`application/json`), all of a kind (`text/*`), or those of a kind with a suffix (`application/*+json`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPattern {
    /// In lower case.
    text: String,
    /// Where its `*` stands, if it has one.
    star: Option<usize>,
}

/// A text that is no pattern of media types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no media type; allowed: one like application/json, all of a kind like text/*, or those with a suffix like application/*+json"
)]
pub struct InvalidMediaPattern {
    found: String,
}

impl MediaPattern {
    /// Whether the `Content-Type` of an answer is one of these; parameters do not matter.
    pub fn matches(&self, content_type: &[u8]) -> bool {
        let media = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let text = self.text.as_bytes();
        let Some(star) = self.star else { return media.eq_ignore_ascii_case(text) };
        let (start, end) = (&text[..star], &text[star + 1..]);
        // Something has to stand in the place of the star.
        media.len() > start.len() + end.len()
            && media[..start.len()].eq_ignore_ascii_case(start)
            && media[media.len() - end.len()..].eq_ignore_ascii_case(end)
    }
}

impl FromStr for MediaPattern {
    type Err = InvalidMediaPattern;

    fn from_str(text: &str) -> Result<Self, InvalidMediaPattern> {
        let invalid = || InvalidMediaPattern { found: text.to_owned() };
        let (kind, subtype) = text.split_once('/').ok_or_else(invalid)?;
        let is_open = subtype == "*" || subtype.starts_with("*+");
        let name = if is_open { &subtype[1..] } else { subtype };
        let are_sound = is_token(kind) && (is_open && name.is_empty() || is_token(name));
        if !are_sound {
            return Err(invalid());
        }
        Ok(Self { text: text.to_ascii_lowercase(), star: is_open.then_some(kind.len() + 1) })
    }
}

/// Whether it may stand before or behind the slash (RFC 6838 §4.2).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

impl fmt::Display for MediaPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

text_leaf!(MediaPattern, "a media type", "text/*");

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, content_type: &str) -> bool {
        pattern.parse::<MediaPattern>().unwrap().matches(content_type.as_bytes())
    }

    #[test]
    fn a_type_a_kind_and_a_suffix() {
        assert!(matches("application/json", "Application/JSON; charset=utf-8"));
        assert!(!matches("application/json", "application/json5"));
        assert!(matches("text/*", "text/html;charset=x"));
        assert!(matches("Text/*", "text/event-stream"));
        assert!(!matches("text/*", "text/"));
        assert!(!matches("text/*", "textual/html"));
        assert!(matches("application/*+json", "application/ld+json"));
        assert!(!matches("application/*+json", "application/json"));
        assert!(!matches("application/*+json", "application/+json"));
    }

    #[test]
    fn what_is_no_pattern() {
        for text in
            ["", "text", "text/", "/html", "*/*", "*", "text/h*", "text/html; q=1", "text/*html", "a/b/c"]
        {
            assert!(text.parse::<MediaPattern>().is_err(), "{text}");
        }
    }
}
