use std::path::Path;

use serde::Deserialize;

use super::load::read_text;
use super::resolve::control_place;
use super::spec::ControlSocket;
use super::{ControlPlace, Diagnostics, KeyPath, Severity, load};

/// Where the process that was started with `file` is told what to do; `None` where it is nowhere.
///
/// # Errors
/// When that is not to be read. Whatever else is wrong with the file does not matter: the process may have been started
/// before.
pub(crate) fn control_place_in(file: &Path) -> Result<Option<ControlPlace>, Diagnostics> {
    if let Some(socket) = glance(file) {
        return Ok(control_place(socket, file.parent().unwrap_or(Path::new(""))));
    }
    let loaded = load(file)?;
    if hides_the_socket(&loaded.diagnostics) {
        Err(loaded.diagnostics)
    } else {
        Ok(loaded.config.control_socket)
    }
}

/// As much of a file as is needed here.
#[derive(Deserialize)]
struct Glance {
    server: Option<serde_yaml::Value>,
}

/// What stands in the file where it is written as usual. To read a large file as a whole takes as long as to serve it.
fn glance(file: &Path) -> Option<ControlSocket> {
    let text = read_text(file).ok()?;
    let Glance { server } = serde_yaml::from_str(&text).ok()?;
    let Some(server) = server else { return Some(ControlSocket::Default) };
    match server.as_mapping()?.get("control_socket") {
        Some(place) => place.as_str()?.parse().ok(),
        None => Some(ControlSocket::Default),
    }
}

fn hides_the_socket(problems: &Diagnostics) -> bool {
    let server = KeyPath::default().child("server");
    let socket = server.child("control_socket");
    let hides = |path: &KeyPath| *path == server || socket.contains(path);
    problems.iter().any(|problem| problem.severity == Severity::Error && hides(&problem.path))
}
