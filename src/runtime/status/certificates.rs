use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::runtime::Listener;
use crate::tls::CertificateInfo;

/// A certificate that a listener serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct CertificateStatus {
    pub(crate) listener: String,
    /// The names that it is for.
    pub(crate) names: Vec<String>,
    /// The kind of its key.
    pub(crate) key: String,
    /// When it expires (RFC 3339).
    pub(crate) not_after: String,
    /// How long that is from now; negative once it has.
    pub(crate) expires_in_s: i64,
    /// Where it was read from.
    pub(crate) file: String,
}

impl CertificateStatus {
    pub(in crate::runtime) fn all(listener: &Listener, now: SystemTime) -> Vec<Self> {
        let Some(termination) = &listener.tls else { return Vec::new() };
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let of = |found: CertificateInfo| Self {
            listener: listener.name.to_string(),
            names: found.names,
            key: found.key.to_owned(),
            not_after: humantime::format_rfc3339_seconds(found.not_after).to_string(),
            expires_in_s: match found.not_after.duration_since(now) {
                Ok(left) => seconds(left),
                Err(over) => -seconds(over.duration()),
            },
            file: found.file.display().to_string(),
        };
        termination.certificates().into_iter().map(of).collect()
    }
}
