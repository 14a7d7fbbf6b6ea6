//! Who signs tokens in tests, of the filter and of the whole edge.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as sign, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, rsa::KeySize};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A key pair, and what its tokens say of it.
#[derive(Clone)]
pub(crate) struct Issuer {
    pub(crate) algorithm: &'static str,
    id: Option<String>,
    key: Arc<Key>,
}

enum Key {
    Rsa(RsaKeyPair),
    Elliptic(EcdsaKeyPair, &'static str),
    Edwards(Ed25519KeyPair),
}

impl Issuer {
    /// One with a new key, which is called `id`.
    pub(crate) fn new(algorithm: &'static str, id: &str) -> Self {
        let elliptic = |signing, curve| Key::Elliptic(EcdsaKeyPair::generate(signing).unwrap(), curve);
        let key = match algorithm {
            "ES256" => elliptic(&sign::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => elliptic(&sign::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "ES512" => elliptic(&sign::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            "EdDSA" => Key::Edwards(Ed25519KeyPair::generate().unwrap()),
            _ => Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Self { algorithm, id: Some(id.to_owned()), key: Arc::new(key) }
    }

    /// The same key, used in another way.
    pub(crate) fn clone_for(&self, algorithm: &'static str) -> Self {
        Self { algorithm, ..self.clone() }
    }

    /// The same key, which its tokens call otherwise.
    pub(crate) fn with_id(&self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self.clone() }
    }

    /// The same key, of which its tokens say nothing.
    pub(crate) fn without_id(&self) -> Self {
        Self { id: None, ..self.clone() }
    }

    /// The public key.
    pub(crate) fn jwk(&self) -> String {
        let [algorithm, id] = [self.algorithm, self.id.as_deref().unwrap_or("")];
        let common = format!("\"alg\":\"{algorithm}\",\"use\":\"sig\",\"kid\":\"{id}\"");
        match &*self.key {
            Key::Rsa(pair) => {
                let n = encoded(modulus(pair));
                format!("{{{common},\"kty\":\"RSA\",\"n\":\"{n}\",\"e\":\"AQAB\"}}")
            }
            Key::Elliptic(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let (x, y) = (encoded(x), encoded(y));
                format!("{{{common},\"kty\":\"EC\",\"crv\":\"{curve}\",\"x\":\"{x}\",\"y\":\"{y}\"}}")
            }
            Key::Edwards(pair) => {
                let x = encoded(pair.public_key().as_ref());
                format!("{{{common},\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\"}}")
            }
        }
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &str) -> String {
        let id = self.id.as_ref().map_or(String::new(), |id| format!(",\"kid\":\"{id}\""));
        self.token_with_header(&format!("{{\"alg\":\"{}\",\"typ\":\"JWT\"{id}}}", self.algorithm), claims)
    }

    /// The same with a header of the test's own.
    pub(crate) fn token_with_header(&self, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let signature = encoded(&self.signature(text.as_bytes()));
        format!("{text}.{signature}")
    }

    fn signature(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.key {
            Key::Rsa(pair) => {
                let encoding: &dyn sign::RsaEncoding = match self.algorithm {
                    "RS256" => &sign::RSA_PKCS1_SHA256,
                    "RS384" => &sign::RSA_PKCS1_SHA384,
                    "RS512" => &sign::RSA_PKCS1_SHA512,
                    "PS256" => &sign::RSA_PSS_SHA256,
                    "PS384" => &sign::RSA_PSS_SHA384,
                    _ => &sign::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, text, &mut signature).unwrap();
                signature
            }
            Key::Elliptic(pair, _) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
            Key::Edwards(pair) => pair.sign(text).as_ref().to_vec(),
        }
    }
}

/// A JWK of RSA with 1024 bits.
pub(crate) fn weak_rsa_jwk() -> String {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let n = encoded(&modulus(&pair)[..128]);
    format!("{{\"kty\":\"RSA\",\"n\":\"{n}\",\"e\":\"AQAB\"}}")
}

/// A token that is signed with a secret.
pub(crate) fn signed_by_secret(secret: &[u8], header: &str, claims: &str) -> String {
    let algorithm = match header {
        header if header.contains("HS512") => hmac::HMAC_SHA512,
        header if header.contains("HS384") => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA256,
    };
    let text = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
    let signature = hmac::sign(&hmac::Key::new(algorithm, secret), text.as_bytes());
    format!("{text}.{}", encoded(signature.as_ref()))
}

/// Out of the DER of a key of 2048 bits with the usual exponent, which has everything at a fixed place.
fn modulus(pair: &RsaKeyPair) -> &[u8] {
    let der = pair.public_key().as_ref();
    assert_eq!((der.len(), &der[265..]), (270, &[2, 3, 1, 0, 1][..]));
    &der[9..265]
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
