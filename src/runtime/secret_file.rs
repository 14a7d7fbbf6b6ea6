use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::config::read_secret;

/// The secret of sticky cookies whose pools name none, as it stands in its file, or made up for a file that is yet to be
/// written.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretFile {
    path: PathBuf,
    bytes: Vec<u8>,
    is_new: bool,
}

/// A secret that was made up could not be written to its file.
#[derive(Debug, thiserror::Error)]
#[error(
    "the secret of sticky cookies cannot be written to {}: {source}; name another place in server.secret_file",
    path.display()
)]
pub(crate) struct CannotSave {
    path: PathBuf,
    source: io::Error,
}

/// So many bytes make it up; fewer in a file are surely a mistake.
const LENGTH: usize = 32;
const SHORTEST: usize = 16;

impl SecretFile {
    /// Reads the file. One that is not there is not made yet: a check changes nothing. Where it is gone since it was read
    /// as `known`, what it held stays.
    ///
    /// # Errors
    /// When the file is there and holds no secret, or the system has no randomness.
    pub(super) fn open(path: &Path, known: Option<&Self>) -> io::Result<Self> {
        let known = known.filter(|known| known.path == path);
        let path = path.to_owned();
        match read_secret(&path) {
            Ok(bytes) if bytes.len() >= SHORTEST => Ok(Self { path, bytes, is_new: false }),
            Ok(bytes) => {
                let problem = format!("it has {} bytes; {SHORTEST} or more are needed", bytes.len());
                Err(io::Error::new(io::ErrorKind::InvalidData, problem))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(known) = known {
                    return Ok(Self { is_new: true, ..known.clone() });
                }
                let mut bytes = vec![0; LENGTH];
                let none = |_| io::Error::other("the system gives no randomness");
                SystemRandom::new().fill(&mut bytes).map_err(none)?;
                // As text, so that no byte of it can be taken for the end of a line.
                let bytes = bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
                Ok(Self { path, bytes, is_new: true })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the same file held another secret before.
    pub(crate) fn differs_from(&self, former: &Self) -> bool {
        self.path == former.path && self.bytes != former.bytes
    }

    /// Writes a secret that was made up, for its owner only, so that the next start finds it.
    ///
    /// # Errors
    /// When the file cannot be written, also because another process has written one meanwhile.
    pub(crate) fn save(&self) -> Result<(), CannotSave> {
        if !self.is_new {
            return Ok(());
        }
        self.write().map_err(|source| CannotSave { path: self.path.clone(), source })
    }

    fn write(&self) -> io::Result<()> {
        if let Some(directory) = self.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        // Under another name first, so that no crash leaves half a secret; linked, so that none is replaced.
        let draft = self.path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let written = file.write_all(&self.bytes).and_then(|()| file.sync_all());
        let saved = written.and_then(|()| fs::hard_link(&draft, &self.path));
        fs::remove_file(&draft)?;
        saved
    }
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/secret");
        let made = SecretFile::open(&path, None).unwrap();
        assert!(!path.exists());
        made.save().unwrap();
        let found = SecretFile::open(&path, None).unwrap();
        assert!(found.bytes == made.bytes && found.bytes.iter().any(|&byte| byte != 0));
        found.save().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(made.save().is_err());
    }

    #[test]
    fn a_secret_outlives_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let made = SecretFile::open(&path, None).unwrap();
        made.save().unwrap();
        fs::remove_file(&path).unwrap();
        let kept = SecretFile::open(&path, Some(&made)).unwrap();
        assert!(kept.bytes == made.bytes);
        kept.save().unwrap();
        assert_eq!(fs::read(&path).unwrap(), made.bytes);
        let elsewhere = SecretFile::open(&directory.path().join("other"), Some(&made)).unwrap();
        assert!(elsewhere.bytes != made.bytes);
    }

    #[test]
    fn a_file_without_a_secret_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "short").unwrap();
        assert!(SecretFile::open(&path, None).unwrap_err().to_string().contains("5 bytes"));
    }
}
