//! A program with a filter of its own: it tells tenants apart by their API key, lets nobody else in, says to the
//! endpoints whose request it is, and gives tenants pools of their own.
//!
//! It is the whole `evener` command, with one filter more:
//!
//! ```text
//! cargo run --example custom_filter -- run -c examples/conf/custom-filter.yaml
//! cargo run --example custom_filter -- explain -c examples/conf/custom-filter.yaml http://127.0.0.1:8080/
//! ```
//!
//! docs/hooks.md goes through it line by line.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;

use async_trait::async_trait;
use evener::app::App;
use evener::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, PoolRef, Rejection, RequestView, ResponseView,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

fn main() -> ExitCode {
    evener::cli::main(&App::builder().filter("tenant", Tenants::build))
}

/// The tenant that endpoints are told; what a client sends under this name is replaced.
const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// What stands in the configuration file under `tenant`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantSettings {
    /// The request header that carries the key.
    #[serde(default = "default_header")]
    pub(crate) header: String,
    /// The tenants by name.
    pub(crate) tenants: BTreeMap<String, TenantEntry>,
}

/// One tenant in the configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantEntry {
    /// The key that its requests carry.
    pub(crate) key: String,
    /// The pool that serves it. Default: the route's.
    #[serde(default)]
    pub(crate) pool: Option<String>,
}

fn default_header() -> String {
    "X-API-Key".to_owned()
}

/// The filter: the settings, brought into the form in which requests need them.
pub(crate) struct Tenants {
    header: HeaderName,
    by_key: HashMap<Vec<u8>, Tenant>,
}

/// One tenant. It stays with a request to its end, as the filter's state for that request.
#[derive(Clone)]
struct Tenant {
    name: HeaderValue,
    pool: Option<PoolRef>,
}

impl Tenants {
    /// Makes the filter of its settings, once for every route that uses it. Whatever is wrong with them is found
    /// here, before the configuration serves a request.
    pub(crate) fn build(settings: TenantSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let header = settings.header.parse().map_err(|_| {
            BuildError::new(format!("`{}` is not a header's name", settings.header)).at("header")
        })?;
        if settings.tenants.is_empty() {
            return Err(BuildError::new("without a tenant every request would be refused").at("tenants"));
        }
        let mut by_key = HashMap::new();
        for (name, entry) in settings.tenants {
            // The error knows what is wrong; where it is, is said from the inside out.
            let tenant = Tenant::build(&name, &entry, cx).map_err(|error| error.at(&name).at("tenants"))?;
            if by_key.insert(entry.key.into_bytes(), tenant).is_some() {
                let error = BuildError::new("another tenant has this key");
                return Err(error
                    .with_help("give every tenant a key of its own")
                    .at("key")
                    .at(&name)
                    .at("tenants"));
            }
        }
        Ok(Self { header, by_key })
    }
}

impl Tenant {
    fn build(name: &str, entry: &TenantEntry, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        if entry.key.is_empty() {
            return Err(BuildError::new("an empty key is none").at("key"));
        }
        let pool = entry.pool.as_deref().map(|pool| cx.pool(pool)).transpose();
        Ok(Self {
            name: HeaderValue::from_str(name).map_err(BuildError::new)?,
            pool: pool.map_err(|error| error.at("pool"))?,
        })
    }
}

#[async_trait]
impl Filter for Tenants {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let key = request.header(&self.header).map(HeaderValue::as_bytes);
        let Some(tenant) = key.and_then(|key| self.by_key.get(key)) else {
            return Ok(Rejection::new(StatusCode::FORBIDDEN, "unknown_tenant").into());
        };
        request.remove_header(&self.header); // the key is between the client and the edge
        request.set_header(X_TENANT, tenant.name.clone())?;
        if let Some(pool) = tenant.pool {
            cx.set_pool(pool);
        }
        cx.extensions_mut().insert(tenant.clone());
        Ok(Flow::Continue)
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        match cx.extensions().get::<Tenant>() {
            Some(tenant) => response.set_header(X_TENANT, tenant.name.clone()),
            None => Ok(()), // refused above
        }
    }

    fn describe(&self) -> String {
        format!("{} tenants by {}", self.by_key.len(), self.header)
    }
}
