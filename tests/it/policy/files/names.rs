//! Which file a path leads to, and that none leads out of the folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use crate::support::{Client, eventually};

use super::Site;

const SECRET: &str = "a secret";

/// A site beside which a secret lies, and in which links lead to it.
async fn guarded(settings: &str) -> Site {
    let files = [("index.html", "start"), ("a/b.txt", "b"), (".env", SECRET), (".git/config", SECRET)];
    let site = Site::with(settings, &files).await;
    fs::write(site.path("../secret.txt"), SECRET).unwrap();
    fs::create_dir(site.path("../vault")).unwrap();
    fs::write(site.path("../vault/secret.txt"), SECRET).unwrap();
    symlink("../secret.txt", site.path("out.txt")).unwrap();
    symlink("../vault", site.path("out")).unwrap();
    symlink(site.path("../secret.txt"), site.path("absolute.txt")).unwrap();
    symlink("/etc/passwd", site.path("passwd")).unwrap();
    symlink("/proc/self/environ", site.path("environ")).unwrap();
    symlink("a/../../vault/secret.txt", site.path("detour.txt")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    symlink("a/b.txt", site.path("within.txt")).unwrap();
    symlink("../index.html", site.path("a/up.html")).unwrap();
    site
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder() {
    let site = guarded("").await;
    let paths = [
        "/../secret.txt",
        "/a/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/.%2e/secret.txt",
        "/a/..%2f..%2fsecret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/a/..;/../secret.txt",
        "/..;/secret.txt",
        "/./../secret.txt",
        "//../secret.txt",
        "/..//secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%c0%ae%c0%ae%c0%afsecret.txt",
        "/%uff0e%uff0e/secret.txt",
        "/..%00/secret.txt",
        "/secret.txt%00",
        "/../secret.txt%00.html",
        "/a/b.txt/../../../secret.txt",
        "/%2fetc/passwd",
        "/%2Fetc%2Fpasswd",
        "//etc/passwd",
        "/a//../../secret.txt",
        "/..../secret.txt",
        "/out.txt",
        "/out/secret.txt",
        "/out/",
        "/out",
        "/absolute.txt",
        "/passwd",
        "/environ",
        "/detour.txt",
        "/loop",
        "/.env",
        "/.git/config",
        "/%2eenv",
        "/a/../.env",
        "/.git/",
        "/.",
        "/..",
        "/a/b.txt/",
        "/a/b.txt/x",
        "/a",
        "/a/",
    ];
    let mut refused = 0;
    for path in paths {
        let response = site.get(path).await;
        assert!(!response.text().contains(SECRET) && !response.text().contains("root:"), "{path}");
        // What is normalised to a path that is there may be served.
        if response.status != 200 {
            assert!(matches!(response.status, 400 | 404), "{path}: {}", response.head);
            refused += 1;
        }
    }
    assert_eq!(refused, paths.len() - 1, "`/.` alone is the start page");
    for target in ["http://a/../secret.txt", "http://a/%2e%2e/secret.txt", "/../secret.txt?x"] {
        let response = site.edge.send(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(response.status, 400, "{target}");
    }
}

#[tokio::test]
async fn links_are_followed_as_the_settings_say() {
    let within = guarded("").await;
    assert_eq!(within.get("/within.txt").await.text(), "b");
    assert_eq!(within.get("/a/up.html").await.text(), "start");
    let never = guarded("symlinks: never").await;
    assert_eq!(never.get("/within.txt").await.status, 404);
    assert_eq!(never.get("/a/up.html").await.status, 404);
    assert_eq!(never.get("/a/b.txt").await.text(), "b");
}

#[tokio::test]
async fn a_folder_that_becomes_a_link_meanwhile_leads_nowhere() {
    let site = guarded("").await;
    site.put("swap/secret.txt", "harmless");
    symlink("../vault", site.path("other")).unwrap();
    let (one, other) = (site.path("swap"), site.path("other"));
    let is_over = Arc::new(AtomicBool::new(false));
    let told = is_over.clone();
    let swapping = std::thread::spawn(move || {
        let mut swaps = 0_u64;
        while !told.load(Ordering::Relaxed) {
            renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            swaps += 1;
        }
        swaps
    });
    let mut client = site.edge.connect().await;
    let (mut served, mut refused) = (0, 0);
    while served < 200 || refused < 200 {
        client.send("GET /swap/secret.txt HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let response = client.response().await;
        match response.status {
            200 => served += 1,
            404 => refused += 1,
            _ => panic!("{}", response.head),
        }
        assert!(response.status != 200 || response.text() == "harmless", "{}", response.text());
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(swapping.join().unwrap() > 100);
}

#[tokio::test]
async fn only_files_are_read() {
    let site = guarded("").await;
    mknodat(CWD, site.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = UnixListener::bind(site.path("socket")).unwrap();
    symlink("/dev/zero", site.path("zero")).unwrap();
    let zero = rustix::fs::makedev(1, 5);
    let device = mknodat(CWD, site.path("device"), FileType::CharacterDevice, Mode::RUSR, zero);
    // Only root makes devices; others test the rest.
    let device = device.is_ok().then_some("/device");
    for path in ["/pipe", "/socket", "/zero"].into_iter().chain(device) {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn names_mean_what_they_say() {
    let site =
        Site::with("hidden: true", &[("a b.txt", "space"), ("ä/ö.TXT", "umlaut"), (".x", "hidden")]).await;
    site.put("%2e%2e.txt", "percent");
    assert_eq!(site.get("/a%20b.txt").await.text(), "space");
    let umlaut = site.get("/%C3%A4/%C3%B6.TXT").await;
    assert_eq!((umlaut.text(), umlaut.header("content-type")), ("umlaut", Some("text/plain; charset=utf-8")));
    assert_eq!(site.get("/.x").await.text(), "hidden");
    assert_eq!(site.get("/%252e%252e.txt").await.text(), "percent");
    assert_eq!(site.get(&format!("/{}", "x".repeat(300))).await.status, 404);
    assert_eq!(site.get(&format!("/{}", "x/".repeat(2500))).await.status, 404);
}

#[tokio::test]
async fn files_are_only_read() {
    let site = guarded("").await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let response = site.ask(method, "/a/b.txt", "Content-Length: 0\r\n").await;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(fs::read_to_string(site.path("a/b.txt")).unwrap(), "b");
}

#[tokio::test]
async fn another_folder_in_the_place_of_the_root_is_served() {
    let site = Site::with("", &[("a.txt", "old")]).await;
    assert_eq!(site.get("/a.txt").await.text(), "old");
    let release = site.path("../release");
    fs::create_dir(&release).unwrap();
    fs::write(release.join("a.txt"), "new").unwrap();
    symlink("release", site.path("../next")).unwrap();
    renameat_with(CWD, site.path("../next"), CWD, site.path("../www"), RenameFlags::EXCHANGE).unwrap();
    let mut client = Client::connect(site.edge.address()).await;
    eventually("the new folder is served", async || {
        client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.response().await.text() == "new"
    })
    .await;
}
