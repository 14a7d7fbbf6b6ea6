use std::fmt;
use std::str::FromStr;

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params};

use crate::types::text_leaf;

/// What is kept of a password: its bcrypt or argon2 hash. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    written: String,
    scheme: Scheme,
}

#[derive(Clone, PartialEq, Eq)]
enum Scheme {
    Bcrypt,
    Argon2(Box<phc::PasswordHash>),
}

/// A text that is no hash of a password, which is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPasswordHash(&'static str);

/// bcrypt sees no more of a password; two that differ later would be the same.
const BCRYPT_LONGEST: usize = 72;
/// Of higher costs one check takes more than a second.
const BCRYPT_COSTLIEST: u32 = 14;
/// In KiB, and in KiB times rounds.
const ARGON2_MEMORY: u32 = 256 * 1024;
const ARGON2_WORK: u64 = 1024 * 1024;

const FORM: &str = "not a hash of a password; bcrypt ($2y$…) and argon2 ($argon2id$…) are taken: make one with `htpasswd -nB USER`";
const WEAK: &str = "a hash of MD5, SHA-1 or crypt is broken too fast; make another with `htpasswd -nB USER`";

impl PasswordHash {
    /// Whether it is that of the password. Takes long, on purpose, and as long whether it is or not.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match &self.scheme {
            Scheme::Bcrypt => {
                password.len() <= BCRYPT_LONGEST && bcrypt::verify(password, &self.written).unwrap_or(false)
            }
            Scheme::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
        }
    }

    /// What tells it from others, for a key that does not leave the process.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.written.as_bytes()
    }
}

impl FromStr for PasswordHash {
    type Err = InvalidPasswordHash;

    fn from_str(text: &str) -> Result<Self, InvalidPasswordHash> {
        let scheme = match text {
            bcrypt if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| bcrypt.starts_with(prefix)) => {
                check_bcrypt(bcrypt)?;
                Scheme::Bcrypt
            }
            argon2 if argon2.starts_with("$argon2") => Scheme::Argon2(Box::new(read_argon2(argon2)?)),
            weak if ["$apr1$", "$1$", "$5$", "$6$", "{SHA}", "$2x$"]
                .iter()
                .any(|prefix| weak.starts_with(prefix)) =>
            {
                return Err(InvalidPasswordHash(WEAK));
            }
            _ => return Err(InvalidPasswordHash(FORM)),
        };
        Ok(Self { written: text.to_owned(), scheme })
    }
}

fn not_a_hash<E>(_: E) -> InvalidPasswordHash {
    InvalidPasswordHash(FORM)
}

fn check_bcrypt(text: &str) -> Result<(), InvalidPasswordHash> {
    let parts: bcrypt::HashParts = text.parse().map_err(not_a_hash)?;
    match parts.get_cost() {
        4..=BCRYPT_COSTLIEST => Ok(()),
        _ => Err(InvalidPasswordHash("the cost of bcrypt is 4 to 14; one check takes over a second beyond")),
    }
}

fn read_argon2(text: &str) -> Result<phc::PasswordHash, InvalidPasswordHash> {
    let hash = phc::PasswordHash::new(text).map_err(not_a_hash)?;
    Algorithm::try_from(hash.algorithm.as_str()).map_err(not_a_hash)?;
    let params = Params::try_from(&hash).map_err(not_a_hash)?;
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err(InvalidPasswordHash(FORM));
    }
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if params.m_cost() > ARGON2_MEMORY || work > ARGON2_WORK {
        return Err(InvalidPasswordHash(
            "argon2 may take 256 MiB of memory (m=262144), and m times t may be 1048576",
        ));
    }
    Ok(hash)
}

/// Tells that there is one, and nothing of it.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

text_leaf!(PasswordHash, "the hash of a password", "$2y$10$…", "writeOnly": true);

#[cfg(test)]
mod tests {
    use super::*;

    /// As `htpasswd -nbB` makes them, but cheap.
    const BCRYPT: &str = "$2y$04$ZeBPFX8CTbE6Dnrbt/PpG.bDdIWbNhMiyMpw3x7I1wjpJgrQZ3eSu";

    fn refusal(text: &str) -> String {
        text.parse::<PasswordHash>().unwrap_err().to_string()
    }

    #[test]
    fn bcrypt_is_verified_without_being_truncated() {
        let made = bcrypt::hash("correct horse", 4).unwrap();
        let hash: PasswordHash = made.parse().unwrap();
        assert!(hash.verify(b"correct horse") && !hash.verify(b"correct horsf") && !hash.verify(b""));
        let long = "x".repeat(72);
        let hash: PasswordHash = bcrypt::hash(&long, 4).unwrap().replace("$2b$", "$2y$").parse().unwrap();
        assert!(hash.verify(long.as_bytes()) && !hash.verify(format!("{long}y").as_bytes()));
    }

    #[test]
    fn argon2_is_verified_by_its_own_parameters() {
        use argon2::password_hash::PasswordHasher;
        for algorithm in [Algorithm::Argon2id, Algorithm::Argon2i, Algorithm::Argon2d] {
            let params = Params::new(64, 2, 1, None).unwrap();
            let made = Argon2::new(algorithm, argon2::Version::V0x13, params)
                .hash_password_with_salt(b"correct horse", b"salt-of-16-bytes")
                .unwrap();
            let hash: PasswordHash = made.to_string().parse().unwrap();
            assert!(hash.verify(b"correct horse") && !hash.verify(b"correct horsf"));
        }
    }

    #[test]
    fn what_is_weak_broken_or_costly_is_refused_without_being_shown() {
        for text in ["$apr1$x$y", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "$6$salt$hash", "$2x$04$abc"] {
            assert!(refusal(text).contains("too fast"), "{text}");
        }
        for text in [
            "hunter2",
            "",
            "$2y$04$short",
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ",
            "$argon2x$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        ] {
            let told = refusal(text);
            assert!(told.contains("htpasswd") && !told.contains("hunter2"), "{text}: {told}");
        }
        assert!(BCRYPT.parse::<PasswordHash>().unwrap().verify(b"lovelace"));
        assert!(refusal(&BCRYPT.replace("$04$", "$15$")).contains("4 to 14"));
        let costly = "$argon2id$v=19$m=524288,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
        assert!(refusal(costly).contains("256 MiB"));
        assert_eq!(format!("{:?}", BCRYPT.parse::<PasswordHash>().unwrap()), "PasswordHash(…)");
    }
}
