use crate::support::Edge;
use crate::wire::http2::H2;
use http::Request;

use super::{FORM, JSON, get, guarded, post, send};

const SQL: [&str; 6] = [
    "1' OR '1'='1",
    "1 UNION SELECT username, password FROM users--",
    "'; DROP TABLE users; --",
    "1' AND SLEEP(5)#",
    "admin'/*",
    "1 AND 1=(SELECT COUNT(*) FROM information_schema.tables)",
];
const SCRIPTS: [&str; 5] = [
    "<script>alert(document.cookie)</script>",
    "\"><img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)//<iframe src=javascript:alert(1)>",
    "<body onpageshow=alert(1)>",
];
const TRAVERSALS: [&str; 4] = [
    "../../../../etc/passwd",
    "....//....//....//etc/passwd",
    "..\\..\\..\\windows\\win.ini",
    "/var/www/../../etc/shadow",
];

fn attacks() -> impl Iterator<Item = &'static str> {
    SQL.into_iter().chain(SCRIPTS).chain(TRAVERSALS)
}

/// Every byte that is not a letter or a digit, percent-encoded.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn json(text: &str) -> String {
    serde_json::json!({ "order": { "notes": [{ "text": text }] } }).to_string()
}

fn multipart(text: &str) -> String {
    format!(
        "--edge\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n{text}\r\n\
         --edge\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\nplain\r\n--edge--\r\n"
    )
}

async fn is_blocked(edge: &Edge, request: impl AsRef<[u8]>) -> bool {
    let response = send(edge, &request).await;
    if response.status != 403 {
        eprintln!("{} for {}", response.status, String::from_utf8_lossy(request.as_ref()));
        return false;
    }
    assert!(response.text().contains("waf_blocked"), "{}", response.text());
    true
}

#[tokio::test]
async fn attacks_are_blocked_wherever_they_stand() {
    let (endpoint, edge) = guarded("").await;
    let mut passed = Vec::new();
    for attack in attacks() {
        let text = encoded(attack);
        let chunked = {
            let body = format!("note={text}");
            let (first, second) = body.split_at(body.len() / 2);
            let chunk = |piece: &str| format!("{:x}\r\n{piece}\r\n", piece.len());
            let head = String::from_utf8(post(FORM, "")).unwrap();
            let head = head.replace("Content-Length: 0", "Transfer-Encoding: chunked");
            format!("{head}{}{}0\r\n\r\n", chunk(first), chunk(second)).into_bytes()
        };
        let places = [
            ("query", get(&format!("/search?q={text}"), "").into_bytes()),
            ("name of a parameter", get(&format!("/search?{text}=1"), "").into_bytes()),
            ("second of one name", get(&format!("/search?q=shoes&q={text}"), "").into_bytes()),
            ("cookie", get("/", &format!("Cookie: theme=dark; seen={}\r\n", text)).into_bytes()),
            ("form", post(FORM, format!("kind=plain&note={text}"))),
            ("form of no type", post("", format!("kind=plain&note={text}"))),
            ("JSON", post(JSON, json(attack))),
            ("JSON by another name", post("Content-Type: application/vnd.shop+json\r\n", json(attack))),
            ("multipart", post("Content-Type: multipart/form-data; boundary=edge\r\n", multipart(attack))),
            ("chunks", chunked),
        ];
        for (place, request) in places {
            if !is_blocked(&edge, request).await {
                passed.push((attack, place));
            }
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn attacks_in_fields_are_blocked() {
    let (endpoint, edge) = guarded("").await;
    let script = "<script>alert(document.cookie)</script>";
    let java = "java.lang.Runtime";
    let shell = "() { :; }; /bin/cat /etc/passwd";
    let plain = get("/", "");
    let agent = plain.lines().find(|line| line.starts_with("User-Agent")).unwrap();
    let of_agent = |value: &str| plain.replace(agent, &format!("User-Agent: {value}"));
    for request in [
        of_agent(script),
        of_agent(java),
        of_agent(shell),
        of_agent("sqlmap/1.8 (https://sqlmap.org)"),
        get("/", &format!("Referer: https://www.example.com/?q={script}\r\n")),
        get("/", &format!("Referer: {java}\r\n")),
        get("/", &format!("X-Api-Version: {java}\r\n")),
        get("/", &format!("X-Anything: {shell}\r\n")),
        get("/", &format!("Cookie: {java}\r\n")),
        get("/", "Cookie: theme=dark; seen=1' OR '1'='1\r\n"),
        get("/", "Cookie: theme=dark\r\nCookie: seen=1' UNION SELECT 1,2 --\r\n"),
        get("/", &format!("Cookie: seen=\"{script}\"\r\n")),
        get("/", &format!("Cookie: {script}=1\r\n")),
        get("/", "Cookie: f=../../../../etc/passwd\r\n"),
    ] {
        assert!(is_blocked(&edge, &request).await, "{request}");
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn encodings_hide_nothing() {
    let (endpoint, edge) = guarded("").await;
    let script = "<script>alert(1)</script>";
    let twice = encoded(&encoded(script));
    let unicode = "%u003cscript%u003ealert(1)%u003c/script%u003e";
    for request in [
        get(&format!("/?q={twice}"), "").into_bytes(),
        get(&format!("/?q={unicode}"), "").into_bytes(),
        get("/?q=%3CsCrIpT%3Ealert(1)%3C/ScRiPt%3E", "").into_bytes(),
        get("/?q=1%27%09oR%0b%271%27%3D%271", "").into_bytes(),
        get("/?q=1'/**/UNION/**/SELECT/**/password/**/FROM/**/users--", "").into_bytes(),
        get("/?f=%2e%2e%2f%2e%2e%2fetc%2fpasswd", "").into_bytes(),
        get("/?f=%252e%252e%252f%252e%252e%252fetc%252fpasswd", "").into_bytes(),
        get("/?f=..%c0%af..%c0%afetc/passwd", "").into_bytes(),
        // Behind a question mark that the engine, as it is, would take for the beginning of the query.
        get("/a%3F/.git/config", "").into_bytes(),
        get("/a%3f/.env", "").into_bytes(),
        get("/.git/config", "").into_bytes(),
        get("/static/%2e%67it/config", "").into_bytes(),
        post(JSON, r#"{"q":"\u003cscript\u003ealert(1)\u003c/script\u003e"}"#),
        // A body that is compressed is a body that is not seen.
        post(&format!("{FORM}Content-Encoding: gzip\r\n"), [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]),
        post("Content-Type: application/octet-stream\r\n", script),
        post(JSON, r#"{"q": "half"#),
        post("Content-Type: multipart/form-data; boundary=edge\r\n", "--egde\r\n\r\nq\r\n--egde--"),
    ] {
        let shown = String::from_utf8_lossy(&request).into_owned();
        assert!(is_blocked(&edge, request).await, "{shown}");
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn upgrades_and_http2_are_no_way_around() {
    let (endpoint, edge) = guarded("").await;
    let attack = "/?q=%3Cscript%3Ealert(1)%3C/script%3E";
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    assert!(is_blocked(&edge, get(attack, upgrade)).await);
    let with_body = format!("{FORM}{upgrade}");
    assert!(is_blocked(&edge, post(&with_body, "q=%3Cscript%3Ealert(1)%3C/script%3E")).await);
    let client = H2::connect(&edge).await;
    let browser = || {
        let request = Request::post("http://www.example.com/orders").header("accept", "*/*");
        request.header("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")
    };
    let form =
        |request: http::request::Builder| request.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(client.send(form(browser()), "note=hello").await.status(), 200);
    let told = endpoint.requests().len();
    assert_eq!(client.send(form(browser()), "note=1%27+OR+%271%27=%271").await.status(), 403);
    let crumbs = browser().header("cookie", "a=b").header("cookie", "c=1' UNION SELECT 1,2 --");
    assert_eq!(client.send(form(crumbs), "note=hello").await.status(), 403);
    // What says that it is a call of gRPC, which is not read, is no request that the rules know.
    let call = browser().header("content-type", "application/grpc");
    let refused = client.send(call, "note=1%27+OR+%271%27=%271").await;
    assert_eq!(refused.headers()["grpc-status"], "7");
    assert_eq!(endpoint.requests().len(), told);
}
