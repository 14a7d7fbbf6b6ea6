use std::fmt::Write;

use super::rules::SUBJECTS;

/// docs/audit.md's tables: what each rule looks at, what the profile has there, and what may happen otherwise.
pub(super) fn reference() -> String {
    let mut text = String::new();
    for (subject, rules) in SUBJECTS {
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "\n### {subject}\n\n| rule | severity | key | profile | risk otherwise |\n|---|---|---|---|---|\n"
        );
        for rule in rules {
            let key = rule.whole_key();
            let key = if key.contains(' ') { key } else { format!("`{key}`") };
            let (id, severity) = (rule.id, rule.severity);
            let _ = writeln!(text, "| `{id}` | {severity} | {key} | {} | {} |", rule.profile, rule.risk);
        }
    }
    text
}
