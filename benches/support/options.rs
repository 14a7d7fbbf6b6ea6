use std::{fs, marker::PhantomData, path::PathBuf};

use clap::{Args, ValueEnum, value_parser};

use super::{Outcome, built, frame::Bench, placement::Placement};

/// What every bench can be told. In the help what is a bench's own stands behind rounds and seconds, before the rest.
#[derive(Debug, Args)]
pub(crate) struct Common<B: Bench> {
    #[arg(
        long,
        help = B::ROUNDS_HELP,
        default_value_t = B::ROUNDS,
        value_parser = value_parser!(u32).range(1..=100)
    )]
    pub(crate) rounds: u32,
    #[arg(
        long,
        help = B::SECONDS_HELP,
        default_value_t = B::SECONDS,
        value_parser = value_parser!(u32).range(B::MIN_SECONDS..=600)
    )]
    pub(crate) seconds: u32,
    /// The evener binary; also the environment's EVENER_BIN [default: the one that cargo has just built]
    #[arg(long, display_order = 100)]
    evener: Option<PathBuf>,
    #[arg(
        long,
        display_order = 102,
        help = format!("{} [default: {} in the target directory]", B::FILE_HELP, B::FILE)
    )]
    out: Option<PathBuf>,
    /// Which cores the processes run on
    #[arg(long, display_order = 103, value_enum, default_value_t = B::PLACEMENT)]
    pub(crate) placement: Placement,
    /// Given by `cargo bench`; without it nothing is measured, so that `cargo test --benches` stays short
    #[arg(long, display_order = 104)]
    pub(crate) bench: bool,
    #[arg(skip)]
    of: PhantomData<B>,
}

impl<B: Bench> Common<B> {
    pub(crate) fn evener(&self) -> PathBuf {
        built::evener(self.evener.as_deref())
    }

    /// Writes what was found to its file, and returns which one that is.
    pub(crate) fn write(&self, text: &str) -> Outcome<PathBuf> {
        let path = self.out.clone().unwrap_or_else(|| built::in_target_dir(B::FILE));
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }
}

/// All variants, or the named ones, in their own order.
pub(crate) fn chosen<T: ValueEnum + PartialEq + Copy>(named: &[T]) -> Vec<T> {
    let all = T::value_variants().iter().copied();
    all.filter(|variant| named.is_empty() || named.contains(variant)).collect()
}
