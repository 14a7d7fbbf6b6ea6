use std::fmt::Write;

use http::Uri;

use super::Redaction;

impl Redaction {
    /// A target for whoever may know of a request, but not what is secret in it: the path as lines have it, and of the query
    /// the names of its parameters alone. Both are cut off where they get long.
    pub(crate) fn target(&self, target: &Uri) -> String {
        let whole = target.path_and_query().map_or(target.path(), |target| target.as_str());
        let whole = self.path(whole);
        match whole.split_once('?') {
            Some((path, query)) => shortened(path, Some(query)),
            None => shortened(&whole, None),
        }
    }
}

fn shortened(path: &str, query: Option<&str>) -> String {
    let mut text = String::new();
    push_cut(path, LONGEST_PATH, &mut text);
    for (number, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        if number == MOST_PARAMETERS {
            text.push('…');
            break;
        }
        // What stands alone may be a value as well as a name.
        if let Some((name, _)) = parameter.split_once('=') {
            push_cut(name, LONGEST_NAME, &mut text);
            text.push('=');
        }
        text.push_str(HIDDEN);
    }
    text
}

/// What stands in the place of a value.
const HIDDEN: &str = "***";
const LONGEST_PATH: usize = 1024;
const LONGEST_NAME: usize = 64;
const MOST_PARAMETERS: usize = 16;

fn push_cut(part: &str, longest: usize, text: &mut String) {
    let end = part.char_indices().nth(longest).map_or(part.len(), |(end, _)| end);
    // In memory no write fails.
    let _ = write!(text, "{}{}", &part[..end], if end < part.len() { "…" } else { "" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::spec::{ClientShown, RedactSpec};

    fn target(target: &str) -> String {
        let spec = RedactSpec { query: vec!["pin".parse().unwrap()], ..RedactSpec::default() };
        Redaction::new(&spec, ClientShown::Full).target(&target.parse().unwrap())
    }

    #[test]
    fn what_lines_hide_is_hidden_in_paths_too() {
        for (asked, expected) in [
            ("/ok;token=secret/x", "/ok;token=***"),
            ("/ok;%74oken=secret?a=1", "/ok;%74oken=***"),
            ("/ok;pin=1234", "/ok;pin=***"),
            ("/a?x%26token%3Dsecret=1", "/a?***"),
            ("/a?x=1", "/a?x=***"),
            ("*", "*"),
        ] {
            assert_eq!(target(asked), expected, "{asked}");
        }
    }

    #[test]
    fn no_value_is_left_in_a_query() {
        for (query, expected) in [
            (None, "/a"),
            (Some(""), "/a?***"),
            (Some("id=1"), "/a?id=***"),
            (Some("token=abc=def&x=&lonely"), "/a?token=***&x=***&***"),
            (Some("=v"), "/a?=***"),
        ] {
            assert_eq!(shortened("/a", query), expected, "{query:?}");
        }
    }

    #[test]
    fn what_is_long_is_cut_off() {
        let target = shortened(&"ä".repeat(2000), Some(&vec!["a=1"; 20].join("&")));
        assert!(target.starts_with(&format!("{}…?a=***&", "ä".repeat(1024))), "{target}");
        assert_eq!((target.matches("a=***").count(), target.ends_with("&…")), (16, true));
    }
}
