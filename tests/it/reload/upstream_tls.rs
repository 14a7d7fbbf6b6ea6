//! Files of TLS towards endpoints that say something else at the next reload.

use crate::support::{Ca, Edge, Endpoint, TlsFront};

use super::site;

#[tokio::test]
async fn files_are_read_again_and_what_they_hold_decides() {
    let (right, wrong) = (Ca::new("right"), Ca::new("wrong"));
    let issued = right.issue(&["api.internal"]);
    let endpoint = Endpoint::answering("safe").await;
    let front = TlsFront::new(issued.server(&["http/1.1"]), endpoint.address()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = right.write(folder.path(), "ca.pem");
    let pool = format!("tls: {{ ca: '{}', sni: api.internal }},", file.display());
    let config = site("pool: app", &pool, &[front.address()]);
    let edge = Edge::start(&config).await;
    assert_eq!(edge.get("/").await.text(), "safe");
    assert_eq!(edge.reload(&config).await, "no difference\n");
    // A connection that was verified by others serves nobody any more.
    wrong.write(folder.path(), "ca.pem");
    assert_eq!(edge.reload(&config).await, "~ pools.app: files of tls\n");
    let refused = edge.get("/").await;
    assert_eq!(refused.status, 502);
    assert!(refused.header("proxy-status").unwrap().contains("tls_certificate_error"), "{}", refused.head);
    std::fs::write(&file, "nothing").unwrap();
    let problem = edge.try_reload(&config).await.unwrap_err();
    assert!(problem.contains("pools.app.tls.ca"), "{problem}");
    assert_eq!(edge.get("/").await.status, 502);
    right.write(folder.path(), "ca.pem");
    assert_eq!(edge.reload(&config).await, "~ pools.app: files of tls\n");
    assert_eq!(edge.get("/").await.text(), "safe");
}
