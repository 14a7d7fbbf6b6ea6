//! Every mistake that a configuration can hold has a file here, beside the exact words that an operator reads.
//!
//! `BLESS=1 cargo test config_errors` writes the words anew; read them before you commit them.

use std::fs;
use std::path::{Path, PathBuf};

use evener::app::App;

/// All that `evener check` says about a text.
fn check(file_name: &str, text: &str) -> String {
    match App::builder().load_text(file_name, Path::new("/etc/evener"), text) {
        Ok(app) => app.warnings().to_string(),
        Err(error) => error.to_string(),
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The files with this ending, in order.
#[expect(clippy::unwrap_used, reason = "without the directory there is nothing to test")]
fn files(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

#[test]
fn every_mistake_is_told_in_the_expected_words() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut mismatches = String::new();
    for path in files("yaml") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let told = check(name, &fs::read_to_string(&path).unwrap());
        let expected_path = path.with_extension("expected");
        if bless {
            fs::write(&expected_path, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if told != expected {
            mismatches += &format!("--- {name}, expected:\n{expected}--- found:\n{told}\n");
        }
    }
    assert!(mismatches.is_empty(), "\n{mismatches}\nBLESS=1 accepts what was found");
}

#[test]
fn every_file_has_its_words_and_no_words_lack_their_file() {
    let texts = files("yaml");
    assert!(texts.len() >= 60);
    for path in texts {
        assert!(path.with_extension("expected").exists(), "{} has no words", path.display());
    }
    for path in files("expected") {
        assert!(path.with_extension("yaml").exists(), "{} has no file", path.display());
        assert!(!fs::read_to_string(&path).unwrap().is_empty(), "{} says nothing", path.display());
    }
}
