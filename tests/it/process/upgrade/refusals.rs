//! Upgrades that are refused although a process could be started.

use crate::support::{Endpoint, dead};

use super::super::Running;
use super::super::control::{config, evener, get};
use super::super::reload::{answer, responding, write};
use super::{only, refused, serving, upgrade};

#[tokio::test]
async fn a_new_process_that_reaches_no_endpoint_does_not_take_over() {
    let endpoint = Endpoint::answering("ok").await;
    let pool = |port: u16| {
        let address = endpoint.address();
        config(&format!(
            "endpoints: ['{address}'], health: {{ tcp: {{}}, port: {port}, interval: 60s, fall: 1 }}"
        ))
    };
    let running = Running::start(&pool(endpoint.address().port()), 1).await;
    assert_eq!(get(&running).await, 200);
    std::fs::write(running.file("other.yaml"), pool(dead().await.port())).unwrap();
    let why = refused(&running, &["-c", "other.yaml"]).await;
    assert!(why.contains("no endpoint of pool app is fit here, while some are in the old process"), "{why}");
    only(&running, &[running.id()]).await;
    assert_eq!((get(&running).await, serving(&running).await), (200, running.id()));
    upgrade(&running, &[]).await;
    assert_eq!(get(&running).await, 200);
}

#[tokio::test]
async fn a_configuration_that_was_taken_back_is_not_read_again_by_a_new_process() {
    let running = Running::start(&responding("", 201), 1).await;
    write(&running, &responding("", 202));
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(evener(&running, &["rollback"]).await.0, 0);
    assert_eq!(
        refused(&running, &[]).await,
        "the configuration of generation 1 is served again, and the file has another one\n  \
         help: put the file right, and reload it or name it with -c\n"
    );
    assert_eq!((answer(&running).await, serving(&running).await), (201, running.id()));
    // Whoever names the file means it.
    let new = upgrade(&running, &["-c", "edge.yaml"]).await;
    assert_eq!(answer(&running).await, 202);
    only(&running, &[new]).await;
    upgrade(&running, &[]).await;
    assert_eq!(answer(&running).await, 202);
}

#[tokio::test]
async fn a_file_that_was_put_right_is_read_by_a_new_process() {
    let running = Running::start(&responding("", 201), 1).await;
    write(&running, &responding("", 202));
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(evener(&running, &["rollback"]).await.0, 0);
    refused(&running, &[]).await;
    write(&running, &format!("# As it was.\n{}", responding("", 201)));
    upgrade(&running, &[]).await;
    assert_eq!(answer(&running).await, 201);
}
