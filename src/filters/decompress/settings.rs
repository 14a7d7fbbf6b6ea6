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
    /// How much memory decoders, and what they have made for clients that have not taken it yet, take together, 32MiB to
    /// 64GiB: 64 KiB for each answer in gzip or deflate, 8.5 MiB in zstd, and in br its window, up to 16.5 MiB. Answers
    /// beyond that fail with 503, and so do those to a client that holds as much as is left.
    #[serde(default = "DecompressSettings::default_memory")]
    pub memory: ByteSize,
}

impl DecompressSettings {
    fn default_max_size() -> ByteSize {
        ByteSize::from_mib(100)
    }

    fn default_max_ratio() -> u32 {
        100
    }

    fn default_memory() -> ByteSize {
        ByteSize::from_mib(512)
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.max_size.bytes() == 0 {
            return Err(BuildError::new("a `max_size` of 0 lets no answer pass").at("max_size"));
        }
        if !(2..=200).contains(&self.max_ratio) {
            let error = BuildError::new(format!("{} times longer; 2 to 200 are allowed", self.max_ratio));
            return Err(error.at("max_ratio"));
        }
        if !(32 << 20..=64 << 30).contains(&self.memory.bytes()) {
            let error = BuildError::new(format!("`{}` is not allowed; 32MiB to 64GiB is", self.memory));
            return Err(error.at("memory"));
        }
        Ok(())
    }
}
