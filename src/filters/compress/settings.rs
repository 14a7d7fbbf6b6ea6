use schemars::JsonSchema;
use serde::Deserialize;

use crate::filters::coding::Coding;
use crate::hooks::BuildError;
use crate::types::ByteSize;

use super::MediaPattern;

/// Sends answers in fewer bytes to clients that say which codings they take (`Accept-Encoding`). Stands before the filters
/// whose answers it is to code, so first as a rule. Left as they are: answers that are coded already, parts of answers,
/// those with `Cache-Control: no-transform` or with trailers that are announced, and calls of gRPC.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompressSettings {
    /// The codings that are offered. The client's weights decide; where it has none, the first of these that it takes.
    #[serde(default = "CompressSettings::default_algorithms")]
    pub algorithms: Vec<Coding>,
    /// Shorter answers are left as they are. Those whose length is not known are coded, each piece as it comes.
    #[serde(default = "CompressSettings::default_min_size")]
    pub min_size: ByteSize,
    /// The media types that are worth it. Default: `text/*`, `application/json`, `application/*+json`,
    /// `application/javascript`, `application/xml`, `application/*+xml`, `application/wasm` and `image/svg+xml`.
    #[serde(default = "CompressSettings::default_types")]
    pub types: Vec<MediaPattern>,
    /// How much work is put into each coding.
    #[serde(default)]
    pub levels: Levels,
    /// Longer answers are coded at a low level, so that none keeps a worker thread busy for long.
    #[serde(default = "CompressSettings::default_fast_above")]
    pub fast_above: ByteSize,
    /// How many answers are coded at once, 1 to 100000, at 0.3 to 1.5 MiB each; others meanwhile go out as they are. A client
    /// has no more of them than it leaves to others.
    #[serde(default = "CompressSettings::default_max_active")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_active: u32,
}

/// How much work is put into each coding.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Levels {
    /// 1 to 9.
    #[schemars(range(min = 1, max = 9))]
    pub gzip: u32,
    /// 1 to 11; above 5 it takes several times as long.
    #[schemars(range(min = 1, max = 11))]
    pub br: u32,
    /// 1 to 19; above 9 it takes several times as long.
    #[schemars(range(min = 1, max = 19))]
    pub zstd: u32,
}

impl Default for Levels {
    fn default() -> Self {
        Self { gzip: 5, br: 4, zstd: 3 }
    }
}

impl Levels {
    /// The quickest of each; zlib-ng's first makes a body that does not compress a twentieth longer.
    pub(super) const FAST: Self = Self { gzip: 2, br: 1, zstd: 1 };

    fn check(self) -> Result<(), BuildError> {
        for (key, level, most) in [("gzip", self.gzip, 9), ("br", self.br, 11), ("zstd", self.zstd, 19)] {
            if !(1..=most).contains(&level) {
                let error = BuildError::new(format!("a level of {level}; 1 to {most} are allowed"));
                return Err(error.at(key).at("levels"));
            }
        }
        Ok(())
    }
}

impl CompressSettings {
    fn default_algorithms() -> Vec<Coding> {
        vec![Coding::Zstd, Coding::Br, Coding::Gzip]
    }

    fn default_min_size() -> ByteSize {
        ByteSize::from_kib(1)
    }

    #[expect(clippy::expect_used, reason = "constants, which a test parses")]
    fn default_types() -> Vec<MediaPattern> {
        const TYPES: [&str; 8] = [
            "text/*",
            "application/json",
            "application/*+json",
            "application/javascript",
            "application/xml",
            "application/*+xml",
            "application/wasm",
            "image/svg+xml",
        ];
        TYPES.iter().map(|text| text.parse().expect("a media type")).collect()
    }

    fn default_fast_above() -> ByteSize {
        ByteSize::from_mib(1)
    }

    fn default_max_active() -> u32 {
        512
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        self.levels.check()?;
        if self.algorithms.is_empty() {
            return Err(BuildError::new("no coding is offered")
                .at("algorithms")
                .with_help("list some of zstd, br and gzip, or leave `algorithms` out"));
        }
        for (index, coding) in self.algorithms.iter().enumerate() {
            if self.algorithms[..index].contains(coding) {
                let error = BuildError::new(format!("`{}` stands there twice", coding.as_str()));
                return Err(error.at(index).at("algorithms"));
            }
        }
        if self.types.is_empty() {
            let error = BuildError::new("no media type is worth it").at("types");
            return Err(error.with_help("list some, like text/*, or leave `types` out"));
        }
        if !(1..=100_000).contains(&self.max_active) {
            let found = self.max_active;
            return Err(
                BuildError::new(format!("{found} answers at once; 1 to 100000 are allowed")).at("max_active")
            );
        }
        Ok(())
    }
}
