use crate::support::{Client, Endpoint};

use super::run::Running;

async fn get(running: &Running, path: &str) -> String {
    let mut client = Client::connect(running.address()).await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n")).await;
    client.response().await.text().to_owned()
}

#[tokio::test]
async fn stored_answers_are_removed_by_url_prefix_tag_or_altogether() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let endpoint = Endpoint::with(move |request| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let body = format!("{} {number}", request.path());
        let tag = if request.path() == "/tagged" { "Cache-Tag: x, y\r\n" } else { "" };
        format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{tag}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    })
    .await;
    let config = format!(
        "server: {{ caches: {{ main: {{}}, other: {{}} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes:
  - filters: [{{ cache: {{ in: main }} }}]
    pool: app
  - match: {{ path: /old }}
    filters: [{{ rewrite: {{ strip_prefix: /old }} }}, {{ cache: {{ in: main }} }}]
    pool: app
log: {{ access: {{ format: off }} }}
",
        endpoint.address()
    );
    let running = Running::start(&config, 1).await;
    let paths = ["/a/1", "/a/2", "/b", "/tagged", "/old/~c"];
    for (arguments, removed, gone) in [
        (&["http://Example.com/b"][..], 1, &["/b"][..]),
        (&["http://example.com/%62#top"], 1, &["/b"]),
        (&["http://example.com/none"], 0, &[]),
        (&["http://example.com/old/%7ec"], 1, &["/old/~c"]),
        (&["http://example.com/~c"], 1, &["/old/~c"]),
        (&["--prefix", "http://example.com/old/"], 1, &["/old/~c"]),
        (&["--prefix", "http://example.com/a/"], 2, &["/a/1", "/a/2"]),
        (&["--tag", "y"], 1, &["/tagged"]),
        (&["--cache", "other", "--all"], 0, &[]),
        (&["--cache", "main", "--all"], 5, &paths),
    ] {
        let mut before = Vec::new();
        for path in paths {
            before.push(get(&running, path).await);
        }
        let (code, out, err) = running.evener(&[&["purge"], arguments].concat()).await;
        assert_eq!((code, &*out), (0, &*format!("{removed} removed\n")), "{arguments:?} {err}");
        for (path, before) in paths.iter().zip(before) {
            assert_eq!(get(&running, path).await != before, gone.contains(path), "{arguments:?} {path}");
        }
    }
    let (code, _, err) = running.evener(&["purge", "--cache", "mian", "--all"]).await;
    assert!(code == 1 && err.contains("no cache named `mian`") && err.contains("`main`"), "{code} {err}");
    assert_eq!(running.evener(&["purge"]).await.0, 2);
    for arguments in [&["/b"][..], &["example.com/b"], &["--prefix", ""], &["--prefix", "http://"]] {
        let (code, _, err) = running.evener(&[&["purge"], arguments].concat()).await;
        assert!(code == 2 && err.contains("this is no URL"), "{arguments:?} {code} {err}");
    }
}
