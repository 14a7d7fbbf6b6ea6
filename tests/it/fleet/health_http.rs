use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Edge, Endpoint, eventually};

use super::health::{DOWN, PACE, probed, spied};
use super::{OK, fleet};

/// Answers probes with this body.
async fn saying(body: impl Into<String>) -> Endpoint {
    let body = body.into();
    Endpoint::with(move |request| match request.is_probe() {
        true => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        false => OK.to_owned(),
    })
    .await
}

#[tokio::test]
async fn the_body_has_to_contain_the_text() {
    let early = saying("{ \"state\": \"ready\" }").await;
    let last = saying(format!("{}ready", "-".repeat(64 * 1024 - 5))).await;
    let too_late = saying(format!("{}ready", "-".repeat(64 * 1024))).await;
    let never = saying("starting").await;
    let chunked = probed(|_| {
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n"
    })
    .await;
    let wrong_status = probed(|_| "HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nready").await;
    let endpoints = [&early, &last, &too_late, &never, &chunked, &wrong_status];
    let addresses = endpoints.map(Endpoint::address);
    let [a, b, c, d, e, f] = &addresses;
    let pool = format!("panic: 0%, health: {{ http: {{ contains: ready }}, {PACE} }},");
    let (spy, _edge) = spied(&pool, &[a, b, c, d, e, f]).await;
    eventually("all were probed twice", async || endpoints.iter().all(|one| one.probes().len() > 1)).await;
    let expected = [a, b, e].map(ToString::to_string);
    eventually("three are fit", async || spy.fit().len() == 3).await;
    assert_eq!(spy.fit(), expected);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_good_answer() {
    let whole = saying("ok").await;
    let broken = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok").await;
        None
    })
    .await;
    let pool = format!("panic: 0%, health: {{ http: {{}}, {PACE} }},");
    let (spy, _edge) = spied(&pool, &[&whole.address(), &broken.address()]).await;
    eventually("both were probed twice", async || whole.probes().len() > 1 && broken.probes().len() > 1)
        .await;
    assert_eq!(spy.fit(), [whole.address().to_string()]);
}

#[tokio::test]
async fn probes_carry_the_headers_that_are_configured() {
    let endpoint = Endpoint::with(|_| OK.to_owned()).await;
    let headers = "headers: { X-Probe: evener, Authorization: Bearer abc, X-Number: 1.10 }";
    let pool = format!("health: {{ http: {{ {headers} }}, {PACE} }},");
    let _edge = Edge::start(&fleet(&pool, &[&endpoint.address()])).await;
    eventually("a probe came", async || !endpoint.probes().is_empty()).await;
    let probe = &endpoint.probes()[0];
    let sent = ["x-probe", "authorization", "x-number"].map(|name| probe.header(name).unwrap());
    assert_eq!(sent, ["evener", "Bearer abc", "1.10"]);
}

/// The results of a check belong to the endpoint of the one pool that has it.
#[tokio::test]
async fn pools_that_share_an_address_judge_it_by_their_own_checks() {
    let failed = Arc::new(AtomicUsize::new(0));
    let endpoint = {
        let failed = failed.clone();
        probed(move |request| match request.path() {
            "/bad" => {
                failed.fetch_add(1, Ordering::Relaxed);
                DOWN
            }
            _ => OK,
        })
        .await
    };
    let address = endpoint.address();
    let pool = |path: &str| {
        format!(
            "{{ panic: 0%, endpoints: ['{address}'], health: {{ http: {{ path: {path} }}, {PACE}, rise: 1 }} }}"
        )
    };
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ good: {}, bad: {}, unprobed: {{ endpoints: ['{address}'] }} }}\n\
         routes:\n\
         - {{ match: {{ path: /good }}, pool: good }}\n\
         - {{ match: {{ path: /bad }}, pool: bad }}\n\
         - pool: unprobed\n",
        pool("/good"),
        pool("/bad"),
    );
    let edge = Edge::start(&config).await;
    for _ in 0..3 {
        let seen = failed.load(Ordering::Relaxed);
        eventually("another probe failed", async || failed.load(Ordering::Relaxed) > seen).await;
        let statuses = [edge.get("/good").await, edge.get("/bad").await, edge.get("/").await];
        assert_eq!(statuses.map(|response| response.status), [200, 503, 200]);
    }
}
