use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    VerificationAlgorithm,
};

use crate::types::text_leaf;

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// HMAC, with a secret that the issuer and the edge share.
    Hmac(Sha),
    /// RSASSA-PKCS1-v1_5.
    Rsa(Sha),
    /// RSASSA-PSS.
    RsaPss(Sha),
    /// ECDSA over the curve that goes with the hash: P-256, P-384 or P-521.
    Ecdsa(Sha),
    /// EdDSA over Ed25519.
    EdDsa,
}

/// The hash of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sha {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A text that stands for no algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no algorithm; HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and \
     EdDSA are allowed"
)]
pub struct InvalidJwtAlgorithm {
    found: String,
}

impl JwtAlgorithm {
    /// All of them, by the names that tokens have for them.
    const NAMES: [(&'static str, Self); 13] = [
        ("HS256", Self::Hmac(Sha::Sha256)),
        ("HS384", Self::Hmac(Sha::Sha384)),
        ("HS512", Self::Hmac(Sha::Sha512)),
        ("RS256", Self::Rsa(Sha::Sha256)),
        ("RS384", Self::Rsa(Sha::Sha384)),
        ("RS512", Self::Rsa(Sha::Sha512)),
        ("PS256", Self::RsaPss(Sha::Sha256)),
        ("PS384", Self::RsaPss(Sha::Sha384)),
        ("PS512", Self::RsaPss(Sha::Sha512)),
        ("ES256", Self::Ecdsa(Sha::Sha256)),
        ("ES384", Self::Ecdsa(Sha::Sha384)),
        ("ES512", Self::Ecdsa(Sha::Sha512)),
        ("EdDSA", Self::EdDsa),
    ];

    /// The one of that name, which is case-sensitive.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Those that a key of RSA can be for.
    pub(super) fn of_rsa() -> impl Iterator<Item = (Self, &'static RsaParameters)> {
        Self::NAMES.iter().filter_map(|(_, algorithm)| Some((*algorithm, algorithm.rsa()?)))
    }

    /// The hash function with a secret, if its key is a secret that both sides have.
    pub(super) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::Hmac(Sha::Sha256) => Some(hmac::HMAC_SHA256),
            Self::Hmac(Sha::Sha384) => Some(hmac::HMAC_SHA384),
            Self::Hmac(Sha::Sha512) => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// How many bytes its secret has at least, if it takes one (RFC 7518 §3.2).
    pub(super) fn secret_length(self) -> usize {
        match self {
            Self::Hmac(Sha::Sha256) => 32,
            Self::Hmac(Sha::Sha384) => 48,
            Self::Hmac(Sha::Sha512) => 64,
            _ => 0,
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rsa(Sha::Sha256) => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rsa(Sha::Sha384) => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rsa(Sha::Sha512) => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::RsaPss(Sha::Sha256) => Some(&RSA_PSS_2048_8192_SHA256),
            Self::RsaPss(Sha::Sha384) => Some(&RSA_PSS_2048_8192_SHA384),
            Self::RsaPss(Sha::Sha512) => Some(&RSA_PSS_2048_8192_SHA512),
            _ => None,
        }
    }
}

impl Sha {
    /// What verifies ECDSA with this hash, and how many bytes a coordinate of its curve has.
    pub(super) fn ecdsa(self) -> (&'static dyn VerificationAlgorithm, usize) {
        match self {
            Self::Sha256 => (&ECDSA_P256_SHA256_FIXED, 32),
            Self::Sha384 => (&ECDSA_P384_SHA384_FIXED, 48),
            Self::Sha512 => (&ECDSA_P521_SHA512_FIXED, 66),
        }
    }
}

/// What verifies EdDSA.
pub(super) const EDDSA: &dyn VerificationAlgorithm = &ED25519;

impl FromStr for JwtAlgorithm {
    type Err = InvalidJwtAlgorithm;

    fn from_str(text: &str) -> Result<Self, InvalidJwtAlgorithm> {
        Self::named(text).ok_or_else(|| InvalidJwtAlgorithm { found: text.to_owned() })
    }
}

impl fmt::Display for JwtAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(_, algorithm)| algorithm == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

text_leaf!(JwtAlgorithm, "an algorithm", "ES256");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_tokens_and_no_others() {
        for (name, algorithm) in JwtAlgorithm::NAMES {
            assert_eq!((name.parse(), algorithm.to_string().as_str()), (Ok(algorithm), name));
        }
        for name in ["", "none", "None", "NONE", "hs256", "HS256 ", "RS1", "ES256K", "eddsa", "HS1024"] {
            assert!(name.parse::<JwtAlgorithm>().is_err(), "{name}");
        }
    }
}
