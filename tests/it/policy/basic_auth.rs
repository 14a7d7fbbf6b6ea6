use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Client, Edge, Endpoint, Response, eventually};

use super::filtered;

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn shown(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

async fn ask(edge: &Edge, fields: &str) -> Response {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await
}

/// An edge that knows ada, in front of an endpoint.
async fn guarded() -> (Endpoint, Edge) {
    let endpoint = Endpoint::answering("ok").await;
    let filter = format!("{{ basic_auth: {{ passwords: {{ ada: '{}' }} }} }}", hash("lovelace"));
    let edge = Edge::start(&filtered(endpoint.address(), &filter)).await;
    (endpoint, edge)
}

#[tokio::test]
async fn endpoints_see_who_the_user_is_and_not_the_password() {
    let (endpoint, edge) = guarded().await;
    let spoofed = "X-User: root\r\nx_user: root\r\n";
    for _ in 0..2 {
        let response = ask(&edge, &format!("{}{spoofed}", shown("ada", "lovelace"))).await;
        assert_eq!(response.status, 200);
        let seen = endpoint.last();
        assert_eq!(seen.headers("x-user"), ["ada"]);
        assert!(seen.header("x_user").is_none() && seen.header("authorization").is_none(), "{}", seen.head);
    }
}

#[tokio::test]
async fn nothing_but_the_password_lets_in() {
    let (endpoint, edge) = guarded().await;
    // From memory afterwards, which must not let in anybody else.
    assert_eq!(ask(&edge, &shown("ada", "lovelace")).await.status, 200);
    let right = shown("ada", "lovelace");
    for fields in [
        String::new(),
        shown("ada", ""),
        shown("ada", "lovelace "),
        shown("ada", "lovelac"),
        shown("ada", "lovelace\0"),
        shown("ada", "LOVELACE"),
        shown("Ada", "lovelace"),
        shown("", "lovelace"),
        shown("eve", "lovelace"),
        shown("ada:lovelace", ""),
        format!("{right}{}", shown("ada", "wrong")),
        format!("{right}{right}"),
        right.replace("Basic", "Bearer"),
        right.replace("Basic ", "Basic"),
        right.replace("Authorization", "Proxy-Authorization"),
        right.replace("Authorization", "X-Authorization"),
        format!("Connection: authorization\r\n{right}"),
        "X-User: ada\r\n".to_owned(),
        "Cookie: user=ada\r\n".to_owned(),
        "Connection: upgrade\r\nUpgrade: websocket\r\n".to_owned(),
    ] {
        let response = ask(&edge, &fields).await;
        assert_eq!(response.status, 401, "{fields}");
        assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"evener\", charset=\"UTF-8\""));
    }
    assert_eq!(endpoint.requests().len(), 1);
    let log = edge.log_of(21).await;
    assert!(log[1..].iter().all(|line| line["cause"] == "unauthorized"), "{log:?}");
}

#[tokio::test]
async fn guesses_do_not_hold_up_others() {
    let endpoint = Endpoint::answering("ok").await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: ['{}'] }} }}\n\
         routes:\n\
         - {{ match: {{ path: /open }}, pool: app }}\n\
         - {{ pool: app, filters: [{{ basic_auth: {{ passwords: {{ ada: '{}' }} }} }}] }}\n\
         log: {{ access: {{ to: LOG }} }}\n",
        endpoint.address(),
        bcrypt::hash("lovelace", 6).unwrap()
    );
    let edge = Edge::start(&config).await;
    assert_eq!(ask(&edge, &shown("ada", "lovelace")).await.status, 200);
    let mut guessing: Vec<Client> = Vec::new();
    for guess in 0..400 {
        let mut client = edge.connect().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", shown("ada", &guess.to_string()))).await;
        guessing.push(client);
    }
    // More wait than can be checked in time, and some are told so; whoever is known already, or needs not be, passes.
    eventually("some guesses are refused unchecked", async || {
        edge.log().iter().any(|line| line["cause"] == "auth_overloaded" && line["status"] == 503)
    })
    .await;
    assert_eq!(ask(&edge, &shown("ada", "lovelace")).await.status, 200);
    assert_eq!(edge.get("/open").await.status, 200);
    assert!(edge.log().len() < 400, "the guesses are checked already; there must be more of them");
}

#[tokio::test]
async fn users_come_and_go_with_their_file() {
    let endpoint = Endpoint::answering("ok").await;
    let config = filtered(endpoint.address(), "{ basic_auth: { realm: ops, file: users } }");
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let write = |names: &[&str]| {
        let lines = names.iter().fold(String::new(), |mut lines, name| {
            writeln!(lines, "{name}:{}", hash("x")).unwrap();
            lines
        });
        std::fs::write(&users, lines).unwrap();
    };
    write(&["ada"]);
    let edge = Edge::start(&config.replace("file: users", &format!("file: '{}'", users.display()))).await;
    assert_eq!(ask(&edge, &shown("ada", "x")).await.status, 200);
    assert_eq!(ask(&edge, &shown("grace", "x")).await.status, 401);
    write(&["grace", "hopper"]);
    eventually("the new users come in", async || ask(&edge, &shown("grace", "x")).await.status == 200).await;
    assert_eq!(ask(&edge, &shown("ada", "x")).await.status, 401);
    // What is no file of users changes nothing, and a file that is gone does not either.
    std::fs::write(&users, "eve:hunter2\n").unwrap();
    assert_eq!(ask(&edge, &shown("grace", "x")).await.status, 200);
    std::fs::remove_file(&users).unwrap();
    assert_eq!(ask(&edge, &shown("grace", "x")).await.status, 200);
    assert_eq!(ask(&edge, &shown("eve", "hunter2")).await.status, 401);
}

#[tokio::test]
async fn what_is_answered_to_one_user_is_not_stored_for_others() {
    let endpoint = Endpoint::with(|request| {
        let user = request.header("x-user").unwrap().to_owned();
        let length = user.len();
        format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {length}\r\n\r\n{user}")
    })
    .await;
    let users = format!("ada: '{}', eve: '{}'", hash("lovelace"), hash("adam"));
    let filters = format!("{{ basic_auth: {{ passwords: {{ {users} }} }} }}, {{ cache: {{ in: main }} }}");
    let config = filtered(endpoint.address(), &filters);
    let edge = Edge::start(&format!("server: {{ caches: {{ main: {{}} }} }}\n{config}")).await;
    for (user, password) in [("ada", "lovelace"), ("eve", "adam"), ("ada", "lovelace")] {
        assert_eq!(ask(&edge, &shown(user, password)).await.text(), user);
    }
}
