use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::escape::escaped_byte;

/// Where the path of a request points below a folder: plain names, each decoded exactly once.
///
/// It says nothing about what is there. Whoever opens it has to see to it that no link leads out of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePath {
    /// The names with a slash between two; nothing for the folder itself.
    names: Vec<u8>,
    ends_with_slash: bool,
}

/// Whether names that begin with a dot are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// None but `/.well-known` (RFC 8615), which is made to be found.
    Kept,
    Served,
}

/// The longest name that Linux knows.
const LONGEST_NAME: usize = 255;

impl FilePath {
    /// The path of a request, which starts with a slash and has no query. `None` where no file may have that name: an
    /// encoded slash, a dot segment, a control character, a backslash or a hidden name.
    pub(crate) fn parse(path: &str, hidden: Hidden) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let ends_with_slash = path.is_empty() || path.ends_with('/');
        let mut names = Vec::with_capacity(path.len());
        if path.is_empty() {
            return Some(Self { names, ends_with_slash });
        }
        for segment in path.strip_suffix('/').unwrap_or(path).split('/') {
            let is_first = names.is_empty();
            if !is_first {
                names.push(b'/');
            }
            let start = names.len();
            decode(segment.as_bytes(), &mut names)?;
            check(&names[start..], is_first, hidden)?;
        }
        Some(Self { names, ends_with_slash })
    }

    /// Whether it can only be a folder.
    pub(crate) fn ends_with_slash(&self) -> bool {
        self.ends_with_slash
    }

    /// Relative to the folder, which itself is a dot.
    pub(crate) fn as_path(&self) -> &Path {
        let names = if self.names.is_empty() { b"." } else { &self.names[..] };
        Path::new(OsStr::from_bytes(names))
    }

    /// What is named `name` in the folder that this is.
    pub(crate) fn join(&self, name: &str) -> Self {
        let mut names = self.names.clone();
        if !names.is_empty() {
            names.push(b'/');
        }
        names.extend_from_slice(name.as_bytes());
        Self { names, ends_with_slash: false }
    }

    /// The neighbour whose name is longer by `suffix`.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        Self { names: [&self.names, suffix.as_bytes()].concat(), ends_with_slash: false }
    }

    /// What follows the last dot of the last name, if anything stands before that dot.
    pub(crate) fn extension(&self) -> Option<&[u8]> {
        let name = self.names.rsplit(|&byte| byte == b'/').next()?;
        let dot = name.iter().rposition(|&byte| byte == b'.')?;
        (dot > 0).then(|| &name[dot + 1..])
    }
}

fn decode(segment: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut bytes = segment.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'%' => escaped_byte(*bytes.next()?, *bytes.next()?)?,
            other => other,
        });
    }
    Some(())
}

fn check(name: &[u8], is_first: bool, hidden: Hidden) -> Option<()> {
    let is_odd = |byte: &u8| byte.is_ascii_control() || matches!(byte, b'/' | b'\\');
    if name.is_empty() || name.len() > LONGEST_NAME || name.iter().any(is_odd) || matches!(name, b"." | b"..")
    {
        return None;
    }
    let is_well_known = is_first && name == b".well-known";
    let is_kept = name[0] == b'.' && hidden == Hidden::Kept && !is_well_known;
    (!is_kept).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<String> {
        let path = FilePath::parse(path, Hidden::Kept)?;
        Some(path.as_path().to_str().unwrap().to_owned())
    }

    #[test]
    fn each_name_is_decoded_once() {
        assert_eq!(of("/").as_deref(), Some("."));
        assert_eq!(of("/a/b.txt").as_deref(), Some("a/b.txt"));
        assert_eq!(of("/a%20b/%C3%A4/").as_deref(), Some("a b/ä"));
        assert_eq!(of("/%252e%252e/x").as_deref(), Some("%2e%2e/x"));
        assert_eq!(of("/a..b/c.").as_deref(), Some("a..b/c."));
        assert_eq!(of("/...").as_deref(), None);
        assert!(FilePath::parse("/a/", Hidden::Kept).unwrap().ends_with_slash());
        assert!(!FilePath::parse("/a", Hidden::Kept).unwrap().ends_with_slash());
    }

    #[test]
    fn no_name_leads_elsewhere() {
        let refused = [
            "",
            "a",
            "//",
            "/a//b",
            "//a",
            "/..",
            "/../x",
            "/a/..",
            "/a/../b",
            "/.",
            "/./a",
            "/%2e%2e/x",
            "/.%2E/x",
            "/%2e",
            "/a%2Fb",
            "/a%2f..%2fb",
            "/%2Fetc/passwd",
            "/a%5Cb",
            "/a\\b",
            "/%00",
            "/a%00.html",
            "/a%0A",
            "/%7F",
            "/%",
            "/%4",
            "/%zz",
            "/a%",
            "/%+1",
        ];
        for path in refused {
            assert_eq!(of(path), None, "{path:?}");
            assert_eq!(FilePath::parse(path, Hidden::Served), None, "{path:?}");
        }
        assert_eq!(of(&format!("/{}", "a".repeat(256))), None);
        assert!(of(&format!("/{}", "a".repeat(255))).is_some());
    }

    #[test]
    fn hidden_names_are_kept_but_for_the_well_known() {
        for path in ["/.git/config", "/a/.env", "/%2Eenv", "/a/.well-known/x", "/.well-knownx"] {
            assert_eq!(of(path), None, "{path}");
            assert!(FilePath::parse(path, Hidden::Served).is_some(), "{path}");
        }
        assert_eq!(of("/.well-known/security.txt").as_deref(), Some(".well-known/security.txt"));
        assert_eq!(of("/.well-known/.env"), None);
    }

    #[test]
    fn neighbours_and_extensions() {
        let path = FilePath::parse("/a/app.min.js", Hidden::Kept).unwrap();
        assert_eq!(path.with_suffix(".br").as_path(), Path::new("a/app.min.js.br"));
        assert_eq!(path.extension(), Some(&b"js"[..]));
        let folder = FilePath::parse("/", Hidden::Kept).unwrap();
        assert_eq!(folder.join("index.html").as_path(), Path::new("index.html"));
        let folder = FilePath::parse("/a.b/c", Hidden::Kept).unwrap();
        assert_eq!(folder.extension(), None);
        assert_eq!(folder.join("index.html").as_path(), Path::new("a.b/c/index.html"));
        assert_eq!(FilePath::parse("/.well-known", Hidden::Kept).unwrap().extension(), None);
    }
}
