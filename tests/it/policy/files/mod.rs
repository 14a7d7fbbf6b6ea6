//! The action `files`, with real folders.

mod conditions;
mod large;
mod names;
mod pages;
mod ranges;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{Edge, Response};

/// A folder with `www` in it, and an edge that serves that.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) edge: Edge,
}

impl Site {
    /// With these settings besides `root`, and these files.
    pub(crate) async fn with(settings: &str, files: &[(&str, &str)]) -> Self {
        Self::with_filters("[]", settings, files).await
    }

    pub(crate) async fn with_filters(filters: &str, settings: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("www");
        fs::create_dir(&root).unwrap();
        for (name, text) in files {
            put(&root.join(name), text);
        }
        let comma = if settings.is_empty() { "" } else { ", " };
        let config = format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\nlog: {{ access: {{ format: json, to: LOG }} }}\nroutes:\n  - filters: {filters}\n    files: {{ root: {}{comma}{settings} }}\n",
            root.display()
        );
        let edge = Edge::start(&config).await;
        Self { folder, edge }
    }

    /// What is named so in `www`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("www").join(name)
    }

    pub(crate) fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        put(&self.path(name), text);
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.edge.get(path).await
    }

    /// With further header fields, each with its end of line.
    pub(crate) async fn ask(&self, method: &str, path: &str, fields: &str) -> Response {
        let mut client = self.edge.connect().await;
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        client.response().await
    }
}

fn put(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
