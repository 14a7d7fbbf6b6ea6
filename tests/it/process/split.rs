//! `evener weight` and `evener canary` for the pools of a split, and what `status` and `explain` say of them.

use std::process::Output;

use crate::support::{Client, Endpoint, eventually};

use super::{Place, Running, told};

fn config(old: &str, new: &str, split: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ old: {{ endpoints: ['{old}'] }}, new: {{ endpoints: ['{new}'], outlier: off }} }}
routes: [{{ name: shop, split: {{ to: [{{ pool: old, weight: 3 }}, {{ pool: new }}], {split} }} }}]
log: {{ access: {{ format: off }} }}
"
    )
}

/// A process with two pools of one endpoint each; the second one answers with this status.
async fn start(status: u16, split: &str) -> (Running, Endpoint, Endpoint, String) {
    let old = Endpoint::answering("old").await;
    let new = Endpoint::with(move |_| format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nnew")).await;
    let text = config(&old.address().to_string(), &new.address().to_string(), split);
    (Running::start(&text, 1).await, old, new, text)
}

async fn get(running: &Running) -> String {
    let mut client = Client::connect(running.address()).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.response().await.text().to_owned()
}

/// The first split of the status.
async fn split(running: &Running) -> serde_json::Value {
    running.status().await["splits"][0].clone()
}

async fn shares(running: &Running) -> [f64; 2] {
    let split = split(running).await;
    [0, 1].map(|side: usize| split["to"][side]["share_percent"].as_f64().unwrap())
}

#[tokio::test]
async fn weights_of_pools_change_while_the_process_runs_and_stay_over_reload_and_upgrade() {
    let (running, old, new, text) = start(200, "by: client_ip").await;
    assert_eq!(shares(&running).await, [75.0, 25.0]);
    let ask = async |arguments: &[&str]| running.evener(arguments).await;
    assert_eq!(ask(&["weight", "shop/old", "0"]).await, (0, "weight 0, was 3\n".to_owned(), String::new()));
    for _ in 0..10 {
        assert_eq!(get(&running).await, "new");
    }
    let (code, out, _) = ask(&["status"]).await;
    let line = "split of shop  by client_ip: old 0 % (weight 0), new 100 % (weight 1)\n";
    assert!(code == 0 && out.contains(line), "{out}");
    let (code, _, err) = ask(&["weight", "shop/new", "0"]).await;
    assert!(code == 1 && err.contains("`new` is the last one with a weight"), "{err}");
    running.tells("pool of a split is weighted by an operator route=shop pool=old from=3 to=0").await;
    // The file says something else, only not of the weights.
    std::fs::write(running.file("edge.yaml"), text.replace("by: client_ip", "by: path")).unwrap();
    assert_eq!(ask(&["reload"]).await.0, 0);
    assert_eq!(shares(&running).await, [0.0, 100.0]);
    let (code, _, err) = ask(&["upgrade"]).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(shares(&running).await, [0.0, 100.0]);
    assert_eq!(get(&running).await, "new");
    std::fs::write(running.file("edge.yaml"), text.replace("weight: 3", "weight: 9")).unwrap();
    assert_eq!(ask(&["reload"]).await.0, 0);
    assert_eq!(shares(&running).await, [90.0, 10.0]);
    // Endpoints are weighted as ever.
    let endpoint = format!("new/{}", new.address());
    assert_eq!(ask(&["weight", &endpoint, "7"]).await.1, "weight 7, was 1\n");
    drop(old);
}

#[tokio::test]
async fn what_cannot_be_weighted_or_steered_is_told() {
    let (running, _old, _new, _) = start(200, "").await;
    for (arguments, expected) in [
        (
            &["weight", "shop/nwe", "1"][..],
            "the split of route `shop` has no pool `nwe`\n  help: did you mean `new`?",
        ),
        (&["weight", "shpo/new", "1"], "no pool named `shpo`"),
        (&["canary", "shop"], "the split of route `shop` has no canary"),
        (&["canary", "shpo"], "no route with a split is named `shpo`\n  help: did you mean `shop`?"),
    ] {
        let (code, _, err) = running.evener(arguments).await;
        assert!(code == 1 && err.contains(expected), "{arguments:?}: {err}");
    }
    let (code, _, err) = running.evener(&["canary", "shop", "stop"]).await;
    assert!(code == 2 && err.contains("pause, resume, restart, promote or abort"), "{err}");
}

#[tokio::test]
async fn a_canary_that_fails_tells_why_and_stays_away_until_it_is_begun_anew() {
    let (running, _old, _new, _) = start(500, "canary: { step: 40%, every: 1h, min_requests: 10 }").await;
    eventually("it is taken back", async || {
        for _ in 0..20 {
            get(&running).await;
        }
        split(&running).await["canary"]["phase"] == "aborted"
    })
    .await;
    running.tells("canary is aborted route=shop pool=new share=\"0 %\" why=\"failures 100.00 % of ").await;
    let (code, out, err) = running.evener(&["canary", "shop"]).await;
    assert_eq!((code, &*err), (0, ""));
    let [sides, canary] = &out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
    assert_eq!(*sides, "split of shop  by chance: old 100 % (weight 3), new 0 %");
    assert!(canary.starts_with("  canary new aborted at 0 % for "), "{out}");
    assert!(
        canary.contains(": failures 100.00 % of ") && canary.ends_with("where 1% more is allowed"),
        "{out}"
    );
    let why = split(&running).await["canary"]["why"].clone();
    for command in [&["reload"][..], &["upgrade"]] {
        assert_eq!(running.evener(command).await.0, 0);
        assert_eq!(split(&running).await["canary"]["why"], why, "{command:?}");
        assert_eq!(get(&running).await, "old");
    }
    let (code, _, err) = running.evener(&["canary", "shop", "resume"]).await;
    assert!(code == 1 && err.contains("has ended") && err.contains("`restart`"), "{err}");
    let (code, out, _) = running.evener(&["canary", "shop", "restart"]).await;
    assert!(code == 0 && out.contains("canary new running at 40 % for 0 s: 0 requests"), "{out}");
    assert_eq!(shares(&running).await, [60.0, 40.0]);
}

#[tokio::test]
async fn operators_steer_a_canary() {
    let (running, _old, _new, _) = start(200, "canary: { max: 50% }").await;
    let steer = async |order: &str| {
        let (code, out, err) = running.evener(&["canary", "shop", order, "--json"]).await;
        assert_eq!(code, 0, "{err}");
        let canary = serde_json::from_str::<serde_json::Value>(&out).unwrap()["canary"].clone();
        let value = |key: &str| canary[key].to_string();
        format!("{} {} {}", value("phase"), value("share_percent"), value("paused"))
    };
    assert_eq!(steer("pause").await, "\"running\" 5.0 true");
    assert_eq!(steer("resume").await, "\"running\" 5.0 false");
    assert_eq!(steer("promote").await, "\"promoted\" 50.0 false");
    assert_eq!(steer("abort").await, "\"aborted\" 0.0 false");
    running.tells("canary is steered by an operator route=shop pool=new order=abort share=\"0 %\"").await;
    let (code, _, err) = running.evener(&["weight", "shop/new", "5"]).await;
    assert!(code == 1 && err.contains("evener canary shop ORDER"), "{err}");
}

#[tokio::test]
async fn a_canary_comes_back_with_its_configuration_as_far_as_it_was() {
    const CANARY: &str = "canary: { every: 1h }";
    let (running, _old, _new, text) = start(200, CANARY).await;
    let command = async |arguments: &[&str]| {
        let (code, _, err) = running.evener(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {err}");
    };
    let phase = async || split(&running).await["canary"]["phase"].clone();
    let without = text.replace(CANARY, "by: path");
    for order in ["abort", "promote"] {
        command(&["canary", "shop", order]).await;
        let before = (phase().await, shares(&running).await);
        // A process takes over once; another upgrade would wait for the old one's end.
        for upgrades in [false, order == "promote"] {
            std::fs::write(running.file("edge.yaml"), &without).unwrap();
            command(&["reload"]).await;
            assert!(phase().await.is_null());
            if upgrades {
                command(&["upgrade"]).await;
            }
            command(&["rollback"]).await;
            assert_eq!((phase().await, shares(&running).await), before, "{order} {upgrades}");
        }
        // One that is written anew begins anew.
        std::fs::write(running.file("edge.yaml"), &without).unwrap();
        command(&["reload"]).await;
        std::fs::write(running.file("edge.yaml"), &text).unwrap();
        command(&["reload"]).await;
        assert_eq!(phase().await, "running");
    }
}

// === Explain ===

fn explained(split: &str, arguments: &[&str]) -> String {
    let place = Place::with(&config("127.0.0.1:9001", "127.0.0.1:9002", split));
    let output: Output = place.evener(&[&["explain", "-c", "edge.yaml"], arguments, &["http://a/"]].concat());
    let (code, out, err) = told(&output);
    assert_eq!((code, &*err), (0, ""));
    out
}

#[test]
fn explain_tells_the_shares_and_where_a_client_goes() {
    let out = explained("by: { header: X-User }", &["-H", "X-User: ada"]);
    assert!(
        out.contains(
            "split      by header x-user, over
  old                      weight 3 (75 % of the requests)
  new                      weight 1 (25 % of the requests)
goes to    "
        ),
        "{out}"
    );
    assert_eq!(out.matches("\npool ").count(), 1, "{out}");
    let out = explained("canary: { every: 1h, max: 50% }", &[]);
    assert!(
        out.contains(
            "split      by chance, over
  old                      weight 3 (95 % of the requests)
  new                      weight 1 (5 % of the requests)
canary     new: from 5 % by 5 % every 1h to 50 %, while of 100 requests or more at most 1% more fail and the p99 is \
at most 20% longer; else 0 %
"
        ),
        "{out}"
    );
    assert_eq!(out.matches("\npool ").count(), 2, "{out}");
}

#[test]
fn check_and_diff_know_the_split() {
    let place = Place::with(&config("127.0.0.1:9001", "127.0.0.1:9002", "by: path"));
    let (code, out, _) = told(&place.evener(&["check", "-c", "edge.yaml"]));
    assert!(code == 0 && out.contains("-> split old 3, new 1\n"), "{out}");
    let other =
        config("127.0.0.1:9001", "127.0.0.1:9002", "by: host, canary: {}").replace("weight: 3", "weight: 9");
    std::fs::write(place.path().join("other.yaml"), other).unwrap();
    let (code, out, _) = told(&place.evener(&["diff", "-c", "other.yaml", "--against", "edge.yaml"]));
    assert_eq!(code, 1);
    for expected in
        ["routes.shop", "split.to.old.weight: 3 -> 9", "split.by: path -> host", "split: + canary"]
    {
        assert!(out.contains(expected), "{expected}: {out}");
    }
}
