//! In what a process does otherwise than its file says: what operators have changed while it runs, and what the file says by
//! now of something else than what is served.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::config::spec::LogLevel;
use crate::config::{
    self, Config, Diagnostics, Diff, KeyPath, Loaded, Origin, Outline, WeightEdit, outline_with,
};
use crate::split::{CanaryPhase, CanaryStatus};
use crate::types::{EndpointAddr, PoolName, RouteName};

use super::{Action, Snapshot};

/// In what a process does otherwise than its file says. It is what `evener drift --json` prints, so a field that is there
/// stays there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Drift {
    /// The generation that is served.
    pub(crate) generation: u64,
    /// The file that a reload reads; none where a program has given the text.
    pub(crate) file: Option<String>,
    /// What was changed while the process runs, and is not what the file says; in the order of the configuration.
    pub(crate) changes: Vec<Drifted>,
    /// How the file stands to what is served besides.
    pub(crate) rest: FileStanding,
}

/// Something that was changed while the process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Drifted {
    pub(crate) what: DriftKind,
    /// As commands name it: `app/10.0.0.1:8080`, `shop/next`, or a route.
    pub(crate) target: String,
    /// Where it stands: `pools.app.endpoints[0]`.
    pub(crate) key: String,
    /// What the file says.
    pub(crate) file: String,
    /// What holds in its place.
    pub(crate) runs: String,
    /// Whether `evener drift --write` writes it into the file.
    pub(crate) can_be_written: bool,
    /// Whether what the file says was put there since it was read, and is not served: to write what runs would undo that.
    #[serde(default)]
    pub(crate) is_edited: bool,
}

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DriftKind {
    /// The weight of an endpoint, or that it is drained.
    Endpoint,
    /// The weight of a pool of a split.
    Split,
    /// How far a canary has come, by an operator or to its end.
    Canary,
    /// The level of messages.
    Log,
}

/// What a file says beside what is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileStanding {
    /// The same.
    Same,
    /// Something else, which a reload would serve.
    Another(Diff),
    /// Nothing that could be served.
    Refused(String),
}

/// What a file is made from that says what runs: a configuration, and the weights that it lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    /// By absolute paths.
    pub(crate) texts: Origin,
    pub(crate) weights: Vec<WeightEdit>,
}

/// Something with a weight, by names that hold in any configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Weighted {
    Endpoint(PoolName, EndpointAddr),
    Side(RouteName, PoolName),
}

/// What runs of it.
struct Running {
    of: Weighted,
    /// The weight that says so in a file.
    weight: u16,
    is_drained: bool,
}

/// Where weights stand in a configuration, and which.
type Written = HashMap<Weighted, (KeyPath, u16)>;

/// What is compared.
pub(crate) struct Compared<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) generation: u64,
    /// The level of messages, where it is this library's.
    pub(crate) log_level: Option<LogLevel>,
    /// What the snapshot was made from.
    pub(crate) served: &'a Origin,
    /// Where it is read again.
    pub(crate) file: &'a Origin,
}

/// A file, what it says, and the texts that a file would be made from.
struct Comparison {
    /// What the file says of each weight, or else what is served.
    told: Written,
    /// Of which weights the file says something else than what was read of it.
    edited: HashSet<Weighted>,
    log_level: LogLevel,
    rest: FileStanding,
    /// What is to be changed so that it says what runs.
    base: Loaded,
}

impl Drift {
    /// Compares what a process does with what stands in its file at this moment. Gives back what a file is made from that says
    /// what runs, too.
    ///
    /// # Errors
    /// When what is served cannot be read again.
    pub(crate) fn of(process: &Compared<'_>, now: Instant) -> Result<(Self, Draft), Diagnostics> {
        let Compared { snapshot, generation, served, file, .. } = *process;
        let running = running(snapshot);
        let Comparison { told, edited, log_level, rest, base } = compare(served, file, &running)?;
        let mut changes: Vec<_> =
            running.iter().filter_map(|running| running.beside(&told, &edited)).collect();
        changes.extend(canaries(snapshot, now));
        changes.extend(process.log_level.and_then(|level| level_beside(level, log_level)));
        let draft = Draft {
            texts: file.fixed_to(&base.source).on_disk(),
            weights: edits(&running, &written(&base.config)),
        };
        let file = file.file().map(|path| path.display().to_string());
        Ok((Self { generation, file, changes, rest }, draft))
    }

    /// The same for whoever may connect: what is wrong with a file may show what somebody has put in a wrong place.
    pub(crate) fn redacted(self) -> Self {
        let rest = match self.rest {
            FileStanding::Refused(_) => FileStanding::Refused("`evener check` tells why".to_owned()),
            rest => rest,
        };
        Self { rest, ..self }
    }

    /// Whether a reload of the file as it is would change something that runs. Where the file says what was read of it, what an
    /// operator has set holds on.
    pub(crate) fn is_lost_by_reload(&self) -> bool {
        self.rest != FileStanding::Same || self.changes.iter().any(|change| change.is_edited)
    }

    /// Whether the file says all that runs.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.rest == FileStanding::Same
    }
}

fn compare(served: &Origin, file: &Origin, running: &[Running]) -> Result<Comparison, Diagnostics> {
    let on_disk = file.read().and_then(Loaded::sound);
    let on_disk = match on_disk {
        Ok(on_disk) if file.fixed_to(&on_disk.source) == *served => {
            let (told, log_level) = (written(&on_disk.config), on_disk.config.log_level);
            let (edited, rest) = (HashSet::new(), FileStanding::Same);
            return Ok(Comparison { told, edited, log_level, rest, base: on_disk });
        }
        on_disk => on_disk,
    };
    // It was sound when it was taken. What is not there any more since, as the file of a secret, changes nothing that runs.
    let served = served.read()?;
    let mut told = written(&served.config);
    let on_disk = match on_disk {
        Ok(on_disk) => on_disk,
        Err(problems) => {
            let (edited, rest) = (HashSet::new(), FileStanding::Refused(problems.to_string()));
            return Ok(Comparison { told, edited, log_level: served.config.log_level, rest, base: served });
        }
    };
    let by_now = written(&on_disk.config);
    let is_edited = |of: &Weighted, weight| told.get(of).is_some_and(|(_, read)| *read != weight);
    let edited = by_now.iter().filter(|(of, (_, weight))| is_edited(of, *weight));
    let edited = edited.map(|(of, _)| of.clone()).collect();
    told.extend(by_now);
    let log_level = on_disk.config.log_level;
    // What operators have changed is told by itself.
    let diff = config::diff(&outline(&served, running)?, &outline(&on_disk, running)?);
    Ok(match diff.is_empty() {
        true => Comparison { told, edited, log_level, rest: FileStanding::Same, base: on_disk },
        false => Comparison { told, edited, log_level, rest: FileStanding::Another(diff), base: served },
    })
}

/// What a configuration says, with the weights that run.
fn outline(loaded: &Loaded, running: &[Running]) -> Result<Outline, Diagnostics> {
    let edits = edits(running, &written(&loaded.config));
    outline_with(&loaded.config, &loaded.source, &edits)
}

fn edits(running: &[Running], written: &Written) -> Vec<WeightEdit> {
    let edit = |running: &Running| {
        let (at, weight) = written.get(&running.of)?;
        (*weight != running.weight).then(|| WeightEdit { at: at.clone(), weight: running.weight })
    };
    running.iter().filter_map(edit).collect()
}

/// As commands name what has a weight, by where it stands in a configuration.
pub(crate) fn targets_of_weights(config: &Config) -> HashMap<KeyPath, String> {
    written(config).into_iter().map(|(of, (at, _))| (at, of.to_string())).collect()
}

fn written(config: &Config) -> Written {
    let mut written = Written::new();
    for pool in &config.pools {
        let at = KeyPath::default().child("pools").child(pool.name.as_str()).child("endpoints");
        for (index, endpoint) in pool.endpoints.iter().enumerate() {
            let of = Weighted::Endpoint(pool.name.clone(), endpoint.address.clone());
            written.insert(of, (at.index(index), endpoint.weight.get()));
        }
    }
    for (index, route) in config.routes.iter().enumerate() {
        let config::Action::Split(split) = &route.action else { continue };
        let at = KeyPath::default().child("routes").index(index).child("split").child("to");
        for (index, side) in split.to.iter().enumerate() {
            let of = Weighted::Side(route.name.clone(), config.pools[side.pool].name.clone());
            written.insert(of, (at.index(index), side.weight.get()));
        }
    }
    written
}

// === What runs ===

fn running(snapshot: &Snapshot) -> Vec<Running> {
    let endpoints = snapshot.pools.iter().flat_map(|pool| {
        pool.endpoints().iter().map(|endpoint| {
            let of = Weighted::Endpoint(pool.name().clone(), EndpointAddr::clone(endpoint.address()));
            let is_drained = endpoint.state().is_in_drain();
            Running { of, weight: if is_drained { 0 } else { endpoint.weight() }, is_drained }
        })
    });
    let sides = snapshot.splits().flat_map(|(route, split)| {
        split.weights().map(|(pool, weight)| Running {
            of: Weighted::Side(route.clone(), pool.clone()),
            weight,
            is_drained: false,
        })
    });
    endpoints.chain(sides).collect()
}

impl Running {
    /// What differs from what is told of it.
    fn beside(&self, told: &Written, edited: &HashSet<Weighted>) -> Option<Drifted> {
        let (at, weight) = told.get(&self.of).filter(|(_, weight)| *weight != self.weight)?;
        let what = match self.of {
            Weighted::Endpoint(..) => DriftKind::Endpoint,
            Weighted::Side(..) => DriftKind::Split,
        };
        Some(Drifted {
            what,
            target: self.of.to_string(),
            key: at.to_string(),
            file: format!("weight {weight}"),
            runs: if self.is_drained { "drained".to_owned() } else { format!("weight {}", self.weight) },
            can_be_written: true,
            is_edited: edited.contains(&self.of),
        })
    }
}

impl fmt::Display for Weighted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(pool, address) => write!(f, "{pool}/{address}"),
            Self::Side(route, pool) => write!(f, "{route}/{pool}"),
        }
    }
}

/// The canaries that would be somewhere else after a start by the file, and not by themselves.
fn canaries(snapshot: &Snapshot, now: Instant) -> impl Iterator<Item = Drifted> {
    let routes = snapshot.routes.iter().enumerate();
    routes.filter_map(move |(index, route)| {
        let Action::Split(split) = &route.action else { return None };
        let CanaryStatus { phase, share_percent, paused, .. } = split.canary()?.status(now);
        let state = if paused { "paused" } else { phase.as_str() };
        let key = KeyPath::default().child("routes").index(index).child("split").child("canary");
        (paused || phase != CanaryPhase::Running).then(|| Drifted {
            what: DriftKind::Canary,
            target: route.name.to_string(),
            key: key.to_string(),
            file: "begins anew".to_owned(),
            runs: format!("{state} at {share_percent} %"),
            can_be_written: false,
            is_edited: false,
        })
    })
}

fn level_beside(level: LogLevel, told: LogLevel) -> Option<Drifted> {
    (level != told).then(|| Drifted {
        what: DriftKind::Log,
        target: "log".to_owned(),
        key: KeyPath::default().child("log").child("level").to_string(),
        file: told.to_string(),
        runs: level.to_string(),
        can_be_written: false,
        is_edited: false,
    })
}

#[cfg(test)]
mod tests;
