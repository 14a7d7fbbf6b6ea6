use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::BuildError;
use crate::types::ByteSize;

/// Takes the coding off answers (`gzip`, `br`, `zstd`, `deflate`) whose endpoints insist on it though the client does not take
/// it. Stands behind the filters that are to see plain bodies, so last as a rule.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecompressSettings {
    /// Whether it is taken off for every client, so that the filters before this one see all bodies as they are. Answers in a
    /// coding that is not known here, or in several, are failures then.
    #[serde(default)]
    pub always: bool,
    /// How long a decoded answer may be; a longer one is broken off.
    #[serde(default = "DecompressSettings::default_max_size")]
    pub max_size: ByteSize,
    /// How many times longer than it came an answer may become, 2 to 200, beyond its first MiB; what becomes longer is meant
    /// to do harm, and is broken off.
    #[serde(default = "DecompressSettings::default_max_ratio")]
    #[schemars(range(min = 2, max = 200))]
    pub max_ratio: u32,
    /// How many answers are decoded at once, 1 to 10000, at 0.1 to 16 MiB each, as their windows are; others meanwhile fail
    /// with 503.
    #[serde(default = "DecompressSettings::default_max_active")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_active: u32,
}

impl DecompressSettings {
    fn default_max_size() -> ByteSize {
        ByteSize::from_mib(100)
    }

    fn default_max_ratio() -> u32 {
        100
    }

    fn default_max_active() -> u32 {
        128
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.max_size.bytes() == 0 {
            return Err(BuildError::new("a `max_size` of 0 lets no answer pass").at("max_size"));
        }
        if !(2..=200).contains(&self.max_ratio) {
            let error = BuildError::new(format!("{} times longer; 2 to 200 are allowed", self.max_ratio));
            return Err(error.at("max_ratio"));
        }
        if !(1..=10_000).contains(&self.max_active) {
            let error =
                BuildError::new(format!("{} answers at once; 1 to 10000 are allowed", self.max_active));
            return Err(error.at("max_active"));
        }
        Ok(())
    }
}
