use async_trait::async_trait;
use http::StatusCode;

use crate::hooks::{
    BuildCx, BuildError, ClientCert, Filter, FilterCx, Flow, HookError, Rejection, RequestView,
};

use super::ClientCertSettings;

/// The filter `client_cert`.
///
/// A client without a certificate gets 403 with the cause `client_cert_required`, one with another certificate
/// `client_cert_refused`.
#[derive(Debug)]
pub struct RequireClientCert {
    settings: ClientCertSettings,
}

impl RequireClientCert {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// None.
    pub fn build(settings: ClientCertSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        Ok(Self { settings })
    }

    fn allows(&self, cert: &ClientCert) -> bool {
        let ClientCertSettings { subjects, sans, fingerprints } = &self.settings;
        let takes_any = subjects.is_empty() && sans.is_empty() && fingerprints.is_empty();
        takes_any
            || fingerprints.iter().any(|fingerprint| fingerprint.as_str() == cert.fingerprint)
            || subjects.iter().any(|pattern| pattern.matches(&cert.subject))
            || sans.iter().any(|pattern| cert.sans.iter().any(|san| pattern.matches(san)))
    }
}

#[async_trait]
impl Filter for RequireClientCert {
    async fn on_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        let shown = cx.facts().tls.as_ref().and_then(|tls| tls.client_cert.as_ref());
        let cause = match shown {
            Some(cert) if self.allows(cert) => {
                cx.mark_personal();
                return Ok(Flow::Continue);
            }
            Some(_) => "client_cert_refused",
            None => "client_cert_required",
        };
        Ok(Rejection::new(StatusCode::FORBIDDEN, cause).into())
    }

    fn describe(&self) -> String {
        let ClientCertSettings { subjects, sans, fingerprints } = &self.settings;
        let counts = [(subjects.len(), "subject"), (sans.len(), "name"), (fingerprints.len(), "fingerprint")];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts
            .map(|(count, what)| format!("{count} {what}{}", if *count > 1 { "s" } else { "" }))
            .collect();
        if counts.is_empty() { "any certificate".to_owned() } else { counts.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::time::Instant;

    use super::*;
    use crate::hooks::TlsSession;
    use crate::hooks::testing::{self, Exchange};
    use crate::types::TlsVersion;

    fn filter(yaml: &str) -> RequireClientCert {
        testing::build(serde_yaml::from_str(yaml).unwrap(), RequireClientCert::build).unwrap()
    }

    /// The cause of the refusal of a client with this certificate.
    async fn refused(filter: &RequireClientCert, cert: Option<ClientCert>) -> Option<String> {
        let session = TlsSession { client_cert: cert, ..TlsSession::new(TlsVersion::V1_3) };
        let mut exchange = Exchange::get("/", Instant::now()).over_tls(session);
        match exchange.on_request(filter).await.unwrap() {
            Flow::Continue => None,
            Flow::Reject(rejection) => {
                assert_eq!(rejection.status, 403);
                Some(rejection.cause.into_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    fn worker() -> ClientCert {
        ClientCert {
            subject: "CN=worker-7,O=Example".to_owned(),
            sans: vec!["DNS:worker-7.example".to_owned(), "URI:spiffe://example/batch".to_owned()],
            fingerprint: "ab".repeat(32),
            serial: "01".to_owned(),
            not_after: SystemTime::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn one_entry_that_fits_is_enough() {
        let fingerprint = format!("{{ subjects: ['CN=boss'], fingerprints: ['{}'] }}", "AB".repeat(32));
        for yaml in [
            "{}",
            "{ subjects: ['CN=worker-*,O=Example'] }",
            "{ subjects: ['CN=boss'], sans: ['URI:spiffe://example/*'] }",
            &fingerprint,
        ] {
            assert_eq!(refused(&filter(yaml), Some(worker())).await, None, "{yaml}");
            assert_eq!(refused(&filter(yaml), None).await.as_deref(), Some("client_cert_required"), "{yaml}");
        }
    }

    #[tokio::test]
    async fn no_entry_that_fits_is_a_refusal() {
        let cd = format!("{{ fingerprints: ['{}'] }}", "cd".repeat(32));
        for yaml in ["{ subjects: ['CN=worker-*'] }", "{ sans: ['DNS:*.other.example'] }", &cd] {
            let cause = refused(&filter(yaml), Some(worker())).await;
            assert_eq!(cause.as_deref(), Some("client_cert_refused"), "{yaml}");
        }
    }

    #[tokio::test]
    async fn nobody_has_a_certificate_over_plain_http() {
        let mut exchange = Exchange::get("/", Instant::now());
        let flow = exchange.on_request(&filter("{}")).await.unwrap();
        assert!(matches!(flow, Flow::Reject(_)));
    }

    #[test]
    fn tells_what_it_looks_for() {
        assert_eq!(filter("{}").describe(), "any certificate");
        assert_eq!(
            filter("{ subjects: ['CN=a', 'CN=b'], sans: ['DNS:a'] }").describe(),
            "2 subjects, 1 name"
        );
    }
}
