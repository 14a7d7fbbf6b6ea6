//! The status for people: what the process does as a whole, then its routes, its pools with their endpoints, and what has to
//! be renewed or emptied one day.

mod pools;
mod routes;
mod stores;

use std::fmt::Write;

use crate::runtime::{ListenerStatus, Status};

use super::columns::push_line;
use super::figures;
use super::split_table::write_split;

pub(crate) use pools::notes;

/// The status for people, in lines of `width` at most.
pub(crate) fn status_table(status: &Status, width: usize) -> String {
    let mut out = String::new();
    write_process(status, width, &mut out);
    status.listeners.iter().for_each(|listener| push_line(&listener_line(listener), width, &mut out));
    for split in &status.splits {
        let mut lines = String::new();
        // Writing into a String cannot fail.
        let _ = write_split(split, &mut lines);
        lines.lines().for_each(|line| push_line(line, width, &mut out));
    }
    routes::write_routes(status, width, &mut out);
    status.pools.iter().for_each(|pool| pools::write_pool(pool, width, &mut out));
    if !status.certificates.is_empty() || !status.caches.is_empty() {
        out.push('\n');
    }
    status.caches.iter().for_each(|cache| push_line(&stores::cache_line(cache), width, &mut out));
    let certificates = status.certificates.iter().map(stores::certificate_line);
    certificates.for_each(|line| push_line(&line, width, &mut out));
    out
}

/// `evener 0.1.0, process 42, up 3d 4h, generation 2, draining`, and what all requests of the last minute came to.
fn write_process(status: &Status, width: usize, out: &mut String) {
    let up = figures::uptime(status.uptime_s);
    let mut line = format!("evener {}, process {}, up {up}", status.version, status.process);
    if status.generation > 1 {
        // Writing into a String cannot fail.
        let _ = write!(line, ", generation {}", status.generation);
    }
    line.push_str(if status.draining { ", draining" } else { "" });
    push_line(&line, width, out);
    push_line(&format!("last minute: {}", figures::percentiles(&status.last_minute)), width, out);
}

/// `listener web  http on 0.0.0.0:8080, 12 connections, 0 refused`
fn listener_line(listener: &ListenerStatus) -> String {
    let ListenerStatus { name, serves, bind, open, refused, dropped, .. } = listener;
    let bind = bind.join(", ");
    let counts = match serves.as_str() {
        "udp" => format!("{open} flows, {dropped} datagrams dropped"),
        _ => format!("{open} connections, {refused} refused"),
    };
    format!("listener {name}  {serves} on {bind}, {counts}")
}

#[cfg(test)]
mod tests;
