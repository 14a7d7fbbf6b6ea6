use std::fmt;

use http::StatusCode;

/// What the cache did, as it is told to clients (RFC 9211).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStatus {
    /// Whether the answer was a stored one, and nobody was asked for it.
    pub(crate) hit: bool,
    pub(crate) forwarded: Option<Forwarded>,
    /// The status that the origin gave to the forwarded request, where it is not the answer's.
    pub(crate) forwarded_status: Option<StatusCode>,
    pub(crate) stored: bool,
    /// Whether the request waited for another that asked for the same.
    pub(crate) collapsed: bool,
    /// What is left of the answer's freshness, in seconds.
    pub(crate) ttl: Option<i64>,
}

/// Why a request went to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// Not one for the cache, by the settings or what is known of the target.
    Bypass,
    /// The client wants one that is newer.
    Request,
    UriMiss,
    VaryMiss,
    Stale,
}

impl Forwarded {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Request => "request",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("evener")?;
        if self.hit {
            f.write_str("; hit")?;
        }
        if let Some(forwarded) = self.forwarded {
            write!(f, "; fwd={}", forwarded.as_str())?;
        }
        if let Some(status) = self.forwarded_status {
            write!(f, "; fwd-status={}", status.as_u16())?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, "; ttl={ttl}")?;
        }
        if self.stored {
            f.write_str("; stored")?;
        }
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_a_structured_field() {
        let hit = CacheStatus { hit: true, ttl: Some(-5), ..CacheStatus::default() };
        assert_eq!(hit.to_string(), "evener; hit; ttl=-5");
        let miss = CacheStatus {
            forwarded: Some(Forwarded::VaryMiss),
            stored: true,
            collapsed: true,
            ..CacheStatus::default()
        };
        assert_eq!(miss.to_string(), "evener; fwd=vary-miss; stored; collapsed");
        let stale = CacheStatus {
            forwarded: Some(Forwarded::Stale),
            forwarded_status: Some(StatusCode::NOT_MODIFIED),
            ttl: Some(60),
            ..CacheStatus::default()
        };
        assert_eq!(stale.to_string(), "evener; fwd=stale; fwd-status=304; ttl=60");
    }
}
