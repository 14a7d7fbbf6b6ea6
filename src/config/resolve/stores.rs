use crate::config::spec::{NamedMap, StoreSpec};
use crate::config::{KeyPath, Secret, Store, UpstreamTls};
use crate::types::{RedisAddr, StoreName};

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn stores(&mut self, specs: NamedMap<StoreName, StoreSpec>, at: &KeyPath) -> Vec<Store> {
        specs.into_iter().map(|(name, spec)| self.store(&at.child(name.as_str()), name, spec)).collect()
    }

    fn store(&mut self, at: &KeyPath, name: StoreName, spec: StoreSpec) -> Store {
        if spec.user.is_some() && spec.password.is_none() {
            self.error(&at.child("user"), "a user without a `password` is nobody")
                .help("write `password`, or remove the key");
        }
        let is_tls = matches!(spec.redis, RedisAddr::Tcp { is_tls: true, .. });
        if spec.ca.is_some() && !is_tls {
            self.error(&at.child("ca"), "there is no certificate to verify, since no TLS is spoken")
                .help("write `rediss://` for TLS, or remove the key");
        }
        let ca = spec.ca.map(|ca| self.base.join(ca));
        let tls = UpstreamTls { sni: None, ca, identity: None, verify: true, at: at.clone() };
        let redis = match spec.redis {
            RedisAddr::Unix(path) => {
                let path = self.base.join(path);
                self.check_socket_path(&path, &at.child("redis"));
                RedisAddr::Unix(path)
            }
            over_tcp @ RedisAddr::Tcp { .. } => over_tcp,
        };
        let password = spec.password.and_then(|secret| self.secret_bytes(&secret, &at.child("password")));
        Store {
            name,
            redis,
            tls: is_tls.then_some(tls),
            user: spec.user,
            password: password.map(|bytes| Secret(bytes.into())),
            timeout: spec.timeout,
            connections: usize::from(spec.connections),
        }
    }
}
