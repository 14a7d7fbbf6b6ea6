//! A listener's TLS with its files, at the beginning of 2030.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tempfile::TempDir;

use crate::config::spec::{ClientAuthMode, HttpVersion, UnknownSni};
use crate::config::{CertificateFiles, ClientAuth, KeyPath, ListenerTls};
use crate::tls::{Clock, Problem, Termination, TicketKeys};
use crate::types::{Span, TlsVersion};

use super::made::{Authority, Made, pem};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub(super) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn new() -> Self {
        const NEW_YEAR_2030: u64 = 1_893_456_000;
        Self(Arc::new(AtomicU64::new(NEW_YEAR_2030)))
    }

    pub(super) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::new(self.clone())
    }
}

impl TimeProvider for TestClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

pub(super) struct Site {
    folder: TempDir,
    pub(super) time: TestClock,
    pub(super) config: ListenerTls,
    pub(super) http: Vec<HttpVersion>,
    pub(super) authority: Authority,
    pub(super) keys: TicketKeys,
}

impl Site {
    /// Without certificates yet.
    pub(super) fn new() -> Self {
        let time = TestClock::new();
        let at = KeyPath::default().child("tls").child("client_auth");
        let config = ListenerTls {
            certificates: Vec::new(),
            unknown_sni: UnknownSni::Default,
            min_version: TlsVersion::V1_2,
            client_auth: ClientAuth { mode: ClientAuthMode::Off, ca: None, at },
            hosts: Vec::new(),
            rotate_tickets: Span::from_secs(12 * 3600),
        };
        let http = vec![HttpVersion::H1, HttpVersion::H2];
        let keys = TicketKeys::new(time.clock());
        let folder = tempfile::tempdir().unwrap();
        Self { folder, time, config, http, authority: Authority::new("Test Root"), keys }
    }

    /// With one certificate.
    pub(super) fn with(names: &[&str]) -> Self {
        let mut site = Self::new();
        let made = site.authority.certify(names);
        site.add("site", &made);
        site
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(super) fn write(&self, file: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(file), contents).unwrap();
        self.path(file)
    }

    /// Writes a certificate as `name.pem` and `name.key`.
    pub(super) fn put(&self, name: &str, made: &Made) {
        made.write(&self.path(&format!("{name}.pem")), &self.path(&format!("{name}.key")));
    }

    /// Writes a certificate and names it in the configuration.
    pub(super) fn add(&mut self, name: &str, made: &Made) {
        self.put(name, made);
        let at = KeyPath::default().child("tls").child("certificates").index(self.config.certificates.len());
        self.config.certificates.push(CertificateFiles {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
            ocsp: None,
            at,
        });
    }

    /// Client authentication with the authorities in a file of this name.
    pub(super) fn auth(&self, mode: ClientAuthMode, file: &str, authority: &Authority) -> ClientAuth {
        let ca = self.write(file, pem("CERTIFICATE", authority.der()));
        ClientAuth { mode, ca: Some(ca), at: KeyPath::default().child(file) }
    }

    pub(super) fn host(&mut self, host: &str, auth: ClientAuth) {
        self.config.hosts.push((host.parse().unwrap(), auth));
    }

    pub(super) fn load(&self) -> Result<(Termination, Vec<Problem>), Vec<Problem>> {
        Termination::load(&self.config, &self.http, &self.keys, &self.time.clock())
    }

    /// Without any problem.
    pub(super) fn termination(&self) -> Termination {
        let (termination, warnings) = self.load().unwrap();
        assert_eq!(warnings, []);
        termination
    }

    /// The problems as `error at: message (help)`, with file names for paths.
    pub(super) fn problems(&self) -> Vec<String> {
        let problems = match self.load() {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        problems.iter().map(|problem| self.told(problem)).collect()
    }

    fn told(&self, problem: &Problem) -> String {
        let kind = if problem.is_error { "error" } else { "warning" };
        let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let told = format!("{kind} {}: {}{help}", problem.at, problem.message);
        told.replace(&format!("{}/", self.folder.path().display()), "")
    }
}
