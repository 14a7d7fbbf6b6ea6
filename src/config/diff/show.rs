use std::fmt::{self, Formatter};

use crate::config::KeyPath;

use super::{Change, ChangeKind, Detail, Diff};

/// So much of a value is shown to people.
const LONGEST: usize = 60;
/// So many names of a list are.
const MOST: usize = 10;

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no difference\n");
        }
        self.changes.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let item = KeyPath::default().child(&*self.section);
        let item = self.name.iter().fold(item, |section, name| section.child(&**name));
        write!(f, "{} {item}", self.kind.sign())?;
        if !self.details.is_empty() {
            write!(f, ": {}", show_details(&self.details))?;
        }
        Ok(())
    }
}

impl ChangeKind {
    fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
        }
    }
}

/// What changed inside an item, on one line.
pub(crate) fn show_details(details: &[Detail]) -> String {
    details.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Self::Value { key, .. }
        | Self::Hidden { key }
        | Self::Members { key, .. }
        | Self::Order { key, .. }) = self;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        match self {
            Self::Value { old, new, .. } => write_values(old.as_deref(), new.as_deref(), f),
            Self::Hidden { .. } => f.write_str("changed"),
            Self::Members { added, removed, .. } => f.write_str(&members(added, removed)),
            Self::Order { old, new, .. } => {
                write!(f, "order: {} -> {}", names("", old).join(", "), names("", new).join(", "))
            }
        }
    }
}

fn write_values(old: Option<&str>, new: Option<&str>, f: &mut Formatter<'_>) -> fmt::Result {
    let (before, after) = (shown(old), shown(new));
    // Two long values may differ in what is cut off.
    if before == after { f.write_str("changed") } else { write!(f, "{before} -> {after}") }
}

/// A value as people see it: in quotes where it could be mistaken, and cut where it is long.
fn shown(value: Option<&str>) -> String {
    let Some(value) = value else { return "none".to_owned() };
    let cut = value.char_indices().nth(LONGEST).map_or(value, |(end, _)| &value[..end]);
    let rest = if cut.len() < value.len() { "…" } else { "" };
    let is_plain = !cut.is_empty() && cut.trim() == cut && cut != "none" && !cut.contains(['"', ';', ',']);
    if is_plain && !cut.chars().any(char::is_control) {
        format!("{cut}{rest}")
    } else {
        format!("{cut:?}{rest}")
    }
}

fn members(added: &[String], removed: &[String]) -> String {
    let mut all = names("+ ", added);
    all.append(&mut names("- ", removed));
    all.join(", ")
}

fn names(sign: &str, names: &[String]) -> Vec<String> {
    let mut listed: Vec<_> =
        names.iter().take(MOST).map(|name| format!("{sign}{}", shown(Some(name)))).collect();
    if names.len() > MOST {
        listed.push(format!("{sign}{} more", names.len() - MOST));
    }
    listed
}
