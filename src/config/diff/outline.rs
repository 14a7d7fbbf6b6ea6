use crate::config::spec::Spec;
use crate::config::{BalanceUse, Config, Diagnostic, Diagnostics, KeyPath, Pool, Route, Secret, Source};

use super::value::{Value, told_apart};

/// What a configuration says, in a form in which two can be compared. Holds no more of the text than that.
///
/// Paths are compared as they stand in the file, relative to it: the same file in another directory says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    sections: Vec<(String, Value)>,
}

impl Outline {
    /// The outline of a configuration that nothing is wrong with.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(config: &Config, source: &Source) -> Result<Self, Diagnostics> {
        let spec: Spec = source.read_at(&KeyPath::default())?;
        let written = serde_json::to_value(&spec).map_err(|error| {
            let mut problems = Diagnostics::new(source.file());
            problems.push(Diagnostic::error(None, format_args!("it cannot be compared: {error}")));
            problems
        })?;
        let Value::Map(sections) = written.into() else { return Ok(Self { sections: Vec::new() }) };
        let mut outline = Self { sections };
        outline.fill_in(config, source);
        Ok(outline)
    }

    pub(super) fn sections(&self) -> &[(String, Value)] {
        &self.sections
    }

    pub(super) fn section(&self, name: &str) -> &Value {
        self.sections.iter().find(|(known, _)| known == name).map_or(&Value::Nothing, |(_, value)| value)
    }

    /// Adds what the spec does not know.
    fn fill_in(&mut self, config: &Config, source: &Source) {
        for (section, value) in &mut self.sections {
            match section.as_str() {
                "server" => fill_in_stores(value, config),
                "admin" => fill_in_tokens(value, config),
                "pools" => {
                    let pools = value.entries_mut().iter_mut().zip(&config.pools);
                    pools.for_each(|((_, outlined), pool)| fill_in_pool(outlined, pool, source));
                }
                "routes" => {
                    let routes = value.entries_mut().iter_mut().zip(&config.routes);
                    routes.for_each(|(outlined, route)| fill_in_route(outlined, route, source));
                }
                _ => {}
            }
        }
    }
}

fn fill_in_stores(server: &mut Value, config: &Config) {
    let Some(stores) = server.get_mut("stores") else { return };
    for ((_, outlined), store) in stores.entries_mut().iter_mut().zip(&config.stores) {
        if let (Some(outlined), Some(password)) = (outlined.get_mut("password"), &store.password) {
            *outlined = Value::Secret(password.clone());
        }
    }
}

/// The digests tell whether they differ as well as the tokens would.
fn fill_in_tokens(admin: &mut Value, config: &Config) {
    let Some(outlined) = admin.get_mut("tokens") else { return };
    let tokens = config.admin.iter().flat_map(|admin| &admin.tokens);
    for ((_, outlined), token) in outlined.entries_mut().iter_mut().zip(tokens) {
        if let Some(outlined) = outlined.get_mut("token") {
            *outlined = Value::Secret(Secret(token.digest.as_bytes().into()));
        }
    }
}

/// Built-in policies that choose alike in whatever order they get their members.
const BLIND_TO_ORDER: [&str; 8] =
    ["peak_ewma", "p2c", "least_requests", "round_robin", "random", "ip_hash", "ring", "maglev"];

fn fill_in_pool(outlined: &mut Value, pool: &Pool, source: &Source) {
    if let Some(balance) = outlined.get_mut("balance") {
        *balance = balance_of(&pool.balance, source);
    }
    if let Some(Value::List(endpoints)) = outlined.get_mut("endpoints") {
        for ((_, outlined), endpoint) in endpoints.iter_mut().zip(&pool.endpoints) {
            if let Some(max_requests) = outlined.get_mut("max_requests") {
                *max_requests = Value::Text(endpoint.max_requests.to_string());
            }
        }
        if BLIND_TO_ORDER.contains(&pool.balance.policy.as_str()) {
            endpoints.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
    }
    let secret = pool.sticky.as_ref().and_then(|sticky| sticky.secret.clone());
    let outlined = outlined.get_mut("sticky").and_then(|sticky| sticky.get_mut("secret"));
    if let (Some(outlined), Some(secret)) = (outlined, secret) {
        *outlined = Value::Secret(secret);
    }
}

fn balance_of(balance: &BalanceUse, source: &Source) -> Value {
    let name = (String::new(), Value::Text(balance.policy.clone()));
    let settings = balance.settings.as_ref().and_then(|path| source.root().at(path));
    Value::Map(match Value::of_settings(settings) {
        Value::Map(entries) if entries.is_empty() => vec![name],
        settings => vec![name, (balance.policy.clone(), settings)],
    })
}

fn fill_in_route((name, outlined): &mut (String, Value), route: &Route, source: &Source) {
    route.name.as_str().clone_into(name);
    let Value::Map(entries) = outlined else { return };
    entries.retain(|(key, _)| key != "name");
    let settings = route
        .filters
        .iter()
        .map(|filter| (filter.name.clone(), Value::of_settings(source.root().at(&filter.settings))));
    if let Some(filters) = outlined.get_mut("filters") {
        *filters = Value::List(told_apart(settings));
    }
}
