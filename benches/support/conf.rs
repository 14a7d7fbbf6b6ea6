use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Outcome;

/// Writes `template` as the file `name` into `dir`, each `@PLACE@` replaced by its text; `@DIR@` is the directory.
pub(crate) fn write(dir: &Path, name: &str, template: &str, places: &[(&str, String)]) -> Outcome<PathBuf> {
    let mut text = template.replace("@DIR@", &dir.display().to_string());
    for (place, filling) in places {
        text = text.replace(place, filling);
    }
    let path = dir.join(name);
    fs::write(&path, text)?;
    Ok(path)
}
