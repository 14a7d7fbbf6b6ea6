//! The rules that hold for whatever a client shows as a token, for the fuzz targets.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::{Rules, as_text};
use super::json::Object;
use super::keys::KeySet;
use super::token::Token;

/// A token: it can be written in one way only, what is read of its claims is what any other reader of JSON reads, and nobody has
/// signed it.
pub(crate) fn token(data: &[u8]) {
    // The same bytes as what a server might publish.
    let _ = KeySet::parse(data);
    let Ok(token) = Token::parse(data) else { return };
    let [header, payload, signature] = data.split(|&byte| byte == b'.').collect::<Vec<_>>()[..] else {
        panic!("a token of more or less than three parts");
    };
    assert_eq!(token.signed, &data[..header.len() + 1 + payload.len()]);
    assert_eq!(URL_SAFE_NO_PAD.encode(&token.signature).as_bytes(), signature);
    assert!(KeySet::of_secret(&[7; 64], &[token.algorithm]).verify(&token).is_err());
    let Ok(claims) = token.payload() else { return };
    assert_eq!(URL_SAFE_NO_PAD.encode(&claims).as_bytes(), payload);
    judge(&claims);
}

fn judge(claims: &[u8]) {
    let Ok(object) = Object::parse(claims) else { return };
    let Ok(serde_json::Value::Object(others)) = serde_json::from_slice(claims) else {
        panic!("no object to another reader");
    };
    for (name, value) in &others {
        let Some(claim) = object.get(name) else { panic!("`{name}` is missing") };
        if let Some(text) = value.as_str() {
            assert_eq!(object.text(name), Some(text));
        }
        if let Some(told) = as_text(claim) {
            assert!(!told.is_empty() && told.trim() == told && !told.contains(char::is_control), "{told:?}");
        }
    }
    let audiences = vec!["api".to_owned()];
    let rules =
        Rules { issuers: Vec::new(), audiences, required: vec!["exp".to_owned()], leeway: Duration::ZERO };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    if rules.check(&object, now).is_ok() {
        assert!(others["exp"].as_f64().is_some_and(|expires| expires > 1_800_000_000.0));
        let names = |value: &serde_json::Value| value == "api";
        assert!(names(&others["aud"]) || others["aud"].as_array().is_some_and(|all| all.iter().any(names)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_shown_keeps_the_rules(
            header in prop_oneof![Just(r#"{"alg":"HS256"}"#.to_owned()), r#"\{"alg":"[HRE]S256"(,"[a-z]{3}":("a"|1|null)){0,2}\}"#],
            claims in r#"\{"exp":(1[0-9]{9}|-1|1e999|1e300|2.5e9|null|"1")(,"(aud|sub|\\u0061ud)":("api"|\["api"\]|\[\["api"\]\]|1|" a"|"a,b")){0,2}\}"#,
            signature in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let [header, claims] = [header, claims].map(|text| URL_SAFE_NO_PAD.encode(text));
            token(format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature)).as_bytes());
        }

        #[test]
        fn any_bytes_keep_the_rules(data in prop::collection::vec(any::<u8>(), 0..200)) {
            token(&data);
            judge(&data);
        }
    }
}
