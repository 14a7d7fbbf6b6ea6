//! The pool that is put to the test: built as a configuration file would have it built.

use std::path::Path;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::config::{self, Diagnostic, Diagnostics, Loaded};
use crate::hooks::BuildCx;
use crate::pools::{PolicyFactory, Pool, PoolParts};
use crate::runtime::Registry;
use crate::types::Random;

use super::SimulateError;
use super::engine::{Outcomes, Plan, simulate};
use super::fleet::EndpointPlan;

/// A policy and the pool around it.
pub(super) struct Subject {
    config: config::Pool,
    factory: PolicyFactory,
}

/// Further keys of the pool.
#[derive(Clone, Debug, Default)]
pub(super) struct PoolKeys(Map<String, Value>);

/// The keys of a pool that make a difference here. Neither probes nor retries are simulated.
const SIMULATED: [&str; 5] = ["outlier", "slow_start", "panic", "max_requests", "queue"];

impl Subject {
    /// Checks a policy, a name or a map of its name and its settings, and what the pool is to be like.
    pub(super) fn new(
        policy: &str,
        keys: &PoolKeys,
        endpoints: &[EndpointPlan],
        registry: &Registry,
    ) -> Result<Self, SimulateError> {
        let refused = |problems: Diagnostics| refusal(policy, &problems);
        let balance: Value = serde_yaml::from_str(policy)
            .map_err(|error| SimulateError::new(format!("--policy {policy}: {error}")))?;
        let text = configuration(&balance, keys, endpoints).to_string();
        let loaded = config::load_text("simulation", Path::new(""), &text).and_then(Loaded::sound);
        let Loaded { config, source, .. } = loaded.map_err(refused)?;
        let cx = BuildCx::new(&[], config.ipv6_prefix);
        let config = config.pools.into_iter().next();
        let config = config.ok_or_else(|| SimulateError::new("there is no pool to simulate"))?;
        let balance = &config.balance;
        let settings = balance.settings.clone().unwrap_or_else(|| balance.at.child(&balance.policy));
        let factory = registry.build_policy(&balance.policy, &source, &settings, &cx).map_err(refused)?;
        Ok(Self { config, factory })
    }

    /// Runs the plan. Picks have a source of randomness of their own, which is the same for all policies.
    pub(super) fn run(self, plan: &Plan, seed: u64) -> Outcomes {
        let mut seeds = Random::with_seed(!seed);
        let start = Instant::now();
        let pool = Pool::new(PoolParts {
            config: &self.config,
            tls: None,
            own_zone: None,
            secret: b"",
            new_policy: self.factory,
            random: seeds.fork(),
            predecessor: None,
            journal: std::sync::Arc::default(),
            now: start,
        });
        simulate(plan, &pool, start, seeds)
    }
}

impl PoolKeys {
    /// Reads a YAML map.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let keys: Map<String, Value> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        match keys.keys().find(|key| !SIMULATED.contains(&key.as_str())) {
            None => Ok(Self(keys)),
            Some(key) => Err(format!("`{key}` is not simulated; allowed: {}", SIMULATED.join(", "))),
        }
    }

    /// The keys as JSON; `None` for none.
    pub(super) fn told(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| Value::Object(self.0.clone()).to_string())
    }
}

/// A configuration with this pool, as YAML, of which JSON is a part.
fn configuration(balance: &Value, keys: &PoolKeys, endpoints: &[EndpointPlan]) -> Value {
    let address = |index: usize| format!("10.0.{}.{}:80", index / 250, index % 250 + 1);
    let endpoint =
        |(index, plan): (usize, &EndpointPlan)| json!({ "address": address(index), "weight": plan.weight });
    let mut pool = keys.0.clone();
    pool.insert("balance".to_owned(), balance.clone());
    pool.insert("endpoints".to_owned(), endpoints.iter().enumerate().map(endpoint).collect());
    json!({
        "listeners": { "web": { "bind": "127.0.0.1:0" } },
        "pools": { "app": pool },
        "routes": [{ "pool": "app" }],
    })
}

/// The problems, at the arguments that brought them about.
fn refusal(policy: &str, problems: &Diagnostics) -> SimulateError {
    let argument = |problem: &Diagnostic| {
        let path = problem.path.to_string();
        match path.strip_prefix("pools.app.").unwrap_or(&path) {
            key if key.starts_with("balance") => format!("--policy {policy}"),
            key => format!("--pool: {key}"),
        }
    };
    let line = |problem: &Diagnostic| {
        let help = problem.help.as_ref().map_or_else(String::new, |help| format!("\n  help: {help}"));
        format!("{}: {}{help}", argument(problem), problem.message)
    };
    SimulateError::new(problems.iter().map(line).collect::<Vec<_>>().join("\n"))
}
