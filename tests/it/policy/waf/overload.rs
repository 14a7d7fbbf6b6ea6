use std::process::{Command, Stdio};

use futures::future::join_all;

use crate::process::{Place, Running};
use crate::support::{Client, Endpoint};

use super::super::filtered;
use super::{FORM, post};

/// More than may wait, and fewer connections than a client may have.
const MANY: usize = 400;

/// One core for the process, so that one request is looked at and 256 wait.
fn on_one_core(place: &Place) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = allowed.split([',', '-']).next().unwrap();
    let mut command = Command::new("taskset");
    command.args(["-c", first, env!("CARGO_BIN_EXE_evener"), "run", "-c", "edge.yaml"]);
    command.current_dir(place.path()).stdout(Stdio::null());
    command
}

/// In a process of its own: what waits for a core there waits before everybody.
#[tokio::test]
async fn what_cannot_be_looked_at_is_refused_and_never_passes() {
    let endpoint = Endpoint::answering("ok").await;
    let place = Place::with(&filtered(endpoint.address(), "{ waf: {} }"));
    let command = on_one_core(&place);
    let running = Running::launch(place, command, 1).await;
    // A long one, which takes its time.
    let attack = post(FORM, format!("text={}&note=1%27+OR+%271%27=%271", "harmless+".repeat(1000)));
    let ask = async || {
        let mut client = Client::connect(running.address()).await;
        client.send(&attack).await;
        let response = client.response().await;
        (response.status, response.text().to_owned())
    };
    let answers = join_all((0..MANY).map(|_| ask())).await;
    let refused = answers.iter().filter(|(status, text)| *status == 503 && text.contains("waf_overloaded"));
    let blocked = answers.iter().filter(|(status, text)| *status == 403 && text.contains("waf_blocked"));
    let (refused, blocked) = (refused.count(), blocked.count());
    assert_eq!(refused + blocked, MANY, "{answers:?}");
    assert!(refused > 0 && blocked > 256, "{refused} refused, {blocked} blocked");
    assert!(endpoint.requests().is_empty());
    // When they are gone all is as before.
    assert_eq!(ask().await.0, 403);
}
