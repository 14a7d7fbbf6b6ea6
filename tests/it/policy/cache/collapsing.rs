use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{did, edge};
use crate::support::{Client, Edge, Endpoint, Response, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// An endpoint that answers with these fields, one GET for each permit and all else at once.
pub(super) async fn held(fields: &'static str) -> (Endpoint, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let gate = held.clone();
        async move {
            if exchange.request.line().starts_with("GET ") {
                gate.acquire().await.unwrap().forget();
            }
            exchange.send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")).await;
            Some(exchange)
        }
    })
    .await;
    (endpoint, gate)
}

async fn asking(edge: &Edge, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = edge.connect().await;
        client.send(GET).await;
        clients.push(client);
    }
    clients
}

async fn answers(clients: Vec<Client>) -> Vec<Response> {
    let mut answers = Vec::new();
    for mut client in clients {
        answers.push(client.response().await);
    }
    answers
}

#[tokio::test]
async fn many_who_ask_for_the_same_cost_one_request() {
    let (endpoint, gate) = held("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    let clients = asking(&edge, 200).await;
    eventually("one asks", async || endpoint.requests().len() == 1).await;
    gate.add_permits(1);
    let answers = answers(clients).await;
    assert!(answers.iter().all(|answer| answer.text() == "ok"));
    let stored = answers.iter().filter(|answer| did(answer).ends_with("stored")).count();
    assert_eq!((stored, endpoint.requests().len()), (1, 1));
}

#[tokio::test]
async fn nobody_waits_for_what_is_not_stored() {
    let (endpoint, gate) = held("Cache-Control: no-store\r\n").await;
    let edge = edge(&endpoint, "").await;
    gate.add_permits(1);
    assert_eq!(edge.get("/").await.text(), "ok");
    let clients = asking(&edge, 10).await;
    eventually("all ask", async || endpoint.requests().len() == 11).await;
    gate.add_permits(10);
    assert!(answers(clients).await.iter().all(|answer| answer.text() == "ok"));
}

#[tokio::test]
async fn others_go_on_when_the_one_who_asks_leaves() {
    let (endpoint, gate) = held("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    let first = asking(&edge, 1).await;
    eventually("the first asks", async || endpoint.requests().len() == 1).await;
    let others = asking(&edge, 5).await;
    drop(first);
    eventually("another asks", async || endpoint.requests().len() == 2).await;
    gate.add_permits(10);
    assert!(answers(others).await.iter().all(|answer| answer.text() == "ok"));
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn a_wait_has_an_end() {
    let (endpoint, gate) = held("Cache-Control: max-age=60\r\n").await;
    let text = super::config(&[endpoint.address().to_string()], "");
    let edge = Edge::start(&text.replace("max_object:", "lock: { wait: 50ms }, max_object:")).await;
    let clients = asking(&edge, 3).await;
    eventually("all ask for themselves", async || endpoint.requests().len() == 3).await;
    gate.add_permits(3);
    answers(clients).await;
}

#[tokio::test]
async fn while_one_fetches_others_get_the_old_answer() {
    let (endpoint, gate) = held("Cache-Control: max-age=1, stale-while-revalidate=600\r\nAge: 10\r\n").await;
    let edge = edge(&endpoint, "").await;
    gate.add_permits(1);
    edge.get("/").await;
    let fetching = asking(&edge, 1).await;
    eventually("one asks", async || endpoint.requests().len() == 2).await;
    for _ in 0..3 {
        let stale = edge.get("/").await;
        assert_eq!(stale.text(), "ok");
        assert!(did(&stale).starts_with("evener; hit; ttl=-"), "{}", did(&stale));
    }
    gate.add_permits(1);
    assert_eq!(answers(fetching).await[0].text(), "ok");
    assert_eq!(endpoint.requests().len(), 2);
}
