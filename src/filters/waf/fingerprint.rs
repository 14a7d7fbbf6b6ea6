use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};

use super::engine::Source;

/// By what rules are known that were read already: a digest of all that they are made of. That is their files, those that they
/// include, and everything beside them, where lists of words are.
pub(super) fn fingerprint(sources: &[Source]) -> String {
    let mut seen = Seen { files: BTreeSet::new(), folders: BTreeSet::new(), digest: Context::new(&SHA256) };
    for source in sources {
        match source {
            Source::Text(text) => seen.add(text.as_bytes()),
            Source::File(path) => seen.file(path),
        }
    }
    seen.digest.finish().as_ref().iter().fold(String::from("waf "), |mut text, byte| {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Seen {
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    digest: Context,
}

impl Seen {
    fn add(&mut self, bytes: &[u8]) {
        self.digest.update(&(bytes.len() as u64).to_be_bytes());
        self.digest.update(bytes);
    }

    fn file(&mut self, path: &Path) {
        if !self.files.insert(path.to_owned()) {
            return;
        }
        // What cannot be read is nothing, until it can.
        let content = std::fs::read(path).unwrap_or_default();
        self.add(path.as_os_str().as_encoded_bytes());
        self.add(&content);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.folder(&folder);
        for pattern in String::from_utf8_lossy(&content).lines().filter_map(included) {
            self.pattern(&folder.join(pattern));
        }
    }

    /// Files that a directive includes: one, or those of a folder whose names fit. Whether they do is left to the engine.
    fn pattern(&mut self, pattern: &Path) {
        let is_pattern = pattern.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte));
        if !is_pattern {
            self.file(pattern);
            return;
        }
        let folder = pattern.parent().unwrap_or(Path::new("")).to_owned();
        let mut paths: Vec<_> =
            folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.is_file()) {
            self.file(path);
        }
    }

    fn folder(&mut self, folder: &Path) {
        if !self.folders.insert(folder.to_owned()) {
            return;
        }
        let mut stamps: Vec<_> =
            folder.read_dir().into_iter().flatten().flatten().filter_map(|entry| stamp(&entry)).collect();
        stamps.sort();
        for (name, length, modified) in stamps {
            self.add(&name);
            self.add(&length.to_be_bytes());
            self.add(&modified.to_be_bytes());
        }
    }
}

/// What is known of a file beside rules: its name, its length and when it was changed, in nanoseconds.
fn stamp(entry: &std::fs::DirEntry) -> Option<(Vec<u8>, u64, u128)> {
    let known = entry.metadata().ok()?;
    let since = known.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some((entry.file_name().into_encoded_bytes(), known.len(), since.as_nanos()))
}

/// The path that a line includes, if it is such a directive.
fn included(line: &str) -> Option<&str> {
    let (directive, path) = line.trim().split_once(char::is_whitespace)?;
    let is_include =
        directive.eq_ignore_ascii_case("include") || directive.eq_ignore_ascii_case("includeoptional");
    is_include.then(|| path.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use super::*;

    #[test]
    fn every_change_of_what_rules_are_made_of_shows() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("more")).unwrap();
        write(at("main.conf"), "# rules\n  Include \"more/*.conf\"\nInclude one.conf\n").unwrap();
        write(at("more/a.conf"), "a").unwrap();
        write(at("one.conf"), "one").unwrap();
        let sources = [Source::Text("x".into()), Source::File(at("main.conf"))];
        let mut known = vec![fingerprint(&sources)];
        assert_eq!(fingerprint(&sources), known[0]);
        let changes: [(&str, &str); 4] = [
            ("main.conf", "Include more/*.conf"),
            ("more/a.conf", "b"),
            ("more/a.data", "words"),
            ("c.data", ""),
        ];
        for (name, content) in changes {
            write(at(name), content).unwrap();
            let changed = fingerprint(&sources);
            assert!(!known.contains(&changed), "{name}");
            known.push(changed);
        }
        assert!(!known.contains(&fingerprint(&sources[1..])));
    }
}
