use crate::config::{KeyPath, Segment};

/// Last words of keys under which secrets stand.
const SECRET: [&str; 8] =
    ["apikey", "authorization", "credential", "passphrase", "passwd", "password", "secret", "token"];

/// Whether a value is to be kept to oneself. Which settings of filters are secret, only these know, and headers can be
/// too: so names decide, and rather one too many than one too few.
pub(in crate::config) fn is_secret(at: &KeyPath) -> bool {
    let segments = without_tokens(at.segments());
    segments.iter().any(|segment| matches!(segment, Segment::Key(key) if names_a_secret(key)))
}

/// `admin.tokens`, or `tokens` as it is called within its section, is a map by names, each with more than the secret.
fn without_tokens(segments: &[Segment]) -> &[Segment] {
    let is = |at: usize, name: &str| matches!(segments.get(at), Some(Segment::Key(key)) if key == name);
    match segments {
        [_, rest @ ..] if is(0, "tokens") => rest,
        [_, _, rest @ ..] if is(0, "admin") && is(1, "tokens") => rest,
        all => all,
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
        let token = KeyPath::default().child("admin").child("tokens").child("deploy");
        assert!(is_secret(&token.child("token")) && !is_secret(&token.child("scope")));
        let token = KeyPath::default().child("tokens").child("deploy");
        assert!(is_secret(&token.child("token")) && !is_secret(&token.child("scope")));
        for key in ["key", "secret_file", "token_url", "client_auth", "pass", ""] {
            assert!(!is_secret(&KeyPath::default().child(key)), "{key}");
        }
    }
}
