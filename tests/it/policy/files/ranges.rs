//! Parts of files.

use std::time::{Duration, SystemTime};

use futures::future::join_all;

use crate::support::Response;

use super::Site;

fn numbers(count: u32) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

async fn site() -> Site {
    let site = Site::with("", &[("a.txt", "0123456789")]).await;
    site.put("b.bin", numbers(500_000));
    site.put("empty", "");
    site
}

async fn part(site: &Site, path: &str, range: &str) -> Response {
    site.ask("GET", path, &format!("Range: {range}\r\n")).await
}

#[tokio::test]
async fn one_part() {
    let site = site().await;
    for (range, text, told) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-500", "56789", "bytes 5-9/10"),
        ("bytes=4-5,90-", "45", "bytes 4-5/10"),
    ] {
        let response = part(&site, "/a.txt", range).await;
        assert_eq!((response.status, response.text()), (206, text), "{range}");
        assert_eq!(response.header("content-range"), Some(told), "{range}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let long = part(&site, "/b.bin", "bytes=100000-399999").await;
    assert!(long.body == numbers(500_000)[100_000..400_000]);
}

#[tokio::test]
async fn several_parts() {
    let site = site().await;
    let response = part(&site, "/a.txt", "bytes=0-1,5-6,-1").await;
    assert_eq!((response.status, response.header("content-range")), (206, None));
    let boundary =
        response.header("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let media = "Content-Type: text/plain; charset=utf-8";
    let expected = format!(
        "--{boundary}\r\n{media}\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--{boundary}\r\n{media}\r\nContent-Range: bytes 5-6/10\r\n\r\n56\r\n--{boundary}\r\n{media}\r\nContent-Range: bytes 9-9/10\r\n\r\n9\r\n--{boundary}--\r\n"
    );
    assert_eq!(response.text(), expected);
    let long = part(&site, "/b.bin", "bytes=0-99999,200000-299999").await;
    assert_eq!(long.body.len().to_string(), long.header("content-length").unwrap());
    let contains = |wanted: &[u8]| long.body.windows(wanted.len()).any(|window| window == wanted);
    assert!(contains(&numbers(500_000)[200_000..300_000]));
}

#[tokio::test]
async fn what_is_no_part_is_the_whole_or_nothing() {
    let site = site().await;
    for range in ["bytes=10-", "bytes=-0", "bytes=99-100,-0"] {
        let response = part(&site, "/a.txt", range).await;
        assert_eq!((response.status, response.header("content-range")), (416, Some("bytes */10")), "{range}");
        assert_eq!(response.text(), "");
    }
    assert_eq!(part(&site, "/empty", "bytes=0-").await.status, 416);
    let many = vec!["0-0"; 1000].join(",");
    let all = vec!["0-"; 1000].join(",");
    for range in [
        "lines=0-1",
        "bytes=3-1",
        "bytes=x",
        "bytes=0-,0-",
        &format!("bytes={many}"),
        &format!("bytes={all}"),
    ] {
        let response = part(&site, "/a.txt", range).await;
        assert_eq!((response.status, response.text()), (200, "0123456789"), "{range}");
        assert_eq!(response.header("accept-ranges"), Some("bytes"));
    }
    let head = site.ask("HEAD", "/a.txt", "Range: bytes=0-1\r\n").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
}

#[tokio::test]
async fn parts_are_only_of_what_the_client_has() {
    let site = site().await;
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    std::fs::File::open(site.path("a.txt")).unwrap().set_modified(then).unwrap();
    let etag = site.get("/a.txt").await.header("etag").unwrap().to_owned();
    for (field, status) in [
        (etag.as_str(), 206),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 206),
        ("\"x\"", 200),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 200),
    ] {
        let response = site.ask("GET", "/a.txt", &format!("Range: bytes=0-1\r\nIf-Range: {field}\r\n")).await;
        assert_eq!(response.status, status, "{field}");
    }
    let weak = site.ask("GET", "/a.txt", &format!("Range: bytes=0-1\r\nIf-Range: W/{etag}\r\n")).await;
    assert_eq!(weak.status, 200);
}

#[tokio::test]
async fn many_parts_at_once_are_each_right() {
    let site = site().await;
    let whole = numbers(500_000);
    let asked = (0..300_usize).map(|number| {
        let (site, whole) = (&site, &whole);
        async move {
            let start = number * 1567;
            let end = start + 1 + number * 97;
            let response = part(site, "/b.bin", &format!("bytes={start}-{end}")).await;
            assert_eq!(response.status, 206);
            assert!(response.body == whole[start..(end + 1).min(whole.len())], "{start}-{end}");
        }
    });
    join_all(asked).await;
}
