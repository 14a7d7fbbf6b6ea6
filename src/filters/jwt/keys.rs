use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::algorithm::{EDDSA, JwtAlgorithm, Sha};
use super::json::{Json, Object};
use super::refusal::Refusal;
use super::token::Token;

/// The keys that tokens may be signed with.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

/// One key, ready for each algorithm that it may be used with.
struct Key {
    id: Option<String>,
    verifiers: Vec<(JwtAlgorithm, Verifier)>,
}

enum Verifier {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// Larger sets are surely something else.
pub(super) const MOST_BYTES: usize = 256 << 10;
const MOST_KEYS: usize = 100;
/// How many keys are tried for a token that does not say which it is: what a sender can have the edge do for nothing.
const MOST_TRIED: usize = 4;

impl KeySet {
    /// The set of one secret, for the algorithms of HMAC.
    pub(super) fn of_secret(secret: &[u8], algorithms: &[JwtAlgorithm]) -> Self {
        let verifier = |algorithm: &JwtAlgorithm| {
            Some((*algorithm, Verifier::Secret(Box::new(hmac::Key::new(algorithm.hmac()?, secret)))))
        };
        Self(vec![Key { id: None, verifiers: algorithms.iter().filter_map(verifier).collect() }])
    }

    /// Reads a JWK set (RFC 7517 §5). Keys that cannot be used are left out, as it wants: of other kinds or sizes, for
    /// encryption, and secrets, since what is published is none.
    ///
    /// # Errors
    /// When it is no set, or holds no key that can be used.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > MOST_BYTES {
            return Err("it is larger than 256KiB".to_owned());
        }
        let set = Object::parse(text).map_err(|error| format!("it is no JWK set: {error}"))?;
        let Some(Json::List(list)) = set.get("keys") else {
            return Err("it is no JWK set: it has no list `keys`".to_owned());
        };
        if list.len() > MOST_KEYS {
            return Err(format!("it has {} keys; 100 are allowed", list.len()));
        }
        let keys: Vec<_> = list.iter().filter_map(key).collect();
        if keys.is_empty() {
            return Err("no key of it can be used: signing keys of the types RSA (2048 to 8192 bits), EC (P-256, P-384, \
                        P-521) and OKP (Ed25519) can be"
                .to_owned());
        }
        Ok(Self(keys))
    }

    /// # Errors
    /// When no key is for one of these algorithms.
    pub(super) fn check_for(&self, algorithms: &[JwtAlgorithm]) -> Result<(), String> {
        let mut known = self.0.iter().flat_map(|key| &key.verifiers);
        match known.any(|(algorithm, _)| algorithms.contains(algorithm)) {
            true => Ok(()),
            false => Err("no key of it is for one of the `algorithms`".to_owned()),
        }
    }

    /// Whether the token was signed with one of the keys. Its algorithm is to be an allowed one.
    ///
    /// # Errors
    /// [`Refusal::Signature`] when the key that it names has not signed it, [`Refusal::UnknownKey`] when it might have been one
    /// that is not known here.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), Refusal> {
        let is_named = |key: &Key| token.key_id.is_some() && key.id == token.key_id;
        let fits = |key: &&Key| key.id.is_none() || token.key_id.is_none() || is_named(key);
        let keys = self.0.iter().filter(fits);
        let all = keys.flat_map(|key| key.verifiers.iter().map(move |verifier| (is_named(key), verifier)));
        let mut result = Err(Refusal::UnknownKey);
        for (is_named, (_, verifier)) in
            all.filter(|(_, (algorithm, _))| *algorithm == token.algorithm).take(MOST_TRIED)
        {
            if verifier.is_signed(token) {
                return Ok(());
            }
            if is_named {
                result = Err(Refusal::Signature);
            }
        }
        result
    }
}

impl Verifier {
    fn is_signed(&self, token: &Token<'_>) -> bool {
        match self {
            Self::Secret(secret) => hmac::verify(secret, token.signed, &token.signature).is_ok(),
            Self::Public(key) => key.verify_sig(token.signed, &token.signature).is_ok(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.verifiers.iter().map(|(algorithm, _)| algorithm).collect();
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &algorithms).finish()
    }
}

/// The key that a JWK is, if it can be used.
fn key(jwk: &Json<'_>) -> Option<Key> {
    let Json::Object(jwk) = jwk else { return None };
    if !is_for_verifying(jwk) {
        return None;
    }
    let mut verifiers = match jwk.text("kty")? {
        "RSA" => rsa(jwk)?,
        "EC" => elliptic(jwk)?,
        "OKP" => edwards(jwk)?,
        _ => return None,
    };
    if let Some(only) = jwk.get("alg") {
        let Json::Text(only) = only else { return None };
        verifiers.retain(|(algorithm, _)| Some(*algorithm) == JwtAlgorithm::named(only));
    }
    let id = match jwk.get("kid") {
        None => None,
        Some(Json::Text(id)) => Some(id.clone().into_owned()),
        Some(_) => return None,
    };
    (!verifiers.is_empty()).then_some(Key { id, verifiers })
}

/// RFC 7517 §4.2 and §4.3.
fn is_for_verifying(jwk: &Object<'_>) -> bool {
    let is_use = jwk.get("use").is_none() || jwk.text("use") == Some("sig");
    let is_operation = match jwk.get("key_ops") {
        None => true,
        Some(Json::List(operations)) => {
            operations.iter().any(|operation| matches!(operation, Json::Text(name) if name == "verify"))
        }
        Some(_) => false,
    };
    is_use && is_operation
}

fn rsa(jwk: &Object<'_>) -> Option<Vec<(JwtAlgorithm, Verifier)>> {
    let components = RsaPublicKeyComponents { n: bytes(jwk, "n")?, e: bytes(jwk, "e")? };
    // Others would not verify anything; a key that cannot be used is better left out.
    let bits = components.n.len() * 8 - components.n.first()?.leading_zeros() as usize;
    if !(2048..=8192).contains(&bits) {
        return None;
    }
    let parsed = JwtAlgorithm::of_rsa().map(|(algorithm, parameters)| {
        let key = components.to_parsed_public_key(parameters).ok()?;
        Some((algorithm, Verifier::Public(key)))
    });
    parsed.collect()
}

fn elliptic(jwk: &Object<'_>) -> Option<Vec<(JwtAlgorithm, Verifier)>> {
    let sha = match jwk.text("crv")? {
        "P-256" => Sha::Sha256,
        "P-384" => Sha::Sha384,
        "P-521" => Sha::Sha512,
        _ => return None,
    };
    let (algorithm, length) = sha.ecdsa();
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return None;
    }
    // Uncompressed, SEC 1 §2.3.3.
    let point = [&[4][..], &x, &y].concat();
    let key = ParsedPublicKey::new(algorithm, point).ok()?;
    Some(vec![(JwtAlgorithm::Ecdsa(sha), Verifier::Public(key))])
}

fn edwards(jwk: &Object<'_>) -> Option<Vec<(JwtAlgorithm, Verifier)>> {
    if jwk.text("crv")? != "Ed25519" {
        return None;
    }
    let x = bytes(jwk, "x").filter(|x| x.len() == 32)?;
    let key = ParsedPublicKey::new(EDDSA, x).ok()?;
    Some(vec![(JwtAlgorithm::EdDsa, Verifier::Public(key))])
}

fn bytes(jwk: &Object<'_>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.text(name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::jwt::issuer::{Issuer, signed_by_secret, weak_rsa_jwk};

    fn check(keys: &KeySet, token: &str) -> Result<(), Refusal> {
        keys.verify(&Token::parse(token.as_bytes()).unwrap())
    }

    fn set(keys: &[String]) -> KeySet {
        KeySet::parse(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes()).unwrap()
    }

    #[test]
    fn every_algorithm_verifies_what_its_own_key_has_signed() {
        let issuers =
            ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
                .map(|algorithm| Issuer::new(algorithm, algorithm));
        let all = set(&issuers.each_ref().map(Issuer::jwk));
        for issuer in &issuers {
            let token = issuer.token("{}");
            assert_eq!(check(&all, &token), Ok(()), "{token}");
            // Another text, another signature, and the same by a key that is not known.
            let (signed, signature) = token.rsplit_once('.').unwrap();
            assert_eq!(check(&all, &format!("{signed}A.{signature}")), Err(Refusal::Signature));
            let end = if signature.starts_with('A') { "B" } else { "A" };
            assert_eq!(check(&all, &format!("{signed}.{end}{}", &signature[1..])), Err(Refusal::Signature));
            assert_eq!(check(&all, &format!("{signed}.")), Err(Refusal::Signature));
            let stranger = Issuer::new(issuer.algorithm, issuer.algorithm).token("{}");
            assert_eq!(check(&all, &stranger), Err(Refusal::Signature));
        }
    }

    #[test]
    fn a_key_is_taken_for_its_own_algorithm_and_id_only() {
        let (rsa, pss) = (Issuer::new("RS256", "a"), Issuer::new("PS256", "b"));
        let keys = set(&[rsa.jwk(), pss.jwk()]);
        // The same keys, with an algorithm that they are not for.
        assert_eq!(check(&keys, &rsa.clone_for("PS256").token("{}")), Err(Refusal::UnknownKey));
        assert_eq!(check(&keys, &rsa.clone_for("RS512").token("{}")), Err(Refusal::UnknownKey));
        let any_algorithm = set(&[rsa.jwk().replace("\"alg\":\"RS256\",", "")]);
        assert_eq!(check(&any_algorithm, &rsa.clone_for("PS256").token("{}")), Ok(()));
        // The public key as a secret.
        let forged = signed_by_secret(rsa.jwk().as_bytes(), r#"{"alg":"HS256","kid":"a"}"#, "{}");
        assert_eq!(check(&keys, &forged), Err(Refusal::UnknownKey));
        assert_eq!(check(&keys, &rsa.with_id("b").token("{}")), Err(Refusal::UnknownKey));
        assert_eq!(check(&keys, &rsa.with_id("../../dev/null").token("{}")), Err(Refusal::UnknownKey));
        assert_eq!(check(&keys, &rsa.with_id("' OR 1=1 --").token("{}")), Err(Refusal::UnknownKey));
        assert_eq!(check(&keys, &rsa.without_id().token("{}")), Ok(()));
    }

    #[test]
    fn without_an_id_a_few_keys_are_tried() {
        let issuers: Vec<_> = (0..6).map(|n| Issuer::new("ES256", &n.to_string())).collect();
        let keys = set(&issuers.iter().map(Issuer::jwk).collect::<Vec<_>>());
        let tried = issuers.iter().filter(|issuer| check(&keys, &issuer.without_id().token("{}")).is_ok());
        assert_eq!(tried.count(), MOST_TRIED);
        assert!(issuers.iter().all(|issuer| check(&keys, &issuer.token("{}")).is_ok()));
    }

    #[test]
    fn keys_that_cannot_be_used_are_left_out() {
        let good = Issuer::new("ES256", "a").jwk();
        let small = weak_rsa_jwk();
        for bad in [
            good.replace("P-256", "P-384"),
            good.replace("P-256", "secp256k1"),
            good.replace("\"EC\"", "\"RSA\""),
            good.replace("ES256", "ES384"),
            good.replace("ES256", "none"),
            good.replace("\"use\":\"sig\"", "\"use\":\"enc\""),
            good.replace("\"use\":\"sig\"", "\"key_ops\":[\"sign\"]"),
            good.replace("\"use\":\"sig\"", "\"key_ops\":\"verify\""),
            good.replace("\"kid\":\"a\"", "\"kid\":1"),
            good.replace("\"x\":\"", "\"x\":\"AA"),
            good.replace("\"x\":\"", "\"x\":\"="),
            good.replace("\"x\":", "\"X\":"),
            small,
            r#"{"kty":"oct","kid":"a","alg":"HS256","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMw"}"#
                .to_owned(),
            r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#.to_owned(),
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKx"}"#.to_owned(),
            "1".to_owned(),
        ] {
            let text = format!("{{\"keys\":[{bad}]}}");
            assert!(KeySet::parse(text.as_bytes()).unwrap_err().starts_with("no key of it"), "{bad}");
            assert_eq!(set(&[bad, good.clone()]).0.len(), 1);
        }
        assert_eq!(set(&[good.replace("\"use\":\"sig\"", "\"key_ops\":[\"verify\"]")]).0.len(), 1);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let many = format!("{{\"keys\":[{}]}}", vec!["1"; 101].join(","));
        let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "a".repeat(MOST_BYTES));
        for (text, words) in [
            ("", "it is no JWK set"),
            ("<html>", "it is no JWK set"),
            ("[]", "it is no object"),
            ("{}", "no list `keys`"),
            ("{\"keys\":{}}", "no list `keys`"),
            ("{\"keys\":[]}", "no key of it"),
            (&many, "101 keys"),
            (&large, "256KiB"),
        ] {
            let error = KeySet::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_secret_is_for_hmac_alone() {
        let algorithms = ["HS256", "HS512"].map(|name| name.parse().unwrap());
        let secret = [7; 64];
        let keys = KeySet::of_secret(&secret, &algorithms);
        for (header, expected) in [
            (r#"{"alg":"HS256"}"#, Ok(())),
            (r#"{"alg":"HS512","kid":"any"}"#, Ok(())),
            (r#"{"alg":"HS384"}"#, Err(Refusal::UnknownKey)),
        ] {
            assert_eq!(check(&keys, &signed_by_secret(&secret, header, "{}")), expected, "{header}");
        }
        let other = signed_by_secret(&[8; 64], r#"{"alg":"HS256"}"#, "{}");
        assert_eq!(check(&keys, &other), Err(Refusal::UnknownKey));
    }
}
