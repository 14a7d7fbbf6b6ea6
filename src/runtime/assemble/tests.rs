use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde::Deserialize;

use super::*;
use crate::hooks::testing::Exchange;
use crate::hooks::{BuildError, Credential, Filter, Flow, Member, Policy};
use crate::pools::policy::First;
use crate::types::Random;

const LISTENER_AND_POOL: &str = "listeners: { web: { bind: 127.0.0.1:0 } }\n\
                                 pools: { app: { endpoints: [127.0.0.1:1], balance: counting } }\n";

#[derive(Deserialize)]
struct NoSettings {}

/// A policy that counts how often one of its line was built.
fn registry(builds: &'static AtomicU32) -> Registry {
    let mut registry = Registry::with_built_ins();
    registry.policy("counting", |_: NoSettings, cx| {
        let count = cx.keep("builds", || AtomicU32::new(0));
        builds.store(count.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Ok::<_, BuildError>(|_: &[Member], _: &mut Random| Box::new(First) as Box<dyn Policy>)
    });
    registry
}

fn reload(routes: &str, registry: &Registry, previous: Option<&Assembled>) -> Result<Assembled, Diagnostics> {
    let text = format!("{LISTENER_AND_POOL}routes:\n{routes}");
    let origin = Origin::Text { name: "edge.yaml".to_owned(), base: PathBuf::new(), text, included: None };
    assemble(&origin, registry, previous)
}

/// Whether a filter of the only route lets a request pass.
async fn passes(assembled: &Assembled, filter: usize) -> bool {
    let filter: &dyn Filter = &*assembled.snapshot.routes[0].filters[filter].filter;
    let mut exchange = Exchange::get("/", Instant::now());
    matches!(exchange.on_request(filter).await.unwrap(), Flow::Continue)
}

#[tokio::test(start_paused = true)]
async fn filters_go_on_with_the_state_of_their_predecessors() {
    static BUILDS: AtomicU32 = AtomicU32::new(0);
    let registry = registry(&BUILDS);
    let api = |filters: &str| format!("  - {{ name: api, filters: [{filters}], pool: app }}\n");
    let two_limits = api("{ rate_limit: { rate: 1/h } }, { rate_limit: { rate: 2/h } }");
    let old = reload(&two_limits, &registry, None).unwrap();
    assert!(passes(&old, 0).await && passes(&old, 1).await);

    let with_another_filter =
        api("{ hsts: {} }, { rate_limit: { rate: 1/h, headers: true } }, { rate_limit: { rate: 2/h } }");
    let new = reload(&with_another_filter, &registry, Some(&old)).unwrap();
    assert!(!passes(&new, 1).await, "the limit knows who came before it");
    assert!(
        passes(&new, 2).await && !passes(&old, 1).await,
        "a request of the old one counts with those of the new"
    );
    assert_eq!(BUILDS.load(Ordering::Relaxed), 2);

    let renamed = "  - { name: api2, filters: [{ rate_limit: { rate: 1/h } }], pool: app }\n";
    assert!(passes(&reload(renamed, &registry, Some(&new)).unwrap(), 0).await);
    let changed = reload(&api("{ rate_limit: { rate: 1/h, burst: 2 } }"), &registry, Some(&new)).unwrap();
    assert!(passes(&changed, 0).await);
    let back = reload(&two_limits, &registry, Some(&changed)).unwrap();
    assert!(passes(&back, 0).await, "what was not asked for is gone");
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_refused_leaves_what_is_kept() {
    static BUILDS: AtomicU32 = AtomicU32::new(0);
    let registry = registry(&BUILDS);
    let limit = |keys: u32| {
        format!(
            "  - {{ name: api, filters: [{{ rate_limit: {{ rate: 1/h, keys: {keys} }} }}], pool: app }}\n"
        )
    };
    let old = reload(&limit(1000), &registry, None).unwrap();
    assert!(passes(&old, 0).await);
    assert!(reload(&limit(1), &registry, Some(&old)).is_err());
    let new = reload(&limit(1000), &registry, Some(&old)).unwrap();
    assert!(!passes(&new, 0).await);
}

/// A filter that reads a credential of a parameter whose name it is told.
struct Reads {
    parameter: String,
}

#[async_trait]
impl Filter for Reads {
    fn credentials(&self) -> Vec<Credential> {
        vec![Credential::Query(self.parameter.clone())]
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_is_shown_is_hidden_or_the_configuration_refused() {
    #[derive(Deserialize)]
    struct Settings {
        parameter: String,
    }
    static BUILDS: AtomicU32 = AtomicU32::new(0);
    let mut registry = registry(&BUILDS);
    registry.filter("reads", |settings: Settings, _| {
        Ok::<_, BuildError>(Reads { parameter: settings.parameter })
    });
    let build = |name: &str| {
        let filter = format!("{{ reads: {{ parameter: '{name}' }} }}");
        reload(&format!("  - {{ name: api, filters: [{filter}], respond: {{}} }}\n"), &registry, None)
    };
    let hides = build("my[key]").unwrap().snapshot.redaction.clone();
    assert_eq!(*hides.text(b"/?my[key]=1&k=2"), *b"/?my[key]=***&k=2");
    for name in ["k=y", "k%65y", &"k".repeat(65)] {
        let told = build(name).unwrap_err().to_string();
        assert!(told.contains("routes[0].filters[0].reads: what it is shown cannot be hidden"), "{told}");
    }
}
