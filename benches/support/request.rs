//! The one request of the measurement, as a browser would send it, and the body that the origin answers with.

/// The Host that clients ask for.
pub(crate) const HOST: &str = "app.example.com";

/// The fields of each request after Host.
pub(crate) const HEADERS: [(&str, &str); 8] = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "http://app.example.com/overview"),
    ("Cookie", "session=7f3a9c1e5b2d4860; theme=dark"),
    ("Cache-Control", "no-cache"),
    ("Sec-Fetch-Mode", "navigate"),
];

/// The path of answers that proxies may store.
#[allow(dead_code, reason = "not every bench compares stored answers")]
pub(crate) const STORED: &str = "/stored";

/// What origins answer: 100 bytes.
pub(crate) const BODY: &str =
    "An evener is the bar that shares a load evenly between a pair of draught horses, whichever way we go";

/// A GET on a connection that stays open; `extra` are whole lines, each with its line end.
pub(crate) fn get(path: &str, extra: &str) -> Vec<u8> {
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n");
    for (name, value) in HEADERS {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(extra);
    text.push_str("\r\n");
    text.into_bytes()
}
