use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;
use crate::pools::State;
use crate::runtime::Status;
use crate::top::testing::{endpoint, minute, pool, pressed, status, two_pools};

/// What is on a screen of this size.
fn screen(view: &mut View, width: u16, height: u16) -> String {
    let terminal = painted(view, width, height, false);
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(width.into());
    let line = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    lines.map(line).collect::<Vec<_>>().join("\n")
}

fn painted(view: &mut View, width: u16, height: u16, has_colours: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, Palette::of_colours(has_colours), frame)).unwrap();
    terminal
}

fn press(view: &mut View, keys: &str) {
    keys.chars().for_each(|char| drop(view.press(pressed(char))));
}

/// Compares a screen with the one that is kept in `golden/`; BLESS=1 keeps this one.
fn golden(name: &str, told: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/screen/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{told}\n")).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{told}\n"), "{name}");
}

#[test]
fn pools_and_endpoints_fill_a_terminal() {
    golden("pools-160.txt", &screen(&mut two_pools(), 160, 12));
    golden("pools-80.txt", &screen(&mut two_pools(), 80, 12));
    golden("pools-40.txt", &screen(&mut two_pools(), 40, 8));
}

#[test]
fn other_tabs_and_dialogs_are_painted() {
    let mut view = two_pools();
    press(&mut view, "2");
    golden("routes-100.txt", &screen(&mut view, 100, 8));
    press(&mut view, "1jw5");
    golden("weight-80.txt", &screen(&mut view, 80, 16));
    press(&mut view, "\u{1b}?");
    golden("help-80.txt", &screen(&mut view, 80, 20));
}

#[test]
fn every_order_is_asked_for() {
    let mut view = two_pools();
    press(&mut view, "jd");
    let told = screen(&mut view, 80, 14);
    assert!(told.contains("Drain app/10.0.0.1:80? It gets no new requests."), "{told}");
    press(&mut view, "nw12");
    let told = screen(&mut view, 80, 14);
    assert!(told.contains("The weight of app/10.0.0.1:80 is 3.") && told.contains("Make it: 12█"), "{told}");
    press(&mut view, "\u{1b}?");
    assert!(screen(&mut view, 80, 24).contains("any key closes this"));
}

#[test]
fn every_tab_fits_any_terminal() {
    let mut view = two_pools();
    let certificate = serde_json::json!({
        "listener": "web", "names": ["a.example", "ü.example"], "key": "ECDSA",
        "not_after": "2026-03-01T00:00:00Z", "expires_in_s": 90_000, "file": "tls/a.pem"
    });
    view.status.as_mut().unwrap().certificates = vec![serde_json::from_value(certificate).unwrap()];
    let cache = serde_json::json!({ "name": "main", "memory_bytes": 700, "memory_size": 1 << 20, "disk": {
        "path": "/cache", "bytes": 3 << 29, "size": 20_u64 << 30, "state": "off", "for_s": 35, "why": "Input/output error",
        "files_given_up": 2 } });
    let split = serde_json::json!({ "route": "shop", "by": null, "canary": { "pool": "new", "phase": "running",
        "share_percent": 5.0, "for_s": 12, "paused": false, "why": null, "waits_for": "the end of 1m",
        "canary": { "requests": 41, "failures": 0, "p99_ms": 3.2 }, "others": { "requests": 820, "failures": 2, "p99_ms": 3.0 } },
        "to": [{ "pool": "old", "weight": 9, "share_percent": 95.0 }, { "pool": "new", "weight": 1, "share_percent": 5.0 }] });
    let status = view.status.as_mut().unwrap();
    status.caches = vec![serde_json::from_value(cache).unwrap()];
    status.splits = vec![serde_json::from_value(split).unwrap()];
    for tab in "1234567".chars() {
        press(&mut view, &tab.to_string());
        for mode in ["", "?", "\u{1b}/x"] {
            press(&mut view, mode);
            for (width, height) in [(1, 1), (23, 5), (24, 6), (40, 8), (80, 24), (200, 3), (500, 200)] {
                screen(&mut view, width, height);
            }
        }
        press(&mut view, "\u{1b}");
    }
    press(&mut view, "4");
    assert!(screen(&mut view, 80, 10).contains("a.example, ü.example  expires in 1 days"));
    press(&mut view, "6");
    let told = screen(&mut view, 100, 10);
    assert!(
        told.contains("shop   old 95 %, new 5 %") && told.contains("new running: waits for the end of 1m"),
        "{told}"
    );
    press(&mut view, "7");
    let told = screen(&mut view, 120, 10);
    assert!(told.contains("1.5 GiB of 20 GiB  off         Input/output error"), "{told}");
    assert_eq!(screen(&mut View::default(), 10, 2), "too small\n");
    assert!(screen(&mut View::default(), 80, 8).starts_with("waits for an answer\n"));
}

#[test]
fn of_a_thousand_endpoints_those_are_painted_that_are_looked_at() {
    let many = (1..=1000).map(|number| {
        let address = format!("10.0.{}.{}:80", number / 250, number % 250);
        let mut endpoint = endpoint(&address, if number == 777 { State::Ejected } else { State::Fit });
        endpoint.last_minute = minute(f64::from(number), 1.0);
        endpoint
    });
    let mut view = View::default();
    let status = Status { pools: vec![pool("app", &many.collect::<Vec<_>>())], ..status() };
    view.tell(status);
    assert!(screen(&mut view, 80, 24).contains("10.0.0.1:80 "));
    press(&mut view, "G");
    let told = screen(&mut view, 80, 24);
    assert!(told.contains("10.0.4.0:80 ") && !told.contains("10.0.0.1:80 "), "{told}");
    // Up from the end the row moves, and what is shown stays.
    press(&mut view, "kkk");
    assert!(screen(&mut view, 80, 24).contains("10.0.4.0:80 "));
    press(&mut view, "gssss");
    let told = screen(&mut view, 80, 24);
    assert!(told.lines().nth(5).unwrap().contains("ejected"), "{told}");
    press(&mut view, "ss");
    assert!(screen(&mut view, 80, 24).lines().nth(5).unwrap().contains("10.0.4.0:80"));
}

#[test]
fn colours_are_left_out_where_nobody_wants_them() {
    let mut view = two_pools();
    let colours = |has_colours, view: &mut View| {
        let terminal = painted(view, 100, 12, has_colours);
        let cells = terminal.backend().buffer().content().to_vec();
        cells.into_iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(false, &mut view), 0);
    assert!(colours(true, &mut view) > 0);
}

#[test]
fn what_goes_wrong_is_told_below() {
    let mut view = two_pools();
    view.trouble = Some("nobody answers".to_owned());
    assert!(screen(&mut view, 80, 10).ends_with("nobody answers"));
    view.tell(status());
    assert!(screen(&mut view, 80, 10).contains("? help"));
}

#[test]
fn what_has_changed_and_why_an_endpoint_is_out_is_told() {
    let mut view = two_pools();
    press(&mut view, "5");
    golden("changes-120.txt", &screen(&mut view, 120, 8));
    let mut drained = endpoint("10.0.0.1:80", State::Drained);
    drained.reason = Some("its weight is 0".to_owned());
    view.tell(Status { pools: vec![pool("app", &[drained])], ..status() });
    press(&mut view, "1");
    let told = screen(&mut view, 120, 8);
    assert!(told.lines().nth(5).unwrap().trim_end().ends_with("its weight is 0"), "{told}");
}

#[test]
fn nothing_that_a_process_tells_does_anything_to_the_terminal() {
    let mut view = two_pools();
    let mut ill = endpoint("10.0.0.1:80", State::Ejected);
    (ill.reason, ill.ejected_for_ms) = (Some("a\u{1b}[2Jb\nc".to_owned()), Some(1000));
    view.tell(Status { pools: vec![pool("app", &[ill])], ..status() });
    let told = screen(&mut view, 160, 8);
    assert!(told.contains("a\\u001b[2Jb\\u000ac"), "{told}");
}
