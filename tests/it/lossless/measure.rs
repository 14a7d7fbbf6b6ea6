use std::time::Duration;

use serde_json::Value;

use crate::support::eventually;

use super::site::Site;

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) descriptors: usize,
    /// Memory that is in no file, in KiB. What it maps of the program counts for whoever is the only one to run it.
    pub(super) memory: u64,
}

impl Held {
    /// By the process with this id.
    pub(super) fn by(id: u32) -> Self {
        let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
        let map = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap();
        let memory = map.lines().filter(|line| line.starts_with("Anonymous:")).map(kibibytes).sum();
        Self { descriptors, memory }
    }

    /// What some processes all hold. One of them may happen to hold a bit more.
    pub(super) fn least(of: &[Self]) -> Self {
        let least = |one: Self, other: &Self| Self {
            descriptors: one.descriptors.min(other.descriptors),
            memory: one.memory.min(other.memory),
        };
        of.iter().fold(of[0], least)
    }
}

/// Of a line like `Anonymous:  1234 kB`.
fn kibibytes(line: &str) -> u64 {
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Requests that are in flight or wait, over all pools, as the process tells.
fn under_way(status: &Value) -> u64 {
    let pools = status["pools"].as_array().unwrap().iter();
    pools.map(|pool| pool["in_flight"].as_u64().unwrap() + pool["waiting"].as_u64().unwrap()).sum()
}

impl Site {
    /// Waits until nothing is under way, there is one process, and what it holds has stopped getting less.
    pub(super) async fn at_rest(&self) -> Held {
        eventually("there is one process", async || self.processes().len() == 1).await;
        eventually("nothing is under way", async || under_way(&self.running.status().await) == 0).await;
        let serving = self.serving().await;
        let (mut fewest, mut since) = (usize::MAX, tokio::time::Instant::now());
        // Connections to endpoints are closed when they have rested for a second.
        eventually("it holds no more than it needs", async || {
            let descriptors = Held::by(serving).descriptors;
            if descriptors < fewest {
                (fewest, since) = (descriptors, tokio::time::Instant::now());
            }
            since.elapsed() > Duration::from_millis(1500)
        })
        .await;
        Held::by(serving)
    }

    /// The id of the process that answers on the control socket.
    pub(super) async fn serving(&self) -> u32 {
        let status = self.running.status().await;
        u32::try_from(status["process"].as_u64().unwrap()).unwrap()
    }
}
