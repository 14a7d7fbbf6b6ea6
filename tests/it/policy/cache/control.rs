use std::path::Path;

use evener::app::App;

use super::{config, counting, edge};
use crate::support::Edge;

fn refusal(config: &str) -> String {
    App::builder().load_text("edge.yaml", Path::new("/"), config).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn mistakes_are_told_at_their_place() {
    let config = config(&["127.0.0.1:1".to_owned()], "");
    for (wrong, expected) in [
        (config.replace("in: main", "in: mian"), "no cache named `mian`"),
        (config.replace("in: main,", "in: main, heuristic: 200%,"), "0% to 100% are allowed"),
        (config.replace("in: main,", "in: main, ttl: { 99: 1s },"), "`99` is not a status"),
        (config.replace("in: main,", "in: main, key: { cookies: [a b] },"), "cannot be the name of a cookie"),
        (
            config.replace("in: main,", "in: main, bypass: { cookies: ['a=b'] },"),
            "cannot be the name of a cookie",
        ),
        (config.replace("8MiB", "1KiB"), "1MiB to 1024GiB are allowed"),
    ] {
        let error = refusal(&wrong);
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn two_caches_hold_what_is_theirs() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let one = edge(&endpoint, "").await;
    let other = Edge::start(&config(&[endpoint.address().to_string()], "")).await;
    assert_eq!(one.get("/").await.text(), "answer 1");
    assert_eq!(other.get("/").await.text(), "answer 2");
    assert_eq!(one.get("/").await.text(), "answer 1");
}
