use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::JwtAlgorithm;
use super::json::Object;
use super::refusal::Refusal;

/// A token in the compact form of RFC 7515 §7.1, of which nothing is believed yet.
#[derive(Debug)]
pub(super) struct Token<'t> {
    pub(super) algorithm: JwtAlgorithm,
    /// The `kid` of its header.
    pub(super) key_id: Option<String>,
    /// The `typ` of its header.
    pub(super) kind: Option<String>,
    /// What is signed: header and payload as they came.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
    payload: &'t [u8],
}

/// Longer ones fit into few servers' headers.
const LONGEST: usize = 16 << 10;

impl<'t> Token<'t> {
    /// Reads its parts and its header; of the header only what the edge understands, and where it has to be understood
    /// (`crit`), nothing: no extension is known. `jwk`, `jku`, `x5c` and `x5u` say where the sender would like keys to be taken
    /// from, which counts for nothing.
    pub(super) fn parse(text: &'t [u8]) -> Result<Self, Refusal> {
        if text.len() > LONGEST {
            return Err(Refusal::Malformed("it is longer than 16 KiB"));
        }
        let mut parts = text.split(|&byte| byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Malformed("it does not have three parts"));
        };
        let signed = &text[..header.len() + 1 + payload.len()];
        let header = decoded(header)?;
        let header =
            Object::parse(&header).map_err(|_| Refusal::Malformed("its header is no JSON object"))?;
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(Refusal::Malformed("its header asks for an extension"));
        }
        let algorithm = header.text("alg").and_then(JwtAlgorithm::named).ok_or(Refusal::Algorithm)?;
        let [key_id, kind] = ["kid", "typ"].map(|name| optional_text(&header, name));
        Ok(Self { algorithm, key_id: key_id?, kind: kind?, signed, signature: decoded(signature)?, payload })
    }

    /// The bytes of its claims; to be read when the signature has been verified.
    pub(super) fn payload(&self) -> Result<Vec<u8>, Refusal> {
        decoded(self.payload)
    }

    /// Whether it is of one of these types (RFC 8725 §3.11), which are in lower case and without `application/`.
    pub(super) fn is_one_of(&self, kinds: &[String]) -> bool {
        let Some(kind) = &self.kind else { return false };
        let kind = kind.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        kinds.iter().any(|allowed| allowed == kind)
    }
}

fn optional_text(header: &Object<'_>, name: &str) -> Result<Option<String>, Refusal> {
    match (header.text(name), header.get(name)) {
        (Some(text), _) => Ok(Some(text.to_owned())),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Refusal::Malformed("a member of its header is no text")),
    }
}

/// Only the one way to write these bytes: without padding, white space and stray bits.
fn decoded(part: &[u8]) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed("a part of it is no base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::jwt::Sha;

    fn token(header: &str) -> String {
        format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"), "AA")
    }

    #[test]
    fn has_three_parts_and_a_header_that_is_understood() {
        let text = token(r#"{"alg":"ES256","kid":"a","typ":"JWT","jku":"https://evil.example","x5c":["x"]}"#);
        let read = Token::parse(text.as_bytes()).unwrap();
        assert_eq!(read.algorithm, JwtAlgorithm::Ecdsa(Sha::Sha256));
        assert_eq!((read.key_id.as_deref(), read.kind.as_deref()), (Some("a"), Some("JWT")));
        assert_eq!(read.signed, text.strip_suffix(".AA").unwrap().as_bytes());
        assert_eq!((&*read.signature, &*read.payload().unwrap()), (&[0][..], &b"{}"[..]));
        assert!(read.is_one_of(&["at+jwt".into(), "jwt".into()]) && !read.is_one_of(&["at+jwt".into()]));
        let access = token(r#"{"alg":"ES256","typ":"Application/AT+JWT"}"#);
        assert!(Token::parse(access.as_bytes()).unwrap().is_one_of(&["at+jwt".into()]));
        assert!(!Token::parse(token(r#"{"alg":"ES256"}"#).as_bytes()).unwrap().is_one_of(&["jwt".into()]));
    }

    #[test]
    fn a_header_without_an_algorithm_that_there_is_is_refused() {
        for header in [
            r#"{}"#,
            r#"{"alg":null}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"nonE"}"#,
            r#"{"alg":""}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"ALG":"HS256"}"#,
        ] {
            assert_eq!(Token::parse(token(header).as_bytes()).unwrap_err(), Refusal::Algorithm, "{header}");
        }
    }

    #[test]
    fn what_is_written_in_another_way_is_refused() {
        let good = token(r#"{"alg":"HS256"}"#);
        assert!(Token::parse(good.as_bytes()).is_ok());
        let long = token(&format!(r#"{{"alg":"HS256","x":"{}"}}"#, "a".repeat(LONGEST)));
        for bad in [
            String::new(),
            "..".to_owned(),
            good.replacen('.', "", 1),
            format!("{good}."),
            format!("{good}.a.b"),
            format!("{good}=="),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}\n"),
            // The same bytes with stray bits, and letters of the other alphabet.
            good.replace(".AA", ".AB"),
            good.replace(".AA", ".A"),
            good.replace(".AA", ".+A"),
            good.replace(".AA", ".\u{e4}A"),
            token("not json"),
            token(r#"["HS256"]"#),
            token(r#"{"alg":"HS256","alg":"HS256"}"#),
            token(r#"{"alg":"HS256","kid":7}"#),
            token(r#"{"alg":"HS256","typ":null}"#),
            token(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#),
            token(r#"{"alg":"HS256","crit":[]}"#),
            token(r#"{"alg":"HS256","b64":false}"#),
            long,
        ] {
            let refusal = Token::parse(bad.as_bytes()).unwrap_err();
            assert!(matches!(refusal, Refusal::Malformed(_)), "{bad}: {refusal}");
        }
    }
}
