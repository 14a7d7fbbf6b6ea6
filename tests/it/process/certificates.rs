use std::time::{Duration, SystemTime};

use rcgen::date_time_ymd;

use crate::support::Ca;

use super::{Place, told};

/// A place with certificates that are good for nothing, each in its own way.
fn place(tls: &str) -> Place {
    let place = Place::with(&format!(
        "listeners:\n  web:\n    bind: 127.0.0.1:0\n    tls:\n      {tls}\nroutes: [{{ respond: {{ status: 200 }} }}]\n"
    ));
    let folder = place.path();
    let ca = Ca::new("site");
    ca.issue(&["a.example"]).write(folder, "good");
    ca.issue(&["a.example"]).write(folder, "other");
    let expired = ca.issue_with(&["a.example"], |params| params.not_after = date_time_ymd(2020, 1, 2));
    expired.write(folder, "expired");
    let future = ca.issue_with(&["a.example"], |params| params.not_before = date_time_ymd(4000, 1, 2));
    future.write(folder, "future");
    place
}

#[test]
fn certificates_that_cannot_be_served_are_refused_by_check_and_start_alike() {
    for (tls, expected) in [
        (
            "certificates: [{ cert: good.pem, key: other.key }]",
            "the key in `other.key` is not that of the certificate in `good.pem`",
        ),
        ("certificates: [{ cert: expired.pem, key: expired.key }]", "expired on 2020-01-02"),
        ("certificates: [{ cert: future.pem, key: future.key }]", "4000-01-02"),
        ("certificates: [{ cert: good.key, key: good.key }]", "certificates[0].cert: "),
        ("certificates: [{ cert: missing.pem, key: good.key }]", "missing.pem` cannot be read"),
        (
            "certificates: [{ cert: good.pem, key: good.key }]\n      hosts: { b.example: { client_auth: { mode: require, ca: good.pem } } }",
            "b.example",
        ),
    ] {
        let place = place(tls);
        for command in ["check", "run"] {
            let (code, out, err) = told(&place.evener(&[command, "-c", "edge.yaml"]));
            assert_eq!((code, &*out), (64, ""), "{command} {tls}: {err}");
            assert!(err.contains("edge.yaml:5:") || err.contains("edge.yaml:6:"), "{command} {tls}: {err}");
            assert!(err.contains(expected), "{command} {tls}: {err}");
        }
    }
}

#[test]
fn a_certificate_that_expires_soon_is_a_warning() {
    let place = place("certificates: [{ cert: soon.pem, key: soon.key }]");
    let soon = SystemTime::now() + Duration::from_secs(3 * 24 * 3600);
    let date = humantime::format_rfc3339_seconds(soon).to_string();
    let mut parts = date[..10].split('-').map(|part| part.parse::<i32>().unwrap());
    let mut part = || parts.next().unwrap();
    let (year, month, day) = (part(), part() as u8, part() as u8);
    let ca = Ca::new("site");
    ca.issue_with(&["a.example"], |params| params.not_after = date_time_ymd(year, month, day))
        .write(place.path(), "soon");
    let (code, _, err) = told(&place.evener(&["check", "-c", "edge.yaml"]));
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("warning: listeners.web.tls.certificates[0].cert: ") && err.contains("expires"),
        "{err}"
    );
}
