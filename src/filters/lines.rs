//! Files of which each line is an entry.

/// So many lines that cannot be read are shown.
const SHOWN: usize = 3;

/// Has each line of a file read. A file with a line that cannot be read is not used at all: what it was to keep out could
/// come in.
///
/// # Errors
/// The lines that cannot be read, by their number.
pub(super) fn read_lines(
    content: &[u8],
    mut read: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is no text in UTF-8".to_owned())?;
    let (mut problems, mut wrong) = (Vec::new(), 0_usize);
    for (index, line) in text.lines().enumerate() {
        let Err(problem) = read(line) else { continue };
        wrong += 1;
        if wrong <= SHOWN {
            problems.push(format!("line {}: {problem}", index + 1));
        }
    }
    if wrong > SHOWN {
        problems.push(format!("and {} more", wrong - SHOWN));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// What stands on a line before a `#`, if anything does.
pub(super) fn entry(line: &str) -> Option<&str> {
    let entry = line.split('#').next().unwrap_or_default().trim();
    (!entry.is_empty()).then_some(entry)
}
