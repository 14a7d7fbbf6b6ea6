use std::fmt;
use std::str::FromStr;

use super::text_leaf;

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// A text that is no version of TLS that is spoken here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version of TLS that is spoken here; write \"1.2\" or \"1.3\"")]
pub struct InvalidTlsVersion(String);

impl TlsVersion {
    /// `1.2` or `1.3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

impl FromStr for TlsVersion {
    type Err = InvalidTlsVersion;

    fn from_str(text: &str) -> Result<Self, InvalidTlsVersion> {
        match text {
            "1.2" => Ok(Self::V1_2),
            "1.3" => Ok(Self::V1_3),
            _ => Err(InvalidTlsVersion(text.to_owned())),
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_leaf!(TlsVersion, "a version of TLS", "1.3");
