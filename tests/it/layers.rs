use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers of docs/architecture.md: a module imports from lower ones only, never sideways.
const LAYERS: [(&str, u32); 31] = [
    ("types", 0),
    ("cache", 1),
    ("config", 1),
    ("net", 1),
    ("semantics", 1),
    ("stores", 1),
    ("hooks", 2),
    ("telemetry", 2),
    ("router", 3),
    ("pools", 3),
    ("filters", 3),
    ("files", 3),
    ("split", 3),
    ("tls", 3),
    ("tracing", 3),
    ("audit", 4),
    ("runtime", 4),
    ("gateway", 5),
    ("l4", 5),
    ("control", 5),
    ("metrics", 5),
    ("simulate", 5),
    ("admin", 6),
    ("edge", 6),
    ("handover", 6),
    ("top", 6),
    ("lifecycle", 7),
    ("app", 8),
    ("cli", 9),
    ("fuzzing", 9),
    ("main", 10),
];

#[test]
fn modules_import_from_lower_layers_only() {
    let layers: BTreeMap<&str, u32> = LAYERS.into();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&src) {
        let module = module_of(&src, &file);
        if module == "lib" {
            continue;
        }
        let layer = layers[module.as_str()];
        let text = fs::read_to_string(&file).unwrap();
        for imported in imports(&text) {
            let Some(other) = layers.get(imported.as_str()) else {
                wrong.push(format!("{}: `{imported}` has no layer", file.display()));
                continue;
            };
            if imported != module && *other >= layer {
                wrong.push(format!("{}: {module} ({layer}) imports {imported} ({other})", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

/// The top-level module that a file belongs to.
fn module_of(src: &Path, file: &Path) -> String {
    let first = file.strip_prefix(src).unwrap().components().next().unwrap();
    Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The top-level modules named after `crate::`, comments aside.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}
