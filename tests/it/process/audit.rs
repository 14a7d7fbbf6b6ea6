//! `evener audit`: what it says of configurations, in the words of tests/golden/audit, and how it exits.
//!
//! `BLESS=1 cargo test --test it audit` writes the words anew; read them before you commit them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Place, told};
use crate::support::Ca;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audit")
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
}

/// A folder with the configuration, and all that the golden ones name.
fn place(config: &str) -> Place {
    let place = Place::with(config);
    let folder = place.path();
    fs::copy(golden().join("clients.pem"), folder.join("clients.pem")).unwrap();
    Ca::new("audit").issue(&["example.com"]).write(folder, "site");
    fs::write(folder.join("sticky.secret"), "c2f1a8e4b7d3906512ab4c8e").unwrap();
    for (file, mode) in [("edge.yaml", 0o644), ("site.key", 0o600), ("sticky.secret", 0o644)] {
        set_mode(&folder.join(file), mode);
    }
    place
}

fn audit(place: &Place, flags: &[&str]) -> (i32, String, String) {
    told(&place.evener(&[&["audit", "-c", "edge.yaml"], flags].concat()))
}

#[test]
fn deviations_are_told_in_the_expected_words() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut seen = 0;
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let (code, out, err) = audit(&place(&fs::read_to_string(&path).unwrap()), &[]);
        assert_eq!(err, "", "{}", path.display());
        let found = format!("{out}exit {code}\n");
        let expected = path.with_extension("expected");
        if bless {
            fs::write(&expected, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert!(found == expected, "{}, expected:\n{expected}--- found:\n{found}", path.display());
    }
    assert!(seen >= 4);
}

#[test]
fn what_is_denied_decides_the_exit() {
    let text = fs::read_to_string(golden().join("none.yaml")).unwrap().replace(", health: { http: {} }", "");
    let place = place(&text);
    assert_eq!(audit(&place, &[]).0, 0);
    assert_eq!(audit(&place, &["--deny", "medium"]).0, 1);
    assert_eq!(audit(&place, &["--deny", "low"]).0, 1);
    let (code, out, _) = audit(&place, &["--json", "--deny", "medium"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["deviations"][0]["rule"]), (1, &"no-health-check".into()));
    assert_eq!(audit(&place, &["--deny", "some"]).0, 2);
}

#[test]
fn a_file_that_is_refused_is_not_audited() {
    let (code, out, err) = audit(&place("listeners: { web: { bind: 8080 } }\n"), &[]);
    assert_eq!((code, &*out), (64, ""));
    assert!(err.contains("is not an address"), "{err}");
    let unknown = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: {} }]\n\
                   audit: { accept: [plain-htp: why] }\n";
    let (code, _, err) = audit(&place(unknown), &[]);
    assert_eq!(code, 64);
    assert!(
        err.contains("no rule of `evener audit` is named `plain-htp`; did you mean `plain-http`?"),
        "{err}"
    );
}

#[test]
fn files_that_others_may_write_to_are_found() {
    let place = place(&fs::read_to_string(golden().join("none.yaml")).unwrap());
    let run = place.path().join("run");
    fs::create_dir(&run).unwrap();
    set_mode(&run, 0o777);
    set_mode(&place.path().join("edge.yaml"), 0o664);
    let (code, out, _) = audit(&place, &[]);
    assert_eq!(code, 1);
    assert!(out.contains("edge.yaml: high: edge.yaml has mode 0664 (config-writable)"), "{out}");
    assert!(out.contains("has mode 0777 (control-socket-folder)"), "{out}");
    set_mode(&run, 0o1777);
    set_mode(&place.path().join("edge.yaml"), 0o640);
    assert_eq!(audit(&place, &["--deny", "low"]).1, "no deviation\n");
}

#[test]
fn certificates_near_their_end_are_found() {
    let text = fs::read_to_string(golden().join("tls.yaml")).unwrap();
    let place = place(&text.replace("client_auth: { mode: optional, ca: clients.pem }", ""));
    let told_with = |days: u64| {
        let day = Duration::from_secs(24 * 3600);
        let until = SystemTime::now() + day * u32::try_from(days).unwrap();
        let issued = Ca::new("audit").issue_with(&["example.com"], |params| params.not_after = until.into());
        issued.write(place.path(), "site");
        set_mode(&place.path().join("site.key"), 0o600);
        audit(&place, &[]).1
    };
    assert!(told_with(3).contains("(certificate-expires)"));
    let soon = told_with(20);
    assert!(soon.contains("(certificate-renewal)") && !soon.contains("(certificate-expires)"), "{soon}");
    assert!(!told_with(90).contains("(certificate-"));
}

#[test]
fn the_secure_example_deviates_in_nothing() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/secure.yaml");
    let place = place(&fs::read_to_string(conf).unwrap());
    let folder = place.path().join("tls");
    fs::create_dir(&folder).unwrap();
    let ca = Ca::new("audit");
    ca.issue(&["example.com", "*.example.com"]).write(&folder, "site");
    ca.issue(&["admin.example.com"]).write(&folder, "admin");
    ca.write(&folder, "clients.pem");
    ["site.key", "admin.key"].iter().for_each(|key| set_mode(&folder.join(key), 0o600));
    assert_eq!(audit(&place, &["--deny", "low"]), (0, "no deviation\n".to_owned(), String::new()));
}

#[test]
fn a_reason_does_nothing_to_a_terminal() {
    let config = "listeners: { web: { bind: 0.0.0.0:8080 } }
routes: [{ respond: {} }]
audit: { accept: [plain-http: \"why\\e[2J not\\u009b31m\"] }
";
    let place = place(config);
    let (_, out, _) = audit(&place, &[]);
    assert!(out.contains("  reason: why\\u001b[2J not\\u009b31m\n"), "{out}");
    let (_, out, _) = audit(&place, &["--json"]);
    assert!(!out.contains(|letter: char| letter.is_control() && letter != '\n'), "{out}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let accepted = told["deviations"].as_array().unwrap().iter().find_map(|one| one["accepted"].as_str());
    assert_eq!(accepted, Some("why\u{1b}[2J not\u{9b}31m"));
}
