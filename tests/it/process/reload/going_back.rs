//! Earlier configurations, and the way back to them.

use super::super::control::evener;
use super::super::{Place, Running, told};
use super::{answer, responding, write};

async fn serve(running: &Running, status: u16) {
    write(running, &responding("", status));
    let (code, _, err) = evener(running, &["reload"]).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(answer(running).await, status);
}

async fn back(running: &Running, arguments: &[&str]) -> (i32, String, String) {
    evener(running, &[&["rollback"], arguments].concat()).await
}

pub(super) async fn history(running: &Running) -> Vec<serde_json::Value> {
    let (code, out, err) = evener(running, &["history", "--json"]).await;
    assert_eq!((code, &*err), (0, ""));
    serde_json::from_str(&out).unwrap()
}

#[tokio::test]
async fn each_way_back_leads_further_whatever_stands_in_the_file() {
    let running = Running::start(&responding("", 201), 1).await;
    serve(&running, 202).await;
    serve(&running, 203).await;
    // The file is of no use, and is not asked.
    write(&running, "routes: [}\n");
    let (code, out, err) = back(&running, &[]).await;
    assert_eq!((code, &*out, &*err), (0, "~ routes.all: respond.status: 203 -> 202\n", ""));
    assert_eq!(answer(&running).await, 202);
    assert_eq!(back(&running, &[]).await.1, "~ routes.all: respond.status: 202 -> 201\n");
    assert_eq!(answer(&running).await, 201);
    let (code, out, err) = back(&running, &[]).await;
    assert_eq!(code, 64);
    assert_eq!((&*out, &*err), ("", "no earlier configuration is kept\n  help: see `evener history`\n"));
    assert_eq!(back(&running, &["--to", "3"]).await.0, 0);
    assert_eq!(answer(&running).await, 203);
    assert_eq!(back(&running, &["--to", "6"]).await.1, "no difference\n");
    let (code, out, err) = back(&running, &["--to", "99"]).await;
    assert_eq!(code, 64);
    assert_eq!(
        (&*out, &*err),
        ("", "no generation 99 is kept\n  help: there are 1 to 6; see `evener history`\n")
    );
    assert_eq!(answer(&running).await, 203);
    let (code, out, _) = evener(&running, &["history"]).await;
    assert_eq!(code, 0);
    let lines: Vec<_> = out.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(lines.len(), 6);
    assert!(
        lines[0].starts_with("6 ") && lines[0].ends_with("rollback   serving (the configuration of 3)"),
        "{out}"
    );
    assert!(lines[5].starts_with("1 ") && lines[5].ends_with("start      replaced"), "{out}");
    // Who repairs the file goes on from there.
    serve(&running, 204).await;
    assert_eq!(back(&running, &[]).await.1, "~ routes.all: respond.status: 204 -> 203\n");
}

#[tokio::test]
async fn the_last_ten_generations_are_kept() {
    let running = Running::start(&responding("", 200), 1).await;
    let first = history(&running).await;
    assert_eq!(first.len(), 1);
    assert_eq!((&first[0]["origin"], &first[0]["standing"]), (&"start".into(), &"serving".into()));
    for status in 201..=211 {
        serve(&running, status).await;
    }
    let told = history(&running).await;
    let numbers: Vec<_> = told.iter().map(|one| one["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (3..=12).collect::<Vec<_>>());
    for one in &told {
        assert_eq!((&one["origin"], &one["configuration"]), (&"command".into(), &one["number"]));
        assert_eq!(one["standing"], if one["number"] == 12 { "serving" } else { "replaced" });
        assert_eq!(one["diff"]["changes"][0]["name"], "all");
        assert_eq!(one["files"], serde_json::json!([]));
        humantime::parse_rfc3339(one["began"].as_str().unwrap()).unwrap();
    }
    let (code, _, err) = back(&running, &["--to", "2"]).await;
    assert!(code != 0 && err.contains("there are 3 to 12"), "{err}");
    assert_eq!(back(&running, &["--to", "3", "--json"]).await.0, 0);
    assert_eq!(answer(&running).await, 202);
}

#[test]
fn what_is_no_generation_is_told_with_what_is_one() {
    let (code, _, err) = told(&Place::with("").evener(&["rollback", "--to", "abc"]));
    let expected = "error: invalid value 'abc' for '--to <NUMBER>': a generation is a whole number, 1 or more; \
                    `evener history` lists those that are kept\n";
    assert_eq!((code, err.starts_with(expected)), (2, true), "{err}");
}
