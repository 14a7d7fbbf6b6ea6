//! Indexes, redirects, pages for what is not there, media types and codings.

use std::time::{Duration, SystemTime};

use http::Request;

use crate::wire::http2::H2;

use super::Site;

#[tokio::test]
async fn a_folder_is_its_index_and_never_a_list() {
    let files =
        [("index.html", "start"), ("docs/index.htm", "docs"), ("docs/x.txt", "x"), ("bare/x.txt", "x")];
    let site = Site::with("index: [index.html, index.htm]", &files).await;
    assert_eq!(site.get("/").await.text(), "start");
    assert_eq!(site.get("/docs/").await.text(), "docs");
    let redirect = site.get("/docs?a=b").await;
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("./docs/?a=b")));
    for path in ["/bare", "/bare/", "/none/", "/docs/x.txt/"] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
    let none = Site::with("index: []", &files).await;
    assert_eq!(none.get("/").await.status, 404);
}

#[tokio::test]
async fn a_redirect_names_no_other_host() {
    let site = Site::with("", &[("evil.example/index.html", "x"), ("a:b/index.html", "x")]).await;
    for (path, location) in [("//evil.example", "./evil.example/"), ("/a:b", "./a:b/"), ("/%61:b", "./a:b/")]
    {
        let response = site.get(path).await;
        assert_eq!((response.status, response.header("location")), (308, Some(location)), "{path}");
    }
}

#[tokio::test]
async fn a_prefix_can_be_taken_off() {
    let filters = "[{ rewrite: { strip_prefix: /static } }]";
    let site = Site::with_filters(filters, "", &[("a/index.html", "a"), ("index.html", "all")]).await;
    assert_eq!(site.get("/static/a/").await.text(), "a");
    assert_eq!(site.get("/static/").await.text(), "all");
    let bare = site.get("/static?x=1").await;
    assert_eq!((bare.status, bare.header("location")), (308, Some("./static/?x=1")));
    assert_eq!(site.get("/static/a").await.header("location"), Some("./a/"));
}

#[tokio::test]
async fn what_is_not_there_has_a_page_if_one_is_named() {
    let plain = Site::with("", &[]).await;
    let response = plain.get("/x").await;
    assert_eq!(response.status, 404);
    assert_eq!(plain.edge.log_of(1).await[0]["cause"], "no_file");
    let site = Site::with("not_found: /404.html, expires: 1h", &[("404.html", "nothing here")]).await;
    let response = site.get("/x").await;
    assert_eq!((response.status, response.text()), (404, "nothing here"));
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    for name in ["cache-control", "etag", "last-modified", "accept-ranges"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    let part = site.ask("GET", "/x", "Range: bytes=0-1\r\nIf-None-Match: *\r\n").await;
    assert_eq!((part.status, part.text()), (404, "nothing here"));
    let head = site.ask("HEAD", "/x", "").await;
    assert_eq!((head.status, head.header("content-length")), (404, Some("12")));
}

#[tokio::test]
async fn an_application_gets_its_page_for_its_paths() {
    let files = [("app.html", "app"), ("404.html", "none"), ("logo.svg", "logo")];
    let site = Site::with("spa: /app.html, not_found: /404.html, expires: 1h", &files).await;
    for path in ["/users/7", "/users/", "/"] {
        let response = site.ask("GET", path, "Accept: text/html,*/*;q=0.8\r\n").await;
        assert_eq!((response.status, response.text()), (200, "app"), "{path}");
        assert_eq!(response.header("cache-control"), Some("no-cache"), "{path}");
    }
    for (path, accept) in
        [("/app.js", "text/html"), ("/users/7", "application/json"), ("/x", "text/html;q=0")]
    {
        let response = site.ask("GET", path, &format!("Accept: {accept}\r\n")).await;
        assert_eq!((response.status, response.text()), (404, "none"), "{path}");
    }
    let logo = site.get("/logo.svg").await;
    assert_eq!((logo.text(), logo.header("cache-control")), ("logo", Some("max-age=3600")));
    assert_eq!(site.ask("POST", "/users/7", "Content-Length: 0\r\n").await.status, 405);
}

#[tokio::test]
async fn types_and_ages_are_told() {
    let settings = "expires: 365d, immutable: true, types: { .Foo: text/x-foo, .js: application/javascript }";
    let files = [("a.foo", "x"), ("a.JS", "x"), ("a.css", "x"), ("a", "x"), ("a.unknown", "x")];
    let site = Site::with(settings, &files).await;
    let types = [
        ("/a.foo", "text/x-foo"),
        ("/a.JS", "application/javascript"),
        ("/a.css", "text/css; charset=utf-8"),
        ("/a", "application/octet-stream"),
        ("/a.unknown", "application/octet-stream"),
    ];
    for (path, media) in types {
        let response = site.get(path).await;
        assert_eq!(response.header("content-type"), Some(media), "{path}");
        assert_eq!(response.header("cache-control"), Some("max-age=31536000, immutable"), "{path}");
        assert_eq!(response.header("vary"), None);
    }
}

#[tokio::test]
async fn a_neighbour_in_a_coding_that_the_client_likes_is_served() {
    let files = [
        ("a.js", "plain"),
        ("a.js.br", "brotli"),
        ("a.js.gz", "gzip"),
        ("b.js", "plain b"),
        ("b.js.gz", "old"),
    ];
    let site = Site::with("precompressed: [br, zstd, gzip]", &files).await;
    let old = std::fs::File::open(site.path("b.js.gz")).unwrap();
    old.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    let cases = [
        ("/a.js", "gzip, br, zstd", "brotli", Some("br")),
        ("/a.js", "zstd, gzip;q=0.5", "gzip", Some("gzip")),
        ("/a.js", "gzip;q=0, identity", "plain", None),
        ("/a.js", "", "plain", None),
        ("/b.js", "gzip", "plain b", None),
    ];
    let mut tags = Vec::new();
    for (path, accepted, text, coding) in cases {
        let response = site.ask("GET", path, &format!("Accept-Encoding: {accepted}\r\n")).await;
        assert_eq!(
            (response.text(), response.header("content-encoding")),
            (text, coding),
            "{path} {accepted}"
        );
        assert_eq!(response.header("vary"), Some("accept-encoding"));
        assert_eq!(response.header("content-type"), Some("text/javascript; charset=utf-8"));
        tags.push(response.header("etag").unwrap().to_owned());
    }
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[2] == tags[3], "{tags:?}");
    let part = site.ask("GET", "/a.js", "Accept-Encoding: br\r\nRange: bytes=1-2\r\n").await;
    assert_eq!((part.status, part.text(), part.header("content-encoding")), (206, "ro", Some("br")));
    let known = format!("Accept-Encoding: br\r\nIf-None-Match: {}\r\n", tags[2]);
    assert_eq!(site.ask("GET", "/a.js", &known).await.status, 200, "another coding is another state");
}

#[tokio::test]
async fn http2_clients_get_the_same() {
    let site = Site::with(
        "not_found: /404.html",
        &[("a.txt", "hello"), ("404.html", "none"), ("d/index.html", "d")],
    )
    .await;
    site.put("large.bin", vec![7; 300_000]);
    let h2 = H2::connect(&site.edge).await;
    assert_eq!(h2.get("/a.txt").await.body(), "hello");
    let large = h2.get("/large.bin").await;
    assert_eq!(
        (large.headers()["content-length"].to_str().unwrap(), large.body().len()),
        ("300000", 300_000)
    );
    assert_eq!(h2.get("/x").await.status(), 404);
    assert_eq!(h2.get("/d").await.headers()["location"], "./d/");
    let head = h2.send(Request::head("http://example.com/large.bin"), "").await;
    assert_eq!((head.headers()["content-length"].to_str().unwrap(), head.body().len()), ("300000", 0));
    let part = h2.send(Request::get("http://example.com/a.txt").header("range", "bytes=1-2,4-"), "").await;
    assert_eq!(part.status(), 206);
    assert!(part.headers()["content-type"].to_str().unwrap().starts_with("multipart/byteranges; boundary="));
    let etag = large.headers()["etag"].to_str().unwrap();
    let known = h2.send(Request::get("http://example.com/large.bin").header("if-none-match", etag), "").await;
    assert_eq!((known.status().as_u16(), known.body().len()), (304, 0));
}
