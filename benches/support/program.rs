use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Outcome,
    built::absolute,
    process::{find, output_of},
};

/// A proxy's program, called so that it reads and writes nothing outside of the bench's directory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program<'a> {
    Nginx,
    #[allow(dead_code, reason = "not every bench compares HAProxy")]
    Haproxy,
    /// With the path of its binary.
    Evener(&'a Path),
}

impl Program<'_> {
    /// The command line that serves with the configuration `conf`.
    pub(crate) fn serve(self, conf: &Path) -> Outcome<Vec<OsString>> {
        let mut words: Vec<OsString> = vec![self.path()?.into()];
        match self {
            Self::Nginx => {
                let dir = conf.parent().unwrap_or(conf);
                words.extend(["-p".into(), dir.into(), "-e".into(), "stderr".into(), "-c".into()]);
            }
            Self::Haproxy => words.extend(["-db", "-f"].map(OsString::from)),
            Self::Evener(_) => words.extend(["run", "-c"].map(OsString::from)),
        }
        words.push(conf.into());
        Ok(words)
    }

    /// What the program says of its version, in one line.
    pub(crate) fn version(self) -> Outcome<String> {
        let flag = match self {
            Self::Nginx | Self::Haproxy => "-v",
            Self::Evener(_) => "--version",
        };
        let text = output_of(&[self.path()?.into(), flag.into()], Duration::from_secs(5))?;
        Ok(text.lines().next().unwrap_or("unknown").trim().to_owned())
    }

    fn path(self) -> Outcome<PathBuf> {
        match self {
            Self::Nginx => Ok(find("nginx").ok_or("no nginx: scripts/need nginx")?),
            Self::Haproxy => Ok(find("haproxy").ok_or("no haproxy: scripts/need haproxy")?),
            Self::Evener(path) => absolute(path),
        }
    }
}
