use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::Problem;
use super::certificate::Certificate;
use super::checks::date;
use super::state::State;

/// What came of reading the files again.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// None when the files hold what they held.
    pub(crate) changes: Vec<Change>,
    pub(crate) warnings: Vec<Problem>,
}

/// A file that holds something new. Displays as a line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Certificate {
        file: PathBuf,
        names: String,
        expired: SystemTime,
        expires: SystemTime,
    },
    /// The OCSP response of the certificate in this file.
    Staple(PathBuf),
    /// The authorities of clients' certificates.
    Authorities(PathBuf),
}

/// What files hold that are there in both.
pub(super) fn changes(former: &State, now: &State) -> Vec<Change> {
    let certificates = now.certificates.iter().filter_map(|now| {
        let former = former.certificates.iter().find(|former| former.file == now.file)?;
        compare(former, now)
    });
    let authorities = former.authorities.iter().zip(&now.authorities);
    let authorities = authorities.filter(|(former, now)| former.0 == now.0 && former.1 != now.1);
    let authorities = authorities.map(|(_, (file, _))| Change::Authorities(file.clone()));
    let mut changes: Vec<_> = certificates.chain(authorities).collect();
    changes.dedup();
    changes
}

fn compare(former: &Certificate, now: &Certificate) -> Option<Change> {
    if former.shown.cert != now.shown.cert {
        let names: Vec<_> = now.names.iter().map(ToString::to_string).collect();
        return Some(Change::Certificate {
            file: now.file.clone(),
            names: names.join(", "),
            expired: former.not_after,
            expires: now.not_after,
        });
    }
    (former.shown.ocsp != now.shown.ocsp).then(|| Change::Staple(now.file.clone()))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { file, names, expired, expires } => {
                let (expired, expires) = (date(*expired), date(*expires));
                write!(
                    f,
                    "new certificate in `{}` for {names}: expires {expires}, was {expired}",
                    file.display()
                )
            }
            Self::Staple(file) => write!(f, "new OCSP response for the certificate in `{}`", file.display()),
            Self::Authorities(file) => write!(f, "new authorities of clients in `{}`", file.display()),
        }
    }
}
