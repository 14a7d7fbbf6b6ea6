use std::fmt::Write;

/// A target for whoever may know of a request, but not what is secret in it: the path as it is, and of the query the names of
/// its parameters alone. Both are cut off where they get long.
pub(crate) fn redacted_target(path: &str, query: Option<&str>) -> String {
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

    #[test]
    fn no_value_is_left_in_a_query() {
        for (query, expected) in [
            (None, "/a"),
            (Some(""), "/a?***"),
            (Some("id=1"), "/a?id=***"),
            (Some("token=abc=def&x=&lonely"), "/a?token=***&x=***&***"),
            (Some("=v"), "/a?=***"),
        ] {
            assert_eq!(redacted_target("/a", query), expected, "{query:?}");
        }
    }

    #[test]
    fn what_is_long_is_cut_off() {
        let target = redacted_target(&"ä".repeat(2000), Some(&vec!["a=1"; 20].join("&")));
        assert!(target.starts_with(&format!("{}…?a=***&", "ä".repeat(1024))), "{target}");
        assert_eq!((target.matches("a=***").count(), target.ends_with("&…")), (16, true));
    }
}
