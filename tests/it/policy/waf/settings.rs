use crate::support::{Edge, Endpoint};

use super::super::filtered;
use super::{FORM, get, guarded, post, send};

const ATTACK: &str = "/search?q=1%27+OR+%271%27=%271";

#[tokio::test]
async fn the_log_tells_what_was_found() {
    let (_endpoint, edge) = guarded("").await;
    assert_eq!(send(&edge, get(ATTACK, "")).await.status, 403);
    assert_eq!(send(&edge, get("/", "").replace("www.example.com", "127.0.0.1")).await.status, 200);
    assert_eq!(send(&edge, get("/", "")).await.status, 200);
    let log = edge.log_of(3).await;
    assert_eq!((&log[0]["cause"], &log[0]["waf"]["verdict"]), (&"waf_blocked".into(), &"blocked".into()));
    assert!(log[0]["waf"]["rules"].as_array().unwrap().contains(&942_100.into()), "{}", log[0]);
    assert!(log[0]["waf"]["score"].as_u64().unwrap() >= 5, "{}", log[0]);
    assert_eq!(log[1]["waf"], serde_json::json!({ "verdict": "passed", "score": 3, "rules": [920_350] }));
    assert!(log[2].get("waf").is_none());
}

#[tokio::test]
async fn detection_tells_and_lets_pass() {
    let endpoint = Endpoint::answering("ok").await;
    let filters = "{ waf: { mode: detect, body: { max: 1KiB } } }, \
                   { request_headers: { set: { X-Score: '{var.waf.score}', X-Rules: '{var.waf.rules}' } } }";
    let edge = Edge::start(&filtered(endpoint.address(), filters)).await;
    assert_eq!(send(&edge, get(ATTACK, "")).await.status, 200);
    assert_eq!(endpoint.last().header("x-score"), Some("5"));
    assert_eq!(endpoint.last().header("x-rules"), Some("942100"));
    // Nothing is refused: not even what cannot be looked at.
    assert_eq!(send(&edge, post(FORM, "a=b&".repeat(10_000))).await.status, 200);
    assert_eq!(send(&edge, get("/", "")).await.status, 200);
    assert_eq!(endpoint.last().header("x-score"), Some("0"));
    let log = edge.log_of(3).await;
    assert_eq!(
        log[0]["waf"],
        serde_json::json!({ "verdict": "would_block", "score": 5, "rules": [942_100] })
    );
    assert!(log[0].get("cause").is_none());
}

#[tokio::test]
async fn thresholds_paranoia_and_exclusions_count() {
    let elsewhere = "/search?other=1%27+OR+%271%27=%271";
    for (settings, target, expected) in [
        ("", ATTACK, 403),
        ("threshold: 6", ATTACK, 200),
        ("exclude: [942100]", ATTACK, 200),
        ("exclude: [{ id: 942100, target: 'ARGS:q' }]", ATTACK, 200),
        ("exclude: [{ id: 942100, target: 'ARGS:q' }]", elsewhere, 403),
        ("exclude: [941100]", ATTACK, 403),
        ("status: 404", ATTACK, 404),
        ("", "/search?q=a%22b%27c", 200),
        ("paranoia: 4", "/search?q=a%22b%27c", 403),
    ] {
        let (_endpoint, edge) = guarded(settings).await;
        assert_eq!(send(&edge, get(target, "")).await.status, expected, "{settings} {target}");
    }
}

#[tokio::test]
async fn rules_of_ones_own_go_with_the_others_or_alone() {
    let endpoint = Endpoint::answering("ok").await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let rule = |word: &str| {
        format!(
            "SecRuleEngine Off\nSecRule ARGS:q \"@streq {word}\" \"id:1,phase:2,deny,log,msg:'a word'\"\n\
             Include more/*.conf\n"
        )
    };
    std::fs::create_dir(at("more")).unwrap();
    std::fs::write(at("more/a.conf"), "# none yet\n").unwrap();
    std::fs::write(at("own.conf"), rule("forbidden")).unwrap();
    let own = at("own.conf").display().to_string();
    let alone = filtered(endpoint.address(), &format!("{{ waf: {{ rules: '{own}' }} }}"));
    let both = filtered(endpoint.address(), &format!("{{ waf: {{ rules: ['{own}', crs] }} }}"));
    let edge = Edge::start(&alone).await;
    let status = async |edge: &Edge, target: &str| send(edge, get(target, "")).await.status;
    assert_eq!(status(&edge, "/?q=forbidden").await, 403);
    assert_eq!(status(&edge, ATTACK).await, 200);
    edge.reload(&both).await;
    assert_eq!(status(&edge, "/?q=forbidden").await, 403);
    assert_eq!(status(&edge, ATTACK).await, 403);
    // What files say counts from the next configuration on, also where they are included.
    std::fs::write(at("more/a.conf"), "SecRule ARGS:q \"@streq more\" \"id:2,phase:2,deny\"\n").unwrap();
    assert_eq!(status(&edge, "/?q=more").await, 200);
    edge.reload(&format!("{both}\nserver: {{}}\n")).await;
    assert_eq!(status(&edge, "/?q=more").await, 403);
    std::fs::write(at("own.conf"), "SecNonsense\n").unwrap();
    let refused = edge.try_reload(&both).await.unwrap_err();
    assert!(refused.contains("waf.rules[0]") && refused.contains("own.conf"), "{refused}");
    assert_eq!(status(&edge, "/?q=forbidden").await, 403);
}

#[tokio::test]
async fn what_was_stored_is_no_way_around() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok".to_owned()
    })
    .await;
    let config = filtered(endpoint.address(), "{ waf: {} }, { cache: { in: main } }");
    let edge = Edge::start(&format!("{config}\nserver: {{ caches: {{ main: {{}} }} }}\n")).await;
    let request = get("/page", "");
    assert_eq!(send(&edge, &request).await.status, 200);
    let attack = get("/page", "Cookie: a=1' UNION SELECT 1,2 --\r\n");
    assert_eq!(send(&edge, attack).await.status, 403);
    assert_eq!(send(&edge, &request).await.status, 200);
    assert_eq!(endpoint.requests().len(), 1);
}
