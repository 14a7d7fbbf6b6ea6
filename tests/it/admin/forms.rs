//! The forms of answers: text, protobuf, compressed, head only; and what is no answer.

use std::io::Read;

use flate2::read::GzDecoder;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Metric, MetricFamily, MetricType,
};
use prost::Message;

use crate::support::{Client, Edge, Endpoint};

use super::{Scrape, ask, comes_to, config, pool, read};

const PROMETHEUS: &str = "Host: localhost\r\nAccept: application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5\r\n";

fn families(mut bytes: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !bytes.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut bytes).unwrap());
    }
    families
}

#[tokio::test]
async fn prometheus_gets_native_histograms() {
    let endpoint = Endpoint::answering("ok").await;
    let pools = pool("app", "", &[endpoint.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    for _ in 0..3 {
        edge.get("/").await;
    }
    comes_to(&edge, &[("evener_http_requests_total{route=\"api\",status=\"2xx\"}", 3.0)]).await;
    let told = ask(&edge, "GET /metrics", PROMETHEUS).await;
    assert!(told.header("content-type").unwrap().starts_with("application/vnd.google.protobuf;"));
    let families = families(&told.body);
    let durations = families.iter().find(|family| family.name == "evener_http_request_duration_seconds");
    let durations = durations.unwrap();
    assert_eq!(durations.r#type(), MetricType::Histogram);
    let of_route =
        |metric: &&Metric| metric.label.iter().any(|label| label.name == "route" && label.value == "api");
    let histogram = durations.metric.iter().find(of_route).unwrap().histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, histogram.schema), (3, 4));
    assert!(histogram.sample_sum > 0.0);
    // What the buckets hold, told by how they differ from each other, is all there is.
    let mut count = 0;
    let buckets = histogram.positive_delta.iter().map(|delta| {
        count += delta;
        u64::try_from(count).unwrap()
    });
    let in_buckets: u64 = buckets.sum();
    assert_eq!(in_buckets + histogram.zero_count, 3);
    assert_eq!(histogram.bucket.last().unwrap().cumulative_count, 3);
}

#[tokio::test]
async fn both_forms_tell_the_same() {
    let edge = Edge::start(&config("", "{ name: api, respond: {} }")).await;
    edge.get("/").await;
    comes_to(&edge, &[("evener_http_requests_total{route=\"api\",status=\"2xx\"}", 1.0)]).await;
    let told = ask(&edge, "GET /metrics", PROMETHEUS).await;
    let names: Vec<_> = families(&told.body).iter().map(|family| family.name.to_owned()).collect();
    let text = read(&edge, "/metrics").await;
    assert_eq!(
        text.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let types = text.text().lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let types: Vec<_> = types.map(str::to_owned).collect();
    let plain: Vec<_> = names.iter().map(|name| name.trim_end_matches("_total").to_owned()).collect();
    assert_eq!(plain, types);
}

#[tokio::test]
async fn counts_are_compressed_for_those_who_take_it() {
    let edge = Edge::start(&config("", "{ name: api, respond: {} }")).await;
    let plain = read(&edge, "/metrics").await;
    assert_eq!(plain.header("content-encoding"), None);
    let packed = ask(&edge, "GET /metrics", "Host: localhost\r\nAccept-Encoding: gzip\r\n").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < plain.body.len() / 2, "{} {}", packed.body.len(), plain.body.len());
    let mut text = String::new();
    GzDecoder::new(&*packed.body).read_to_string(&mut text).unwrap();
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(Scrape::read(&text).0.len(), Scrape::read(plain.text()).0.len());
}

#[tokio::test]
async fn head_tells_what_get_would() {
    let edge = Edge::start(&config("", "{ respond: {} }")).await;
    let mut client = Client::connect(edge.admin_address()).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        let head = client.response_to_head().await;
        assert_eq!((head.status, head.header("cache-control")), (200, Some("no-store")), "{path}");
        assert_eq!(head.header("x-content-type-options"), Some("nosniff"));
        assert_ne!(head.header("content-length").unwrap(), "0");
    }
}

#[tokio::test]
async fn what_there_is_not_is_told_with_help() {
    let edge = Edge::start(&config("", "{ respond: {} }")).await;
    let mut statuses = Vec::new();
    for line in ["GET /nothing", "GET /metrics/x", "POST /metrics", "DELETE /readyz", "PUT /nowhere"] {
        let told = ask(&edge, line, "Host: localhost\r\nContent-Length: 0\r\n").await;
        assert_eq!(told.header("content-type"), Some("application/json"), "{line}");
        assert_eq!(told.header("x-content-type-options"), Some("nosniff"));
        let problem: serde_json::Value = serde_json::from_str(told.text()).unwrap();
        let has = |key: &str| problem[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(has("error") && has("help"), "{problem}");
        statuses.push((told.status, told.header("allow").map(str::to_owned)));
    }
    // Whoever may not change anything learns nothing of what could be changed.
    assert_eq!(statuses, [(404, None), (404, None), (401, None), (401, None), (401, None)]);
}
