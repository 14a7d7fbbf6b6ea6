use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::config::{Diagnostics, KeyPath, SecretKeys, Segment, Source};
use crate::filters::{
    AdaptiveConcurrency, ApiKey, Bandwidth, BasicAuth, BodyLimit, CacheFilter, Compress, Concurrency, Cors,
    Decompress, ErrorPages, Fault, ForwardAuth, Geo, GrpcWeb, Hedge, Hsts, Jwt, Mirror, Networks, RateLimit,
    RequestHeaders, RequireClientCert, ResponseHeaders, Rewrite, SecurityHeaders, Timeout, Waf,
};
use crate::hooks::{BuildCx, BuildError, Filter, Member, Policy};
use crate::pools::PolicyFactory;
use crate::pools::policy::{
    First, IpHash, LeastRequests, Maglev, P2c, PeakEwma, RandomByWeight, Ring, RoundRobin,
};
use crate::types::{Random, closest};

type BuildFilter =
    Arc<dyn Fn(&Source, &KeyPath, &BuildCx<'_>) -> Result<Box<dyn Filter>, Diagnostics> + Send + Sync>;
type BuildPolicy =
    Arc<dyn Fn(&Source, &KeyPath, &BuildCx<'_>) -> Result<PolicyFactory, Diagnostics> + Send + Sync>;

/// What filters and policies there are, by name, and how each is built from its settings.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    filters: BTreeMap<String, BuildFilter>,
    policies: BTreeMap<String, BuildPolicy>,
    /// With their headings in the reference.
    schemas: Vec<(String, Schema)>,
    /// What was registered under a name that was taken.
    taken: Vec<String>,
}

/// Settings of a policy that has none.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

impl Registry {
    /// The built-in filters and policies.
    pub(crate) fn with_built_ins() -> Self {
        let mut registry = Self::default();
        registry.built_in_filter("adaptive_concurrency", AdaptiveConcurrency::build);
        registry.built_in_filter("allow", Networks::allow);
        registry.built_in_filter("api_key", ApiKey::build);
        registry.built_in_filter("bandwidth", Bandwidth::build);
        registry.built_in_filter("basic_auth", BasicAuth::build);
        registry.built_in_filter("body", BodyLimit::build);
        registry.built_in_filter("cache", CacheFilter::build);
        registry.built_in_filter("client_cert", RequireClientCert::build);
        registry.built_in_filter("compress", Compress::build);
        registry.built_in_filter("concurrency", Concurrency::build);
        registry.built_in_filter("cors", Cors::build);
        registry.built_in_filter("decompress", Decompress::build);
        registry.built_in_filter("deny", Networks::deny);
        registry.built_in_filter("error_pages", ErrorPages::build);
        registry.built_in_filter("forward_auth", ForwardAuth::build);
        registry.built_in_filter("fault", Fault::build);
        registry.built_in_filter("geo", Geo::build);
        registry.built_in_filter("grpc_web", GrpcWeb::build);
        registry.built_in_filter("hedge", Hedge::build);
        registry.built_in_filter("hsts", Hsts::build);
        registry.built_in_filter("jwt", Jwt::build);
        registry.built_in_filter("mirror", Mirror::build);
        registry.built_in_filter("rate_limit", RateLimit::build);
        registry.built_in_filter("request_headers", RequestHeaders::build);
        registry.built_in_filter("response_headers", ResponseHeaders::build);
        registry.built_in_filter("rewrite", Rewrite::build);
        registry.built_in_filter("security_headers", SecurityHeaders::build);
        registry.built_in_filter("timeout", Timeout::build);
        registry.built_in_filter("waf", Waf::build);
        registry.plain_policy("first", |_, _| First);
        registry.built_in_policy("ip_hash", IpHash::build);
        registry.plain_policy("least_requests", |_, _| LeastRequests);
        registry.built_in_policy("maglev", Maglev::build);
        registry.plain_policy("p2c", |members, _| P2c::new(members));
        registry.plain_policy("peak_ewma", |members, _| PeakEwma::new(members));
        registry.plain_policy("random", |members, _| RandomByWeight::new(members));
        registry.built_in_policy("ring", Ring::build);
        registry.plain_policy("round_robin", RoundRobin::new);
        registry
    }

    /// Whether there is a filter of this name.
    pub(crate) fn has_filter(&self, name: &str) -> bool {
        self.filters.contains_key(name)
    }

    /// A built-in policy without settings.
    fn plain_policy<P: Policy + 'static>(
        &mut self,
        name: &str,
        build: impl Fn(&[Member], &mut Random) -> P + Copy + Send + Sync + 'static,
    ) {
        self.policy(name, move |_: NoSettings, _| {
            Ok(move |members: &[Member], random: &mut Random| {
                Box::new(build(members, random)) as Box<dyn Policy>
            })
        });
    }

    fn built_in_policy<S, F, P>(
        &mut self,
        name: &str,
        build: impl Fn(S, &BuildCx<'_>) -> Result<F, BuildError> + Send + Sync + 'static,
    ) where
        S: DeserializeOwned + JsonSchema,
        F: Fn(&[Member]) -> P + Send + Sync + 'static,
        P: Policy + 'static,
    {
        self.describe::<S>(POLICY, name);
        self.policy(name, move |settings, cx| {
            let new_policy = build(settings, cx)?;
            Ok(move |members: &[Member], _: &mut Random| Box::new(new_policy(members)) as Box<dyn Policy>)
        });
    }

    fn built_in_filter<S, F>(
        &mut self,
        name: &str,
        build: impl Fn(S, &BuildCx<'_>) -> Result<F, BuildError> + Send + Sync + 'static,
    ) where
        S: DeserializeOwned + JsonSchema,
        F: Filter + 'static,
    {
        self.describe::<S>(FILTER, name);
        self.filter(name, build);
    }

    fn describe<S: JsonSchema>(&mut self, kind: &str, name: &str) {
        let schema = SchemaGenerator::default().into_root_schema_for::<S>();
        self.schemas.push((heading(kind, name), schema));
    }

    /// Adds a filter. A name that is taken keeps what it stands for, and configurations are refused.
    pub(crate) fn filter<S, F>(
        &mut self,
        name: &str,
        build: impl Fn(S, &BuildCx<'_>) -> Result<F, BuildError> + Send + Sync + 'static,
    ) where
        S: DeserializeOwned,
        F: Filter + 'static,
    {
        let build: BuildFilter = Arc::new(move |source, path, cx| {
            let settings = source.read_at::<S>(path)?;
            let filter = build(settings, cx).map_err(|error| diagnose(error, source, path))?;
            Ok(Box::new(filter))
        });
        if insert(&mut self.filters, name, build).is_err() {
            self.taken.push(format!("filter `{name}`"));
        }
    }

    /// Adds a policy; as for [`filter`](Self::filter).
    pub(crate) fn policy<S, F>(
        &mut self,
        name: &str,
        build: impl Fn(S, &BuildCx<'_>) -> Result<F, BuildError> + Send + Sync + 'static,
    ) where
        S: DeserializeOwned,
        F: Fn(&[Member], &mut Random) -> Box<dyn Policy> + Send + Sync + 'static,
    {
        let build: BuildPolicy = Arc::new(move |source, path, cx| {
            let settings = source.read_at::<S>(path)?;
            let factory = build(settings, cx).map_err(|error| diagnose(error, source, path))?;
            Ok(Box::new(factory))
        });
        if insert(&mut self.policies, name, build).is_err() {
            self.taken.push(format!("policy `{name}`"));
        }
    }

    pub(crate) fn build_filter(
        &self,
        name: &str,
        source: &Source,
        path: &KeyPath,
        cx: &BuildCx<'_>,
    ) -> Result<Box<dyn Filter>, Diagnostics> {
        match self.filters.get(name) {
            Some(build) => build(source, path, cx),
            None => Err(unknown("filter", name, self.filters.keys(), source, path)),
        }
    }

    pub(crate) fn build_policy(
        &self,
        name: &str,
        source: &Source,
        path: &KeyPath,
        cx: &BuildCx<'_>,
    ) -> Result<PolicyFactory, Diagnostics> {
        match self.policies.get(name) {
            Some(build) => build(source, path, cx),
            None => Err(unknown("policy", name, self.policies.keys(), source, path)),
        }
    }

    /// The first thing that was registered under a name that was taken.
    pub(crate) fn taken(&self) -> Option<&str> {
        self.taken.first().map(String::as_str)
    }

    /// The names of all policies, in alphabetical order.
    pub(crate) fn policy_names(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(String::as_str)
    }

    /// What is secret among the settings of a filter; `None` where they are not described.
    pub(crate) fn secrets_of_filter(&self, name: &str) -> Option<SecretKeys> {
        let heading = heading(FILTER, name);
        let (_, schema) = self.schemas.iter().find(|(known, _)| *known == heading)?;
        Some(SecretKeys::of(schema))
    }

    /// The settings of the built-in filters and policies, each with its heading in the reference.
    pub(crate) fn schemas(&self) -> &[(String, Schema)] {
        &self.schemas
    }
}

/// What is described, in headings.
const FILTER: &str = "Filter";
const POLICY: &str = "Policy";

fn heading(kind: &str, name: &str) -> String {
    format!("{kind} `{name}`")
}

/// A name that stands for something already.
struct Taken;

fn insert<B>(map: &mut BTreeMap<String, B>, name: &str, build: B) -> Result<(), Taken> {
    match map.entry(name.to_owned()) {
        Entry::Occupied(_) => Err(Taken),
        Entry::Vacant(free) => {
            free.insert(build);
            Ok(())
        }
    }
}

/// A hook's own error, at the key of its settings that it names.
fn diagnose(error: BuildError, source: &Source, path: &KeyPath) -> Diagnostics {
    let (keys, message, help) = error.into_parts();
    let path = keys.into_iter().fold(path.clone(), |path, key| path.join(segment(key)));
    let mut diagnostics = Diagnostics::new(source.file());
    let diagnostic = diagnostics.error(source, &path, message);
    if let Some(help) = help {
        diagnostic.help(help);
    }
    diagnostics
}

/// Hooks name the items of a list by their number.
fn segment(key: String) -> Segment {
    match key.parse() {
        Ok(index) => Segment::Index(index),
        Err(_) => Segment::Key(key),
    }
}

fn unknown<'n>(
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'n String> + Clone,
    source: &Source,
    path: &KeyPath,
) -> Diagnostics {
    let mut diagnostics = Diagnostics::new(source.file());
    let help = match closest(name, known.clone().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("registered: {}", known.cloned().collect::<Vec<_>>().join(", ")),
    };
    diagnostics.error_at_key(source, path, format!("unknown {kind} `{name}`")).help(help);
    diagnostics
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("filters", &self.filters.keys())
            .field("policies", &self.policies.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Origin, text_with};

    use super::*;

    /// The schema of the file does not know them, so that their names have to tell.
    #[test]
    fn secrets_among_the_settings_of_filters_are_not_shown() {
        let mut secrets = Vec::new();
        for (title, schema) in Registry::with_built_ins().schemas() {
            let name = title.split('`').nth(1).unwrap();
            let settings = KeyPath::default().child("routes").index(0).child("filters").index(0).child(name);
            for secret in SecretKeys::of(schema).all() {
                let at = secret.segments().iter().fold(settings.clone(), |at, step| at.join(step.clone()));
                let text = Origin::test(text_with(&at, "SECRET".into())).redacted().unwrap();
                assert!(!text.contains("SECRET"), "{at}: {text}");
                secrets.push(format!("{name}.{secret}"));
            }
        }
        for known in
            ["api_key.keys.NAME", "basic_auth.passwords.NAME", "cache.purge.token", "jwt.keys.secret"]
        {
            assert!(secrets.iter().any(|secret| secret == known), "{known}: {secrets:?}");
        }
    }
}
