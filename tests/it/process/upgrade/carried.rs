//! What the new process knows from the start.

use serde_json::Value;

use crate::support::issuer::Issuer;
use crate::support::{Client, Endpoint, Response, eventually};

use super::super::Running;
use super::super::admin::read;
use super::super::control::{config, evener, get, status};
use super::{only, upgrade};

async fn ask(running: &Running, fields: &str) -> Response {
    let mut client = Client::connect(running.address()).await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    client.response().await
}

/// The endpoints of the pool, in their order.
async fn endpoints(running: &Running) -> Vec<Value> {
    status(running).await["pools"][0]["endpoints"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_is_known_of_endpoints_goes_on() {
    let bad = Endpoint::with(|_| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let [good, weighed, drained] = ["good", "weighed", "drained"].map(Endpoint::answering);
    let (good, weighed, drained) = (good.await, weighed.await, drained.await);
    let all = [&bad, &good, &weighed, &drained].map(|endpoint| format!("'{}'", endpoint.address()));
    let pool = format!(
        "outlier: {{ consecutive: 2, eject: 5m, max_ejected: 50% }}, balance: round_robin,
         health: {{ tcp: {{}}, interval: 60s, fall: 1 }}, endpoints: [{}]",
        all.join(", ")
    );
    let running = Running::start(&config(&pool), 1).await;
    eventually("all are probed", async || {
        endpoints(&running).await.iter().all(|endpoint| !endpoint["probes"].as_array().unwrap().is_empty())
    })
    .await;
    let is_ejected = async || {
        get(&running).await;
        endpoints(&running).await[0]["state"] == "ejected"
    };
    eventually("one is ejected", is_ejected).await;
    let named = |endpoint: &Endpoint| format!("app/{}", endpoint.address());
    assert_eq!(evener(&running, &["weight", &named(&weighed), "7"]).await.0, 0);
    assert_eq!(evener(&running, &["drain", &named(&drained), "--no-wait"]).await.0, 0);
    let known = async || {
        let mut found = Vec::new();
        for endpoint in endpoints(&running).await {
            let keys = ["address", "state", "weight", "picks", "failures"];
            let (probe, latency) = (endpoint["probes"][0].clone(), endpoint["latency_ms"].is_number());
            found.push((keys.map(|key| endpoint[key].clone()), probe, latency));
        }
        found
    };
    let before = known().await;
    let states: Vec<_> = before.iter().map(|(values, ..)| values[1].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["ejected", "fit", "fit", "drained"]);
    // What came to a process from one before goes on to the next.
    for _ in 0..2 {
        let new = upgrade(&running, &[]).await;
        assert_eq!(known().await, before);
        let left = endpoints(&running).await[0]["ejected_for_ms"].as_u64().unwrap();
        assert!(left > 200_000 && left <= 330_000, "{left}");
        only(&running, &[new]).await;
    }
    let count = || [&bad, &good, &weighed, &drained].map(|endpoint| endpoint.requests().len());
    let counted = count();
    for _ in 0..8 {
        assert_eq!(get(&running).await, 200);
    }
    let came: Vec<_> = count().iter().zip(counted).map(|(after, before)| after - before).collect();
    assert_eq!(came, [0, 1, 7, 0]);
}

#[tokio::test]
async fn a_limit_that_is_used_up_stays_so() {
    let text = "listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ name: limited, filters: [{ rate_limit: { rate: 1/h } }], respond: {} }]
log: { access: { format: off } }
";
    let running = Running::start(text, 1).await;
    assert_eq!((get(&running).await, get(&running).await), (200, 429));
    for _ in 0..2 {
        let new = upgrade(&running, &[]).await;
        assert_eq!(get(&running).await, 429);
        only(&running, &[new]).await;
    }
}

#[tokio::test]
async fn keys_of_tokens_go_on_though_their_server_is_gone() {
    let issuer = Issuer::new("ES256", "a");
    let set = format!("{{\"keys\":[{}]}}", issuer.jwk());
    let idp =
        Endpoint::with(move |_| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}", set.len()))
            .await;
    let text = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ idp: {{ endpoints: ['{}'] }} }}
routes: [{{ filters: [{{ jwt: {{ algorithms: ES256, keys: {{ jwks: {{ pool: idp, path: / }} }} }} }}], respond: {{}} }}]
log: {{ access: {{ format: off }} }}
",
        idp.address()
    );
    let running = Running::start(&text, 1).await;
    // The year 2200.
    let bearing = format!("Authorization: Bearer {}\r\n", issuer.token("{\"exp\":7258118400}"));
    assert_eq!(ask(&running, &bearing).await.status, 200);
    drop(idp);
    for _ in 0..2 {
        let new = upgrade(&running, &[]).await;
        assert_eq!(ask(&running, &bearing).await.status, 200);
        assert_eq!(ask(&running, "").await.status, 401);
        only(&running, &[new]).await;
    }
}

#[tokio::test]
async fn cookies_lead_to_the_same_endpoints_though_the_file_of_the_secret_was_deleted() {
    let (a, b) = (Endpoint::answering("a").await, Endpoint::answering("b").await);
    let pool = format!(
        "sticky: {{ cookie: srv }}, balance: round_robin, endpoints: ['{}', '{}']",
        a.address(),
        b.address()
    );
    let text = format!("server: {{ secret_file: secret }}\n{}", config(&pool));
    let running = Running::start(&text, 1).await;
    let mut cookies = Vec::new();
    for _ in 0..2 {
        let response = ask(&running, "").await;
        let cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        cookies.push((cookie, response.text().to_owned()));
    }
    assert_ne!(cookies[0].1, cookies[1].1);
    let file = running.file("secret");
    let secret = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    upgrade(&running, &[]).await;
    for (cookie, name) in cookies.iter().cycle().take(6) {
        let response = ask(&running, &format!("Cookie: {cookie}\r\n")).await;
        assert_eq!((response.text(), response.header("set-cookie")), (&**name, None));
    }
    assert_eq!(std::fs::read(&file).unwrap(), secret);
}

#[tokio::test]
async fn connections_of_the_new_process_are_counted() {
    let endpoint = Endpoint::answering("ok").await;
    let running = Running::start(&config(&format!("endpoints: ['{}']", endpoint.address())), 1).await;
    let _stays = Client::connect(running.address()).await;
    let open = async || status(&running).await["listeners"][0]["open"].as_u64().unwrap();
    eventually("the connection is counted", async || open().await == 1).await;
    upgrade(&running, &[]).await;
    assert_eq!(open().await, 0);
    let _new = [Client::connect(running.address()).await, Client::connect(running.address()).await];
    eventually("the new ones are counted", async || open().await == 2).await;
}

#[tokio::test]
async fn the_level_of_messages_and_what_is_told_of_before_go_on() {
    let endpoint = Endpoint::answering("ok").await;
    let text = config(&format!("endpoints: ['{}']", endpoint.address()));
    let text = text.replace("listeners:", "admin: { bind: 127.0.0.1:0 }\nlisteners:");
    let running = Running::start(&text, 1).await;
    let named = format!("app/{}", endpoint.address());
    for command in [&["log", "debug"][..], &["drain", &named, "--no-wait"], &["drain", &named, "--undo"]] {
        assert_eq!(evener(&running, command).await.0, 0);
    }
    let json = async |path: &str| serde_json::from_str::<Value>(&read(&running, path).await.1).unwrap();
    let samples = async || json("/v1/series").await["samples"].as_array().unwrap().clone();
    eventually("there is a sample", async || !samples().await.is_empty()).await;
    let (first, audit, transitions) =
        (samples().await[0].clone(), json("/v1/audit").await, json("/v1/transitions").await);
    assert_eq!(
        (audit.as_array().unwrap().len(), transitions["transitions"].as_array().unwrap().len()),
        (3, 2)
    );
    for _ in 0..2 {
        let new = upgrade(&running, &[]).await;
        assert_eq!(evener(&running, &["log"]).await.1, "level debug\n");
        assert_eq!(json("/v1/audit").await, audit);
        assert_eq!(
            json("/v1/transitions").await["transitions"][1]["to"],
            transitions["transitions"][1]["to"]
        );
        assert_eq!(samples().await[0], first);
        only(&running, &[new]).await;
    }
    // Those of this process follow.
    assert_eq!(evener(&running, &["drain", &named, "--no-wait"]).await.0, 0);
    let told = json("/v1/transitions").await["transitions"].as_array().unwrap().clone();
    let last = told.last().unwrap();
    assert_eq!((&last["number"], &last["from"]), (&3.into(), &"fit".into()), "{told:?}");
}
