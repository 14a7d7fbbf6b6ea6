//! What is known of endpoints, and what operators did to them, over reloads.

use crate::support::{Endpoint, eventually};

use super::super::Running;
use super::super::control::{Gated, Started, config, evener, get, status};
use super::write;

/// The endpoints of the pool, by their addresses.
async fn endpoint(running: &Running, address: &str) -> serde_json::Value {
    let status = status(running).await;
    let endpoints = status["pools"][0]["endpoints"].as_array().unwrap();
    endpoints.iter().find(|endpoint| endpoint["address"] == address).cloned().unwrap_or_default()
}

async fn reload(running: &Running, config: &str) -> String {
    write(running, config);
    let (code, out, err) = evener(running, &["reload"]).await;
    assert_eq!(code, 0, "{err}");
    out
}

#[tokio::test]
async fn what_operators_did_holds_until_the_file_says_something_else() {
    let (a, b, c) =
        (Endpoint::answering("a").await, Endpoint::answering("b").await, Endpoint::answering("c").await);
    let [a, b, c] = [&a, &b, &c].map(|endpoint| endpoint.address().to_string());
    let weighted = |weights: &[(&str, u16)], keys: &str| {
        let endpoints: Vec<_> = weights
            .iter()
            .map(|(address, weight)| format!("{{ address: '{address}', weight: {weight} }}"))
            .collect();
        config(&format!("{keys} endpoints: [{}]", endpoints.join(", ")))
    };
    let running = Running::start(&weighted(&[(&a, 3), (&b, 5)], ""), 1).await;
    for arguments in [["weight", &format!("app/{a}"), "7"], ["drain", &format!("app/{b}"), "--no-wait"]] {
        assert_eq!(evener(&running, &arguments).await.0, 0);
    }
    let states = async |address: &str| {
        let found = endpoint(&running, address).await;
        (found["weight"].as_u64().unwrap(), found["state"].as_str().unwrap().to_owned())
    };
    let (weighed, drained) = ((7, "fit".to_owned()), (5, "drained".to_owned()));
    // Nothing but the route changes; other keys of the pool do; the endpoints are reordered, and one comes.
    let untouched = weighted(&[(&a, 3), (&b, 5)], "").replace("pool: app }]", "pool: app, name: other }]");
    for text in [
        untouched,
        weighted(&[(&a, 3), (&b, 5)], "balance: random,"),
        weighted(&[(&c, 1), (&b, 5), (&a, 3)], "balance: random,"),
    ] {
        reload(&running, &text).await;
        assert_eq!((states(&a).await, states(&b).await), (weighed.clone(), drained.clone()));
    }
    // The file's own weight counts once it changes, and brings back what was drained.
    let told = reload(&running, &weighted(&[(&c, 1), (&b, 6), (&a, 4)], "balance: random,")).await;
    assert!(told.starts_with("~ pools.app: endpoints."), "{told}");
    assert_eq!((states(&a).await, states(&b).await), ((4, "fit".to_owned()), (6, "fit".to_owned())));
    // One that has gone and comes again begins anew.
    assert_eq!(evener(&running, &["weight", &format!("app/{a}"), "9"]).await.0, 0);
    reload(&running, &weighted(&[(&c, 1)], "")).await;
    reload(&running, &weighted(&[(&c, 1), (&a, 4)], "")).await;
    assert_eq!(states(&a).await.0, 4);
}

#[tokio::test]
async fn what_is_known_of_endpoints_is_kept() {
    let failing = Endpoint::with(|_| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let good = Endpoint::answering("good").await;
    let (bad, good_address) = (failing.address().to_string(), good.address().to_string());
    let pool = |keys: &str| {
        config(&format!(
            "outlier: {{ consecutive: 2, eject: 5m, max_ejected: 50% }}, balance: round_robin, {keys}
             endpoints: ['{bad}', '{good_address}']"
        ))
    };
    let running = Running::start(&pool(""), 1).await;
    let is_ejected = async || {
        get(&running).await;
        endpoint(&running, &bad).await["state"] == "ejected"
    };
    eventually("one is ejected", is_ejected).await;
    let known = async || {
        let mut found = Vec::new();
        for address in [&bad, &good_address] {
            let of = endpoint(&running, address).await;
            found.push(["state", "picks", "failures"].map(|key| of[key].clone()));
        }
        found
    };
    let before = known().await;
    let route = pool("").replace("pool: app }]", "pool: app, name: other }]");
    for text in
        [route, pool("timeouts: { first_byte: 7s },"), pool("timeouts: { first_byte: 8s }, slow_start: 5m,")]
    {
        reload(&running, &text).await;
        assert_eq!(known().await, before);
        // The penalty for failures fades; one that was forgotten is none.
        for address in [&bad, &good_address] {
            assert!(endpoint(&running, address).await["latency_ms"].is_number(), "{address}");
        }
        let left = endpoint(&running, &bad).await["ejected_for_ms"].as_u64().unwrap();
        assert!(left > 200_000 && left <= 330_000, "{left}");
    }
    // Without outlier detection nobody is ejected, and what comes back begins slowly.
    let forgiving = config(&format!(
        "outlier: off, slow_start: 5m, balance: round_robin, endpoints: ['{bad}', '{good_address}']"
    ));
    reload(&running, &forgiving).await;
    let forgiven = endpoint(&running, &bad).await;
    assert_eq!(forgiven["state"], "fit");
    let share = forgiven["slow_start_percent"].as_u64().unwrap();
    assert!(share < 50, "{share}");
    // The slow start goes on, too.
    reload(&running, &forgiving.replace("round_robin", "random")).await;
    let share = endpoint(&running, &bad).await["slow_start_percent"].as_u64().unwrap();
    assert!(share < 50, "{share}");
}

#[tokio::test]
async fn a_drain_goes_on_over_reloads() {
    let gated = Gated::start().await;
    let mut client = gated.begin().await;
    let folder = gated.running.file("");
    let mut drain = Started::new(&folder, &["drain", &gated.target()]);
    assert_eq!(drain.line().await, "1 request in flight\n");
    let text = std::fs::read_to_string(gated.running.file("edge.yaml")).unwrap();
    reload(&gated.running, &text.replace("pool: app }]", "pool: app, name: other }]")).await;
    reload(&gated.running, &text.replace("balance: first", "balance: random")).await;
    for _ in 0..5 {
        assert_eq!(get(&gated.running).await, 200);
    }
    assert_eq!((gated.first.requests().len(), gated.second.requests().len()), (1, 5));
    let of = endpoint(&gated.running, &gated.first.address().to_string()).await;
    assert_eq!((&of["state"], &of["in_flight"]), (&"draining".into(), &1.into()));
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.status, 200);
    let (code, out, _) = drain.ended().await;
    assert_eq!((code, &*out), (0, "drained\n"));
}

#[tokio::test]
async fn a_drain_of_an_endpoint_that_a_reload_takes_away_ends_with_its_work() {
    let gated = Gated::start().await;
    let mut client = gated.begin().await;
    let folder = gated.running.file("");
    let mut drain = Started::new(&folder, &["drain", &gated.target()]);
    assert_eq!(drain.line().await, "1 request in flight\n");
    let only = config(&format!("endpoints: ['{}']", gated.second.address()));
    reload(&gated.running, &only).await;
    assert_eq!(get(&gated.running).await, 200);
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.status, 200);
    let (code, out, err) = drain.ended().await;
    assert_eq!((code, &*out), (0, "drained\n"), "{err}");
}
