//! Files that cannot be served, and the difference to those that are.

use std::fs;
use std::path::Path;

use super::super::control::{command, evener, status};
use super::super::{Running, told};
use super::{answer, responding, write};

/// Removes the file, whatever it is.
fn clear(file: &Path) {
    let _ = fs::remove_file(file);
    let _ = fs::remove_dir(file);
}

#[tokio::test]
async fn a_refused_file_is_told_as_a_check_would_and_changes_nothing() {
    let running = Running::start(&responding("", 201), 1).await;
    let file = running.file("edge.yaml");
    let too_long = vec![b'#'; (16 << 20) + 1];
    let good = responding("", 202);
    let contents: [Option<&[u8]>; 9] = [
        None,
        Some(b""),
        Some(b"# nothing\n"),
        Some(&too_long),
        Some(b"routes: \"\xff\"\n"),
        Some(b"- 1\n- 2\n"),
        Some(b"just a text\n"),
        Some(b"listeners: [}\n"),
        Some(&good.as_bytes()[..good.len() - 3]),
    ];
    let mut refused = 0;
    let mut check = async || {
        let (code, _, problems) = evener(&running, &["check", "-c", "edge.yaml"]).await;
        assert_eq!(code, 64);
        let told = evener(&running, &["reload"]).await;
        assert_eq!(told, (64, String::new(), problems));
        refused += 1;
        assert_eq!(status(&running).await["changes_refused"], refused);
        assert_eq!(answer(&running).await, 201);
    };
    for content in contents {
        clear(&file);
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        check().await;
    }
    clear(&file);
    fs::create_dir(&file).unwrap();
    check().await;
    clear(&file);
    let unknown_pool = responding("", 202).replace("respond: { status: 202 }", "pool: app, colour: red");
    fs::write(&file, &unknown_pool).unwrap();
    check().await;
    running.tells("configuration: edge.yaml:3:").await;
    assert_eq!(status(&running).await["generation"], 1);
    write(&running, &good);
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(answer(&running).await, 202);
}

#[tokio::test]
async fn a_file_of_16_mib_is_served_and_asked_for() {
    let running = Running::start(&responding("", 201), 1).await;
    let mut large = responding("", 202);
    large.extend(std::iter::repeat_n("# long\n", ((16 << 20) - large.len()) / 7));
    write(&running, &large);
    let (code, out, err) = evener(&running, &["reload"]).await;
    assert_eq!((code, &*err), (0, ""));
    assert_eq!(out, "~ routes.all: respond.status: 201 -> 202\n");
    assert_eq!(
        evener(&running, &["diff", "-c", "edge.yaml"]).await,
        (0, "no difference\n".to_owned(), String::new())
    );
}

#[tokio::test]
async fn diff_asks_the_process_what_it_serves() {
    let secret = |status| {
        let pools =
            "pools: { app: { endpoints: [127.0.0.1:1], sticky: { cookie: c, secret: { file: secret } } } }\n";
        format!("{}{pools}", responding("", status))
            .replace("routes: [", "routes: [{ match: { path: /app }, pool: app }, ")
    };
    let place = super::super::Place::with(&secret(201));
    fs::write(place.path().join("secret"), "0123456789abcdef").unwrap();
    let run = place.command(&["run", "-c", "edge.yaml"]);
    let running = Running::launch(place, run, 2).await;
    let none = (0, "no difference\n".to_owned(), String::new());
    assert_eq!(evener(&running, &["diff", "-c", "edge.yaml"]).await, none);
    // From elsewhere, where the files that the configuration names are not to be found by the names that it has for them.
    let elsewhere = tempfile::tempdir().unwrap();
    let file = running.file("edge.yaml").display().to_string();
    let far = told(&command(elsewhere.path(), &["diff", "-c", &file]).output().unwrap());
    assert_eq!(far, none);
    write(&running, &secret(202));
    let differs = (1, "~ routes.all: respond.status: 201 -> 202\n".to_owned(), String::new());
    assert_eq!(evener(&running, &["diff", "-c", "edge.yaml"]).await, differs);
    assert_eq!(evener(&running, &["diff", "-c", "edge.yaml", "--socket", "run/evener.sock"]).await, differs);
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(evener(&running, &["diff", "-c", "edge.yaml"]).await, none);
    // A refused file is told once, whether it still says where the socket is or not.
    for (broken, place) in
        [("routes: [5]\n", "edge.yaml:1:"), ("routes: [}\n", "edge.yaml:1:"), ("", "edge.yaml:1:1: ")]
    {
        write(&running, broken);
        let (code, out, err) = evener(&running, &["diff", "-c", "edge.yaml"]).await;
        assert_eq!((code, &*out), (64, ""), "{broken}: {err}");
        let (_, _, checked) = evener(&running, &["check", "-c", "edge.yaml"]).await;
        assert!(err == checked && err.starts_with(place), "{err}");
    }
    write(&running, &secret(202));
    let (code, out, err) = evener(&running, &["diff", "-c", "edge.yaml", "--socket", "gone.sock"]).await;
    assert_eq!((code, &*out), (2, ""));
    assert!(err.contains("nobody answers on gone.sock"), "{err}");
}
