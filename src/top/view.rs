use crate::control::Command;
use crate::runtime::{Recent, Status, Target};
use crate::types::{Span, Weight};

use super::history::History;
use super::rows::{self, Row};

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct View {
    /// What was told last; none before that.
    pub(super) status: Option<Status>,
    pub(super) history: History,
    /// Why nothing was told lately.
    pub(super) trouble: Option<String>,
    pub(super) tab: Tab,
    pub(super) sort: Sort,
    pub(super) filter: String,
    pub(super) is_paused: bool,
    pub(super) mode: Mode,
    /// What the last order came to.
    pub(super) message: Option<String>,
    /// The row that is chosen, by what it is and by its place, where it is gone.
    chosen: Option<String>,
    place: usize,
    /// The first row that is shown.
    pub(super) offset: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tab {
    #[default]
    Pools,
    Routes,
    Listeners,
    Certificates,
    Changes,
    Splits,
    Caches,
}

/// In which order rows stand: endpoints within their pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// That of the configuration.
    #[default]
    File,
    /// The busiest first.
    Rate,
    /// The slowest first.
    P99,
    /// Those with the most requests first.
    InFlight,
    /// Those first that are not fit.
    State,
}

/// What keys are for at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Browse,
    /// They are written into the filter.
    Filter,
    /// An order waits for a yes.
    Confirm(Order),
    /// A weight is written.
    Weight {
        target: String,
        from: u16,
        input: String,
    },
    Help,
}

/// What is to be done to an endpoint, `app/10.0.0.1:80`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Drain(String),
    Undrain(String),
    Weight(String, Weight),
}

/// What comes of a key beyond what is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    Give(Order),
}

impl Tab {
    pub(super) const ALL: [Self; 7] = [
        Self::Pools,
        Self::Routes,
        Self::Listeners,
        Self::Certificates,
        Self::Changes,
        Self::Splits,
        Self::Caches,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Pools => "pools",
            Self::Routes => "routes",
            Self::Listeners => "listeners",
            Self::Certificates => "certificates",
            Self::Changes => "changes",
            Self::Splits => "splits",
            Self::Caches => "caches",
        }
    }
}

impl Sort {
    const ALL: [Self; 5] = [Self::File, Self::Rate, Self::P99, Self::InFlight, Self::State];

    pub(super) fn next(self) -> Self {
        let place = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL[(place + 1) % Self::ALL.len()]
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Rate => "rate",
            Self::P99 => "p99",
            Self::InFlight => "in flight",
            Self::State => "state",
        }
    }
}

impl Order {
    /// As the process is asked for it; none where the target is none.
    pub(super) fn command(&self) -> Option<Command> {
        let target = |text: &str| text.parse::<Target>().ok();
        Some(match self {
            // Whoever looks sees how it goes on.
            Self::Drain(endpoint) => Command::Drain { endpoint: target(endpoint)?, wait: Span::default() },
            Self::Undrain(endpoint) => Command::Undrain { endpoint: target(endpoint)? },
            Self::Weight(endpoint, weight) => {
                Command::Weight { endpoint: target(endpoint)?, weight: *weight }
            }
        })
    }
}

impl View {
    /// Shows what was told, unless what is shown is to stay.
    pub(super) fn tell(&mut self, status: Status) {
        self.history.follow(status.process);
        self.trouble = None;
        if !self.is_paused || self.status.is_none() {
            self.status = Some(status);
        }
    }

    /// Takes in what has gone on, if it is of the process that is looked at.
    pub(super) fn add(&mut self, process: u32, recent: Recent) {
        self.history.follow(process);
        self.history.add(recent);
    }

    /// The rows of the tab, as they are sorted and filtered.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let Some(status) = &self.status else { return Vec::new() };
        rows::rows(status, &self.history, (self.tab, self.sort), &self.filter)
    }

    /// The place of the row that is chosen among those of [`rows`](Self::rows).
    pub(super) fn place_in(&self, rows: &[Row<'_>]) -> usize {
        let found = self.chosen.as_ref().and_then(|chosen| rows.iter().position(|row| row.id() == *chosen));
        found.unwrap_or(self.place).min(rows.len().saturating_sub(1))
    }

    /// Chooses a row so many places further down, or up.
    pub(super) fn step(&mut self, by: isize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let place = self.place_in(&rows).saturating_add_signed(by).min(last);
        let chosen = rows.get(place).map(Row::id);
        (self.place, self.chosen) = (place, chosen);
    }

    /// Shows another tab, from its beginning.
    pub(super) fn show(&mut self, tab: Tab) {
        self.tab = tab;
        (self.chosen, self.place, self.offset) = (None, 0, 0);
    }

    /// The endpoint that is chosen, and its weight.
    pub(super) fn endpoint(&self) -> Option<(String, u16)> {
        let rows = self.rows();
        match rows.get(self.place_in(&rows))? {
            row @ Row::Endpoint(_, endpoint) => Some((row.id(), endpoint.weight)),
            _ => None,
        }
    }

    /// Moves what is shown so that the row that is chosen is among `height` rows.
    pub(super) fn scroll(&mut self, place: usize, count: usize, height: usize) {
        let last = count.saturating_sub(height);
        let least = (place + 1).saturating_sub(height);
        self.offset = self.offset.clamp(least, place.max(least)).min(last);
    }
}
