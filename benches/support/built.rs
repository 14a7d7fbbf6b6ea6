//! What cargo built, and where.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::Outcome;

/// The evener binary: the one that was named, that of the environment's EVENER_BIN, or what cargo has just built.
pub(crate) fn evener(named: Option<&Path>) -> PathBuf {
    let named = named.map(Path::to_path_buf).or_else(|| env::var_os("EVENER_BIN").map(PathBuf::from));
    named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_evener")))
}

/// A file in the target directory, which is two levels above the binary that cargo built.
pub(crate) fn in_target_dir(name: &str) -> PathBuf {
    let dir: PathBuf = PathBuf::from(env!("CARGO_BIN_EXE_evener")).ancestors().skip(2).take(1).collect();
    dir.join(name)
}

/// The whole path: the processes run in a directory of their own.
pub(crate) fn absolute(program: &Path) -> Outcome<PathBuf> {
    program.canonicalize().map_err(|error| {
        format!("no program {}: {error}; build it or name another", program.display()).into()
    })
}
