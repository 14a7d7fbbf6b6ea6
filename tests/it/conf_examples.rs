use std::path::{Path, PathBuf};

use evener::app::App;

use crate::support::{Ca, mmdb};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

/// The certificates that examples name, which everybody has to make for themselves.
fn add_certificates(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let ca = Ca::new("examples");
    ca.issue(&["example.com", "www.example.com", "*.example.com"]).write(folder, "site");
    ca.issue(&["admin.example.com"]).write(folder, "admin");
    ca.issue(&["edge.internal"]).write(folder, "edge");
    for authority in ["clients.pem", "internal.pem"] {
        ca.write(folder, authority);
    }
}

/// The files that examples serve.
fn add_files(folder: &Path) {
    for name in ["www/index.html", "www/404.html", "pages/5xx.html", "pages/5xx.json"] {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, name).unwrap();
    }
}

/// The tokens that examples name, which everybody has to make for themselves.
fn add_tokens(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for name in ["deploy", "monitoring", "debug"] {
        std::fs::write(folder.join(name), format!("0123456789abcdef-{name}")).unwrap();
    }
}

/// The database of networks that examples name, which everybody has to get for themselves.
fn add_database(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("countries.mmdb"), mmdb::sample()).unwrap();
}

#[test]
fn every_example_is_accepted_without_a_warning() {
    let examples = examples();
    assert!(!examples.is_empty());
    let folder = tempfile::tempdir().unwrap();
    add_certificates(&folder.path().join("tls"));
    add_files(folder.path());
    add_database(&folder.path().join("geo"));
    add_tokens(&folder.path().join("tokens"));
    for example in examples {
        let copy = folder.path().join(example.file_name().unwrap());
        std::fs::copy(&example, &copy).unwrap();
        let app = App::builder().load(&copy).unwrap_or_else(|error| panic!("{error}"));
        assert!(app.warnings().is_empty(), "{}", app.warnings());
    }
}

#[test]
fn the_reference_is_what_the_code_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let printed = App::builder().reference();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == printed, "docs/reference.md is not what `evener reference` prints; run with BLESS=1");
}
