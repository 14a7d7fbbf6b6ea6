use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, Request, StatusCode};
use hyper::service::Service;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::admin::Admin;
use crate::admin::caller::Caller;
use crate::admin::stream::Connection;
use crate::config::Origin;
use crate::config::spec::Anonymous;
use crate::runtime::{Actor, Control, Ending, Live, Peer, Registry, Unchanging, Via, assemble};
use crate::telemetry::AccessLog;

use super::*;

const TEXT: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: [127.0.0.1:9001, 'unix:/run/a/b.sock'] }, next: { endpoints: [127.0.0.1:9002] } }
routes: [{ name: all, split: { to: [{ pool: app, weight: 3 }, { pool: next, weight: 1 }] } }]
admin: { bind: 127.0.0.1:0 }
";

/// What stands for the parameters of paths.
const NAMES: [(&str, &str); 4] =
    [("{pool}", "app"), ("{endpoint}", "unix:%2Frun%2Fa%2Fb.sock"), ("{route}", "all"), ("{cache}", "main")];

fn control() -> Arc<Control> {
    let snapshot = assemble(&Origin::test(TEXT), &Registry::with_built_ins(), None).unwrap().snapshot;
    Arc::new(Control::new(Arc::new(Live::new(snapshot)), Arc::new(Unchanging::default())))
}

async fn get_with(admin: &Admin, path: &str, headers: HeaderMap) -> (StatusCode, HeaderMap, String) {
    let via = Via::Listener(Peer::Unix);
    let mut request = Request::get(path)
        .extension(Connection { via, ending: Ending::default() })
        .extension(Caller::without_token(via, Anonymous::Read))
        .body(Body::empty())
        .unwrap();
    request.headers_mut().extend(headers);
    let (head, body) = admin.router.call(request).await.unwrap().into_parts();
    if head.headers.get(CONTENT_TYPE).is_some_and(|media| media == "text/event-stream") {
        // It has no end.
        return (head.status, head.headers, String::new());
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(admin: &Admin, path: &str) -> (StatusCode, HeaderMap, String) {
    get_with(admin, path, HeaderMap::new()).await
}

async fn document(admin: &Admin) -> Value {
    serde_json::from_str(&get(admin, "/v1/openapi.json").await.2).unwrap()
}

#[tokio::test]
async fn every_path_of_the_document_is_answered_as_it_says() {
    let admin = Admin::new(control(), Arc::new(AccessLog::off()));
    let document = document(&admin).await;
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths: BTreeMap<String, Value> = serde_json::from_value(document["paths"].clone()).unwrap();
    assert!(paths.len() >= 13, "{:?}", paths.keys());
    for (path, operations) in &paths {
        let asked = NAMES.iter().fold(path.clone(), |path, (parameter, name)| path.replace(parameter, name));
        let Some(operation) = operations.get("get") else { continue };
        let (status, headers, body) = get(&admin, &asked).await;
        let told = &operation["responses"][status.as_str()];
        // What is served cannot be read in this test.
        assert!(
            status == 200 || ["/v1/config", "/v1/drift"].contains(&path.as_str()),
            "{path}: {status} {body}"
        );
        assert!(told["content"].as_object().unwrap().contains_key(headers["content-type"].to_str().unwrap()));
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{path}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(!parameter["description"].as_str().unwrap().is_empty(), "{path}: {parameter}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let is_told = response["description"].as_str().is_some_and(|told| !told.is_empty());
            assert!(
                is_told && (status.as_str() < "400" || response["content"]["application/json"].is_object())
            );
        }
    }
}

#[tokio::test]
async fn all_that_is_told_is_described() {
    let admin = Admin::new(control(), Arc::new(AccessLog::off()));
    let document = document(&admin).await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let status: Value = serde_json::from_str(&get(&admin, "/v1/status").await.2).unwrap();
    let described = schemas["Status"]["properties"].as_object().unwrap();
    for key in status.as_object().unwrap().keys() {
        assert!(described.contains_key(key), "{key}");
    }
    assert!(schemas["Status"]["properties"]["last_minute"]["description"].is_string());
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

#[tokio::test]
async fn it_is_said_who_needs_a_token_and_what_words_there_are() {
    let admin = Admin::new(control(), Arc::new(AccessLog::off()));
    let document = document(&admin).await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let bearer = json!({ "bearer": [] });
            let expected = if method == "get" { json!([{}, bearer]) } else { json!([bearer]) };
            assert_eq!(operation["security"], expected, "{method} {path}");
        }
        let asked = path.matches('{').count();
        for parameters in operations.as_object().unwrap().values().map(|operation| &operation["parameters"]) {
            let in_path = parameters.as_array().into_iter().flatten().filter(|one| one["in"] == "path");
            assert_eq!(in_path.filter(|one| one["required"] == true).count(), asked, "{path}");
        }
    }
    let schemas = &document["components"]["schemas"];
    let levels = json!(["error", "warn", "info", "debug", "trace"]);
    assert_eq!(schemas["LogLevel"]["enum"], levels);
    let orders = json!(["pause", "resume", "restart", "promote", "abort"]);
    assert_eq!(schemas["CanaryOrder"]["enum"], orders);
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let admin = Admin::new(control(), Arc::new(AccessLog::off()));
    for (path, error, help) in [
        ("/v1/pools/ap", "no pool named `ap`", "did you mean `app`? there is app, next"),
        ("/v1/pools/app/endpoints/127.0.0.1:9", "pool `app` has no endpoint `127.0.0.1:9`", "127.0.0.1:9001"),
        ("/v1/splits/al", "no route with a split is named `al`", "did you mean `all`?"),
        ("/v1/pools/%ff", "a name in the path is none: it is not UTF-8", "percent"),
        ("/v1/nothing", "there is nothing at this path", "/v1/openapi.json"),
    ] {
        let (status, _, body) = get(&admin, path).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status.as_u16(), problem["error"].as_str().unwrap()), (404, error));
        assert!(problem["help"].as_str().unwrap().contains(help), "{problem}");
    }
}

#[tokio::test]
async fn a_version_is_that_of_what_can_be_changed() {
    let control = control();
    let admin = Admin::new(control.clone(), Arc::new(AccessLog::off()));
    let endpoint = "/v1/pools/app/endpoints/127.0.0.1:9001";
    let other = "/v1/pools/app/endpoints/unix:%2Frun%2Fa%2Fb.sock";
    let paths = [endpoint, other, "/v1/pools/app", "/v1/pools/next", "/v1/splits/all"];
    let tags = async || {
        let mut tags = Vec::new();
        for path in paths {
            tags.push(get(&admin, path).await.1[ETAG].clone());
        }
        tags
    };
    let before = tags().await;
    control.live().snapshot().pools[0].endpoints()[0].load().note_pick(Instant::now());
    assert_eq!(tags().await, before, "a count is none of its concern");
    let changes = |now: &[http::HeaderValue], before: &[http::HeaderValue]| -> Vec<bool> {
        now.iter().zip(before).map(|(now, before)| now != before).collect()
    };
    let by = Actor::user(7);
    control
        .set_weight(&"app/127.0.0.1:9001".parse().unwrap(), "7".parse().unwrap(), &by, Instant::now())
        .unwrap();
    let weighted = tags().await;
    assert_eq!(changes(&weighted, &before), [true, false, true, false, false]);
    control.drain(&"app/127.0.0.1:9001".parse().unwrap(), &by, Instant::now()).unwrap();
    let drained = tags().await;
    assert_eq!(changes(&drained, &weighted), [true, false, true, false, false]);
    control.set_weight(&"all/next".parse().unwrap(), "2".parse().unwrap(), &by, Instant::now()).unwrap();
    assert_eq!(changes(&tags().await, &drained), [false, false, false, false, true]);
}

#[tokio::test]
async fn who_knows_the_history_is_told_so() {
    let admin = Admin::new(control(), Arc::new(AccessLog::off()));
    let (_, headers, body) = get(&admin, "/v1/history").await;
    assert_eq!(body, "[]\n");
    let known = HeaderMap::from_iter([(IF_NONE_MATCH, headers[ETAG].clone())]);
    let (status, headers, body) = get_with(&admin, "/v1/history", known.clone()).await;
    assert_eq!((status.as_u16(), &headers[ETAG], &*body), (304, &known[IF_NONE_MATCH], ""));
}
