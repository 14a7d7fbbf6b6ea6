use std::path::PathBuf;

use crate::config::spec::{
    CertificateSpec, ClientAuthMode, ClientAuthSpec, ListenerTlsSpec, PoolTls, UpstreamProtocol,
};
use crate::config::{CertificateFiles, ClientAuth, Endpoint, KeyPath, ListenerTls, UpstreamTls};
use crate::types::EndpointAddr;

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn listener_tls(&mut self, spec: ListenerTlsSpec, at: &KeyPath) -> ListenerTls {
        let mut hosts = Vec::with_capacity(spec.hosts.len());
        for (host, tls) in spec.hosts {
            let path = at.child("hosts").child(host.to_string()).child("client_auth");
            hosts.push((host, self.client_auth(tls.client_auth, path)));
        }
        ListenerTls {
            certificates: self.certificates(spec.certificates, &at.child("certificates")),
            unknown_sni: spec.unknown_sni,
            min_version: spec.min_version,
            client_auth: self.client_auth(spec.client_auth, at.child("client_auth")),
            hosts,
            rotate_tickets: spec.tickets.rotate,
        }
    }

    fn certificates(&mut self, specs: Vec<CertificateSpec>, at: &KeyPath) -> Vec<CertificateFiles> {
        if specs.is_empty() && !self.is_partial(at) {
            self.error(at, "the list is empty; TLS needs at least one certificate")
                .help("add one, like `- { cert: tls/site.pem, key: tls/site.key }`");
        }
        let paths = self.items(at);
        let files = |(spec, at): (CertificateSpec, KeyPath)| CertificateFiles {
            cert: self.base.join(spec.cert),
            key: self.base.join(spec.key),
            ocsp: spec.ocsp.map(|ocsp| self.base.join(ocsp)),
            at,
        };
        specs.into_iter().zip(paths).map(files).collect()
    }

    fn client_auth(&mut self, spec: ClientAuthSpec, at: KeyPath) -> ClientAuth {
        let is_off = spec.mode == ClientAuthMode::Off;
        if spec.ca.is_none() && !is_off && !self.is_partial(&at) {
            self.error(&at, "there is no `ca`, so no client's certificate could be good")
                .help("name the file with the authorities, like `ca: tls/clients.pem`");
        }
        if spec.ca.is_some() && is_off && !self.is_partial(&at) {
            self.warning(&at.child("ca"), "it is not used while `mode` is `off`");
        }
        ClientAuth { mode: spec.mode, ca: spec.ca.map(|ca| self.base.join(ca)), at }
    }

    pub(super) fn upstream_tls(
        &mut self,
        spec: PoolTls,
        endpoints: &[Endpoint],
        pool: &KeyPath,
    ) -> Option<UpstreamTls> {
        let at = pool.child("tls");
        let is_unix = |endpoint: &Endpoint| matches!(endpoint.address, EndpointAddr::Unix(_));
        if spec.verify && spec.sni.is_none() && endpoints.iter().any(is_unix) {
            self.error(&at, "there is no `sni`, and an endpoint on a Unix socket has no address to verify")
                .help("write the name that its certificate holds, like `tls: { sni: api.internal }`");
        }
        if !spec.verify {
            self.warning(&at.child("verify"), "endpoints are believed without proof, whoever answers");
            if spec.ca.is_some() {
                self.error(&at.child("ca"), "it is not used while `verify` is `false`")
                    .help("remove one of the two");
            }
        }
        let identity = self.identity(spec.cert, spec.key, &at)?;
        let ca = spec.ca.map(|ca| self.base.join(ca));
        Some(UpstreamTls { sni: spec.sni, ca, identity, verify: spec.verify, at })
    }

    /// Both files or none; `None` when one is missing.
    fn identity(
        &mut self,
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
        at: &KeyPath,
    ) -> Option<Option<(PathBuf, PathBuf)>> {
        match (cert, key) {
            (Some(cert), Some(key)) => Some(Some((self.base.join(cert), self.base.join(key)))),
            (None, None) => Some(None),
            (cert, _) => {
                let missing = if cert.is_some() { "key" } else { "cert" };
                self.error(at, format!("there is no `{missing}`; `cert` and `key` go together"))
                    .help(format!("add `{missing}`, a PEM file"));
                None
            }
        }
    }

    pub(super) fn check_protocol(&mut self, protocol: UpstreamProtocol, has_tls: bool, at: &KeyPath) {
        match protocol {
            UpstreamProtocol::H2 if !has_tls => {
                self.error(at, "`h2` is HTTP/2 over TLS, and the pool has no `tls`")
                    .help("write h2c for HTTP/2 without TLS, or add `tls: true`");
            }
            UpstreamProtocol::Auto if !has_tls => {
                self.error(at, "`auto` is decided in the TLS handshake, and the pool has no `tls`")
                    .help("write h1 or h2c, or add `tls: true`");
            }
            UpstreamProtocol::H2c if has_tls => {
                self.error(at, "`h2c` is HTTP/2 without TLS, and the pool has `tls`")
                    .help("write h2, or remove `tls`");
            }
            _ => {}
        }
    }
}
