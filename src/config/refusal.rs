//! Why a configuration is refused, as everybody may see it: what is wrong with a file may show what somebody has put in a
//! wrong place, so that neither values are told nor names that the file chooses.

use std::fmt::Write;

use super::secret_keys::{Described, SecretKeys};
use super::{Diagnostic, Diagnostics, KeyPath, Position, Segment, Severity};

/// Who tells the rest.
const ASK: &str = "`evener check` tells why";
/// What stands for a name that the file chooses.
const NAME: &str = "NAME";

impl Diagnostics {
    /// The first error, by its place and by the rule that it breaks, if that can be told; and how many more there are.
    pub(crate) fn for_everybody(&self) -> String {
        let mut errors = self.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        let Some(first) = errors.next() else { return ASK.to_owned() };
        let mut text = format!("{}:", first.file.as_deref().unwrap_or(self.file()));
        // In memory no write fails.
        let _ = write_place(first, &mut text);
        let more = match errors.count() {
            0 => String::new(),
            1 => " (and another error)".to_owned(),
            more => format!(" (and {more} more errors)"),
        };
        text.push_str(first.rule.as_deref().unwrap_or("it is refused"));
        text + &more + "; " + ASK
    }
}

fn write_place(diagnostic: &Diagnostic, text: &mut String) -> std::fmt::Result {
    if let Some(Position { line, column }) = diagnostic.position {
        write!(text, "{line}:{column}:")?;
    }
    text.push(' ');
    if !diagnostic.path.segments().is_empty() {
        write!(text, "{}: ", known(&diagnostic.path))?;
    }
    Ok(())
}

/// The path with keys of the schema alone, and as far as it knows it.
fn known(path: &KeyPath) -> KeyPath {
    let keys = SecretKeys::of_file();
    let mut described = keys.root();
    let mut known = KeyPath::default();
    for step in path.segments() {
        let is_known = matches!(step, Segment::Index(_)) || is_key(&described, step);
        known = known.join(if is_known { step.clone() } else { Segment::Key(NAME.to_owned()) });
        described = described.at(step);
        if !described.is_known() {
            break;
        }
    }
    known
}

fn is_key(described: &Described<'_>, step: &Segment) -> bool {
    matches!(step, Segment::Key(key) if described.has_key(key))
}

#[cfg(test)]
mod tests {
    use crate::config::{Loaded, Origin};

    fn refusal(text: &str) -> String {
        Origin::test(text).read().and_then(Loaded::sound).unwrap_err().for_everybody()
    }

    const REST: &str = "listeners: { web: { bind: 127.0.0.1:0 } }\n";

    #[test]
    fn the_place_and_the_rule_are_told_but_nothing_of_what_was_found() {
        for (text, expected) in [
            (
                "server: { threads: SECRET }\nroutes: [{ respond: {} }]\n",
                "2:20: server.threads: expected a whole number",
            ),
            (
                "admin: { bind: 127.0.0.1:0, tokens: { SECRET: x } }\nroutes: [{ respond: {} }]\n",
                "admin.tokens.NAME: expected a",
            ),
            (
                "pools: { SECRET: { endpoints: 5 } }\nroutes: [{ respond: {} }]\n",
                "pools.NAME.endpoints: expected a",
            ),
            ("SECRET: 1\nroutes: [{ respond: {} }]\n", "2:1: NAME: unknown key"),
            ("routes: [{ pool: SECRET }]\n", "2:18: routes[0].pool: it is refused"),
            (
                "tracing: { to: 'https://user:SECRET@c.example/' }\nroutes: [{ respond: {} }]\n",
                "tracing.to: it is refused",
            ),
            ("routes: [{ respond: {}, SECRET }\n", "it is refused"),
        ] {
            let told = refusal(&format!("{REST}{text}"));
            assert!(told.contains(expected) && !told.contains("SECRET"), "{expected}: {told}");
            assert!(told.ends_with("; `evener check` tells why") && !told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn it_is_an_error_that_is_told_and_no_warning() {
        let text = "pools: { idle: { endpoints: [127.0.0.1:1] } }\nroutes: [{ respond: { status: 99 } }]\nserver: { threads: x, zone: 'a b' }\n";
        let told = refusal(&format!("{REST}{text}"));
        assert!(told.contains("routes[0].respond.status") && told.contains("(and 2 more errors)"), "{told}");
    }
}
