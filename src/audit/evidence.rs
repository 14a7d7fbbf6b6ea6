use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use crate::config::spec::{OneOrMany, SecretSpec, Spec};
use crate::config::{
    Config, FilterUse, KeyPath, Listener, ListenerTls, Pool, Route, SecretKeys, Source, UpstreamTls,
};
use crate::filters::{ApiKeySettings, ApiKeySpec, BasicAuthSettings, PasswordHash};

use super::inspect::{Inspected, inspect};

/// All that rules look at, read once.
pub(super) struct Evidence<'a> {
    pub(super) config: &'a Config,
    pub(super) source: &'a Source,
    /// What is written, before names were resolved.
    pub(super) spec: Spec,
    pub(super) now: SystemTime,
    pub(super) secrets: Vec<NamedSecret>,
    pub(super) files: Vec<NamedFile>,
    pub(super) certificates: Vec<NamedCertificate>,
}

/// A secret, as it is written.
pub(super) struct NamedSecret {
    pub(super) at: KeyPath,
    pub(super) spec: SecretSpec,
    /// How much chance there can be in it at most; `None` where it cannot be read from here.
    pub(super) bits: Option<u32>,
}

/// A file, and who may do what with it.
pub(super) struct NamedFile {
    pub(super) at: KeyPath,
    pub(super) path: PathBuf,
    pub(super) kind: FileKind,
    /// The bits of chmod(1); `None` where it is not there.
    pub(super) mode: Option<u32>,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Secret,
    Configuration,
    /// The folder of the control socket.
    ControlFolder,
}

/// A certificate that the configuration names, and what it is.
pub(super) struct NamedCertificate {
    pub(super) at: KeyPath,
    pub(super) path: PathBuf,
    /// Whether it is shown to clients, so that it is this side's to renew.
    pub(super) is_own: bool,
    pub(super) inspected: Inspected,
}

impl<'a> Evidence<'a> {
    /// Reads what there is to be read. Paths that are not resolved yet start at `base`.
    pub(super) fn gather(
        (config, source): (&'a Config, &'a Source),
        base: &Path,
        secrets_of_filter: &dyn Fn(&str) -> Option<SecretKeys>,
        now: SystemTime,
    ) -> Self {
        let mut evidence = Self {
            config,
            source,
            // A configuration that was resolved can be read.
            spec: source.read_at(&KeyPath::default()).unwrap_or_default(),
            now,
            secrets: Vec::new(),
            files: Vec::new(),
            certificates: Vec::new(),
        };
        evidence.secrets = evidence.find_secrets(base, secrets_of_filter);
        evidence.name_secret_files(base);
        evidence.name_files();
        evidence.read_certificates();
        evidence
    }

    /// The settings at `at`, or those of them that `T` knows.
    pub(super) fn read<T: DeserializeOwned>(&self, at: &KeyPath) -> Option<T> {
        self.source.read_at(at).ok()
    }

    /// The route's filters of this name.
    pub(super) fn filters_of<'r, T: DeserializeOwned>(
        &'r self,
        route: &'r Route,
        name: &'r str,
    ) -> impl Iterator<Item = T> + 'r {
        let named = route.filters.iter().filter(move |filter| filter.name == name);
        named.filter_map(|filter| self.read(&filter.settings))
    }

    /// The listeners that bring requests to the route.
    pub(super) fn listeners_of<'r>(&'r self, route: &'r Route) -> impl Iterator<Item = &'r Listener> {
        let named = |place: &usize| route.listeners.is_empty() || route.listeners.contains(place);
        let all = self.config.listeners.iter().enumerate();
        all.filter(move |(place, _)| named(place))
            .map(|(_, listener)| listener)
            .filter(|listener| listener.service.http().is_some_and(|http| http.redirect_https.is_none()))
    }

    /// Whether HTTP is spoken to the pool, rather than whatever a listener passes on.
    pub(super) fn serves_http(&self, pool: &Pool) -> bool {
        let is_this = |place: &usize| self.config.pools[*place].name == pool.name;
        let by_route = self.config.routes.iter().any(|route| route.action.pools().iter().any(is_this));
        by_route || !self.config.listeners.iter().any(|listener| listener.service.pools().iter().any(is_this))
    }

    fn filters(&self, name: &'static str) -> impl Iterator<Item = &FilterUse> {
        let all = self.config.routes.iter().flat_map(|route| &route.filters);
        all.filter(move |filter| filter.name == name)
    }

    /// The schemas know them, so that none is forgotten.
    fn find_secrets(
        &self,
        base: &Path,
        secrets_of_filter: &dyn Fn(&str) -> Option<SecretKeys>,
    ) -> Vec<NamedSecret> {
        let of_file = SecretKeys::of_file().written_in(self.source, &KeyPath::default());
        let filters = self.config.routes.iter().flat_map(|route| &route.filters);
        let of_filters = filters.filter_map(|filter| {
            Some(secrets_of_filter(&filter.name)?.written_in(self.source, &filter.settings))
        });
        let all = of_file.into_iter().chain(of_filters.flatten());
        let named = all.flat_map(|at| self.secrets_at(&at).into_iter().map(move |spec| (at.clone(), spec)));
        named.map(|(at, spec)| NamedSecret::new(at, spec, base)).collect()
    }

    /// What is written there, but for hashes, which tell no secret.
    fn secrets_at(&self, at: &KeyPath) -> Vec<SecretSpec> {
        if self.read::<PasswordHash>(at).is_some() {
            return Vec::new();
        }
        let written = self.read::<OneOrMany<ApiKeySpec>>(at).into_iter().flatten();
        let secret = |written| match written {
            ApiKeySpec::Secret(spec) => Some(spec),
            ApiKeySpec::Sha256(_) => None,
        };
        written.filter_map(secret).collect()
    }

    fn name_secret_files(&mut self, base: &Path) {
        let named = self.secrets.iter().filter_map(|secret| match &secret.spec {
            SecretSpec::File(path) => Some((secret.at.clone(), base.join(path))),
            SecretSpec::Text(_) | SecretSpec::Env(_) => None,
        });
        let mut named: Vec<_> = named.collect();
        for filter in self.filters("api_key") {
            let file = self.read::<ApiKeySettings>(&filter.settings).and_then(|settings| settings.file);
            named.extend(file.map(|file| (filter.settings.child("file"), base.join(file))));
        }
        for filter in self.filters("basic_auth") {
            let file = self.read::<BasicAuthSettings>(&filter.settings).and_then(|settings| settings.file);
            named.extend(file.map(|file| (filter.settings.child("file"), base.join(file))));
        }
        for tls in self.config.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
            let keys = tls.certificates.iter().map(|files| (files.at.child("key"), files.key.clone()));
            named.extend(keys);
        }
        for tls in self.config.pools.iter().filter_map(|pool| pool.tls.as_ref()) {
            named.extend(tls.identity.iter().map(|(_, key)| (tls.at.child("key"), key.clone())));
        }
        let secret_file = KeyPath::default().child("server").child("secret_file");
        named.push((secret_file, self.config.secret_file.clone()));
        self.add_files(named, FileKind::Secret);
    }

    fn name_files(&mut self) {
        let texts = self.source.included().into_iter().map(|included| PathBuf::from(included.file));
        let texts: Vec<_> = [PathBuf::from(self.source.file())].into_iter().chain(texts).collect();
        self.add_files(texts.into_iter().map(|path| (KeyPath::default(), path)), FileKind::Configuration);
        let folder = self.config.control_socket.as_ref().and_then(|place| place.path.parent());
        let folder = folder.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        let at = KeyPath::default().child("server").child("control_socket");
        self.add_files(folder.map(|folder| (at, folder.to_owned())), FileKind::ControlFolder);
    }

    fn add_files(&mut self, named: impl IntoIterator<Item = (KeyPath, PathBuf)>, kind: FileKind) {
        let mode = |path: &Path| Some(fs::metadata(path).ok()?.permissions().mode());
        let files = named.into_iter().map(|(at, path)| NamedFile { at, mode: mode(&path), path, kind });
        self.files.extend(files);
    }

    fn read_certificates(&mut self) {
        let own = self.config.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(own);
        let upstream = self.config.pools.iter().filter_map(|pool| pool.tls.as_ref()).flat_map(upstream);
        let named: Vec<_> = own.chain(upstream).collect();
        for (at, path, is_own) in named {
            let all = inspect(&path).into_iter();
            self.certificates.extend(all.map(|inspected| NamedCertificate {
                at: at.clone(),
                path: path.clone(),
                is_own,
                inspected,
            }));
        }
    }
}

impl NamedSecret {
    fn new(at: KeyPath, spec: SecretSpec, base: &Path) -> Self {
        let bits = spec.read(base).ok().map(|secret| most_bits(&secret));
        Self { at, spec, bits }
    }
}

/// What there would be of chance if each byte were any of those that occur.
fn most_bits(secret: &[u8]) -> u32 {
    let alphabet = secret.iter().collect::<BTreeSet<_>>().len() as f64;
    (secret.len() as f64 * alphabet.max(1.0).log2()) as u32
}

/// The certificates of a listener, and those that its clients' have to be from.
fn own(tls: &ListenerTls) -> Vec<(KeyPath, PathBuf, bool)> {
    let shown = tls.certificates.iter().map(|files| (files.at.child("cert"), files.cert.clone(), true));
    let asked = tls.hosts.iter().map(|(_, asked)| asked).chain([&tls.client_auth]);
    let authorities = asked.filter_map(|asked| Some((asked.at.child("ca"), asked.ca.clone()?, false)));
    shown.chain(authorities).collect()
}

/// The certificates of TLS towards endpoints.
fn upstream(tls: &UpstreamTls) -> Vec<(KeyPath, PathBuf, bool)> {
    let identity = tls.identity.iter().map(|(cert, _)| (tls.at.child("cert"), cert.clone(), true));
    let authorities = tls.ca.iter().map(|ca| (tls.at.child("ca"), ca.clone(), false));
    identity.chain(authorities).collect()
}
