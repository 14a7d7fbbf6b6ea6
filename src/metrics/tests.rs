use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::Origin;
use crate::runtime::{Live, Registry as Hooks, Unchanging, assemble};

use super::families::ALL;
use super::reference::reference;
use super::*;

const TEXT: &str = "server: { caches: { main: {} } }
listeners: { web: { bind: 127.0.0.1:0 }, dns: { bind: 127.0.0.1:0, udp: { pool: dns } } }
pools: { dns: { endpoints: [127.0.0.1:53] }, app: { endpoints: [127.0.0.1:9001, 'unix:/run/a\"b.sock'] } }
routes: [{ name: api, pool: app, filters: [rate_limit: { rate: 1/s }, cache: { in: main }] }]
tracing: { to: 'http://127.0.0.1:4318' }
";

fn metrics() -> (Metrics, Arc<Live>) {
    let origin = Origin::test(TEXT);
    let live = Arc::new(Live::new(assemble(&origin, &Hooks::with_built_ins(), None).unwrap().snapshot));
    let control = Control::new(live.clone(), Arc::new(Unchanging::default()));
    (Metrics::new(Arc::new(control), Arc::new(AccessLog::off())), live)
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.expose(Exposition::Text).unwrap()).unwrap()
}

#[test]
fn every_family_is_told_once_and_no_other() {
    let (metrics, _) = metrics();
    let text = text(&metrics);
    let told: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let names: Vec<_> =
        ALL.iter().map(|family| family.full_name().trim_end_matches("_total").to_owned()).collect();
    assert_eq!(told, names);
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn what_happens_is_counted_under_its_name() {
    let (metrics, live) = metrics();
    let snapshot = live.snapshot();
    let route = &snapshot.routes[0];
    route.stats.requests.enter();
    route.stats.errors.count(&crate::runtime::Cause::NoEndpointFit);
    route.filters[0].stats.count(crate::runtime::Decision::Rejected);
    snapshot.caches[0].store.results.count(crate::cache::CacheResult::Stale);
    let text = text(&metrics);
    for line in [
        "evener_cache_requests_total{cache=\"main\",result=\"stale\"} 1",
        "evener_cache_requests_total{cache=\"main\",result=\"hit\"} 0",
        "evener_cache_memory_bytes{cache=\"main\"} 0",
        "evener_http_requests_in_flight{route=\"api\"} 1",
        "evener_http_errors_total{route=\"api\",cause=\"no_endpoint_fit\"} 1",
        "evener_filter_decisions_total{route=\"api\",filter=\"rate_limit\",number=\"0\",decision=\"rejected\"} 1",
        "evener_endpoint_state{pool=\"app\",endpoint=\"127.0.0.1:9001\",state=\"fit\"} 1",
        "evener_endpoint_picks_total{pool=\"app\",endpoint=\"unix:/run/a\\\"b.sock\"} 0",
        "evener_http_request_duration_seconds_bucket{le=\"0.0009765625\",route=\"api\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}

#[test]
fn labels_are_of_the_configuration_alone() {
    let (metrics, _) = metrics();
    let text = text(&metrics);
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let labels: BTreeSet<_> = series.filter_map(|line| Some(line.split_once('{')?.0)).collect();
    assert!(labels.len() > 20, "{labels:?}");
    let known: BTreeSet<_> = ALL.iter().flat_map(|family| family.labels.iter().copied()).collect();
    assert!(known.iter().all(|label| !["path", "client", "host", "user"].contains(label)), "{known:?}");
}

#[test]
fn the_form_goes_by_accept() {
    let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                      application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1";
    assert_eq!(Exposition::accepted(Some(prometheus)), Exposition::Protobuf);
    for other in
        [None, Some("*/*"), Some("application/openmetrics-text"), Some("application/vnd.google.protobuf")]
    {
        assert_eq!(Exposition::accepted(other), Exposition::Text);
    }
}

/// `BLESS=1 cargo test --lib metrics` writes the table anew.
#[test]
fn the_documentation_has_every_metric() {
    const BEGIN: &str = "<!-- generated from here on -->\n";
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let written = std::fs::read_to_string(&file).unwrap();
    let (by_hand, table) = written.split_once(BEGIN).unwrap();
    let expected = reference();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, format!("{by_hand}{BEGIN}{expected}")).unwrap();
    } else {
        assert!(
            table == expected,
            "the table of docs/metrics.md is not what the code says; run with BLESS=1"
        );
    }
}
