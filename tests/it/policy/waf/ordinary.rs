use std::fmt::Write;

use super::{FORM, JSON, get, guarded, post};

const WORDS: [&str; 24] = [
    "red",
    "shoes",
    "winter",
    "coat",
    "order",
    "selection",
    "European",
    "table for six",
    "drop-down",
    "a transcript",
    "London",
    "Zürich",
    "O'Brien",
    "rock & roll",
    "50% off",
    "C++",
    "R&D",
    "a/b",
    "size 42",
    "Smith-Jones",
    "café",
    "update of July",
    "where to buy",
    "from Spain",
];
const PATHS: [&str; 10] = [
    "/",
    "/products",
    "/products/42",
    "/images/logo.png",
    "/static/app.3f9a1c.js",
    "/api/v1/orders",
    "/blog/2026/how-to",
    "/search",
    "/a%20b/c",
    "/%E4%BD%A0%E5%A5%BD",
];

/// Letters and digits as they are, everything else in percent signs.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b' ' => encoded.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) => encoded.push(byte.into()),
            byte => write!(encoded, "%{byte:02X}").unwrap(),
        }
        encoded
    })
}

fn phrase(random: &mut fastrand::Rng) -> String {
    let words = random.usize(1..4);
    (0..words).map(|_| WORDS[random.usize(..WORDS.len())]).collect::<Vec<_>>().join(" ")
}

fn pairs(random: &mut fastrand::Rng) -> String {
    let names = ["q", "page", "sort", "colour", "utm_source", "note", "name"];
    let count = random.usize(1..5);
    let pairs: Vec<_> = (0..count)
        .map(|_| format!("{}={}", names[random.usize(..names.len())], encoded(&phrase(random))))
        .collect();
    pairs.join("&")
}

fn fields(random: &mut fastrand::Rng) -> String {
    let session = random.u64(..);
    match random.u8(..4) {
        0 => String::new(),
        1 => format!("Cookie: session={session:x}; theme=dark\r\n"),
        2 => format!("Referer: https://www.example.com/search?{}\r\nCookie: id={session}\r\n", pairs(random)),
        _ => format!("If-None-Match: \"{session:x}\"\r\nAuthorization: Bearer {session:x}.{session:x}\r\n"),
    }
}

fn request(random: &mut fastrand::Rng) -> Vec<u8> {
    let path = PATHS[random.usize(..PATHS.len())];
    let fields = fields(random);
    match random.u8(..8) {
        0 => get(path, &fields).into_bytes(),
        1..4 => get(&format!("{path}?{}", pairs(random)), &fields).into_bytes(),
        4 => get(path, &fields).replacen("GET", "HEAD", 1).into_bytes(),
        5 => post(&format!("{fields}{FORM}"), pairs(random)),
        6 => {
            let items: Vec<_> = (0..random.usize(..20))
                .map(|n| serde_json::json!({ "id": n, "text": phrase(random) }))
                .collect();
            post(&format!("{fields}{JSON}"), serde_json::json!({ "items": items, "ok": true }).to_string())
        }
        _ => {
            let part = |name: &str, text: &str| {
                format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
            };
            let body =
                format!("{}{}--edge--\r\n", part("title", &phrase(random)), part("text", &phrase(random)));
            post(&format!("{fields}Content-Type: multipart/form-data; boundary=edge\r\n"), body)
        }
    }
}

#[tokio::test]
async fn a_thousand_ordinary_requests_pass() {
    let (endpoint, edge) = guarded("").await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut client = edge.connect().await;
    for number in 0..1000 {
        let request = request(&mut random);
        client.send(&request).await;
        let status = client.response().await.status;
        assert_eq!(status, 200, "request {number}: {}", String::from_utf8_lossy(&request));
    }
    assert_eq!(endpoint.requests().len(), 1000);
    let log = edge.log_of(1000).await;
    assert!(!log.iter().any(|line| line["waf"]["verdict"] == "blocked"));
}
