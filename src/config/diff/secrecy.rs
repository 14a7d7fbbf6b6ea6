use crate::config::{KeyPath, Segment};

/// Last words of keys under which secrets stand.
const SECRET: [&str; 8] =
    ["apikey", "authorization", "credential", "passphrase", "passwd", "password", "secret", "token"];

/// Whether a value is to be kept to oneself. Which settings of filters are secret, only these know, and headers can be
/// too: so names decide, and rather one too many than one too few.
pub(in crate::config) fn is_secret(at: &KeyPath) -> bool {
    let segments = at.segments();
    let segments = within_tokens(segments).unwrap_or(segments);
    segments.iter().any(|segment| matches!(segment, Segment::Key(key) if names_a_secret(key)))
}

/// What comes after `admin.tokens`, a map by names with more in it than secrets. Differences of a section are told by what
/// comes after its name.
fn within_tokens(segments: &[Segment]) -> Option<&[Segment]> {
    let is = |segment: &Segment, name: &str| matches!(segment, Segment::Key(key) if key == name);
    match segments {
        [admin, tokens, rest @ ..] if is(admin, "admin") && is(tokens, "tokens") => Some(rest),
        [tokens, rest @ ..] if is(tokens, "tokens") => Some(rest),
        _ => None,
    }
}

fn names_a_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let words: Vec<_> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let Some((last, before)) = words.split_last() else { return false };
    let last = last.strip_suffix('s').unwrap_or(last);
    // A key alone is that of a hash, or a file; an API key is another thing.
    SECRET.contains(&last) || (last == "key" && !before.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets_from_what_is_about_them() {
        for key in [
            "secret",
            "client_secret",
            "api_keys",
            "X-Api-Key",
            "Authorization",
            "Proxy-Authorization",
            "tokens",
        ] {
            assert!(is_secret(&KeyPath::default().child("filters").child(key).child("x")), "{key}");
        }
        for tokens in [KeyPath::default().child("admin").child("tokens"), KeyPath::default().child("tokens")]
        {
            let token = tokens.child("deploy");
            assert!(is_secret(&token.child("token")) && !is_secret(&token.child("scope")));
        }
        for key in ["key", "secret_file", "token_url", "client_auth", "pass", ""] {
            assert!(!is_secret(&KeyPath::default().child(key)), "{key}");
        }
    }
}
