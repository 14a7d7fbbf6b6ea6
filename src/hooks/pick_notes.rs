use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::types::EndpointAddr;

use super::policy::Member;

/// What a policy tells of a pick. Only a pick that somebody wants to understand has it in its context, so that all others
/// pay for one look at whether it is there.
#[derive(Debug, Default)]
pub(crate) struct PickNotes(Mutex<Picked>);

/// How an endpoint was picked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picked {
    /// By what; `None` where the policy does not tell, as those of hooks.
    pub(crate) by: Option<PickedBy>,
    /// The members that were compared, the first of them at most.
    pub(crate) sampled: Vec<Sampled>,
    /// How many more were.
    pub(crate) more: usize,
}

/// What decided between the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PickedBy {
    /// Requests in flight against weight, and then recent picks.
    Load,
    /// The time that an answer is likely to take.
    Latency,
    /// A key of the request.
    Key,
    /// A key of the request, whose own place has its share of the load already.
    KeyMovedOn,
    /// Whose turn it is.
    Turn,
    /// Chance, by weight.
    Chance,
    /// The order of the file.
    Order,
    /// The client's cookie names it.
    Cookie,
    /// The policy's choice had no room, and of the others this one was the least loaded.
    Room,
    /// The least loaded of those that were not tried.
    NotTried,
}

/// A member that was compared with others.
#[derive(Clone, Debug)]
pub(crate) struct Sampled {
    pub(crate) endpoint: Arc<EndpointAddr>,
    /// What the policy compares where it goes by more than the load: less is better.
    pub(crate) cost: f64,
    pub(crate) in_flight: u32,
    /// Of the last half second or so.
    pub(crate) recent_picks: f64,
    /// Less than its own while it starts slowly.
    pub(crate) weight: f64,
    /// Seconds to the head of an answer; `None` before the first.
    pub(crate) latency: Option<f64>,
    pub(crate) has_room: bool,
}

/// So many members are told of.
const MOST_SAMPLED: usize = 16;

impl PickNotes {
    /// Forgets what was noted: a pick begins.
    pub(crate) fn begin(&self) {
        *self.0.lock() = Picked::default();
    }

    /// Notes by what the pick is made.
    pub(crate) fn decide(&self, by: PickedBy) {
        self.0.lock().by = Some(by);
    }

    /// Notes that a member is compared with others at this cost.
    pub(crate) fn sample(&self, member: &Member, cost: f64, now: Instant) {
        let mut picked = self.0.lock();
        if picked.sampled.len() == MOST_SAMPLED {
            picked.more += 1;
            return;
        }
        picked.sampled.push(Sampled {
            endpoint: member.shared_address().clone(),
            cost,
            in_flight: member.in_flight(),
            recent_picks: member.recent_picks(now) as f64 / 1024.0,
            weight: member.share(now) as f64 / 1000.0,
            latency: member.latency(now),
            has_room: member.has_room(),
        });
    }

    /// What was noted of the last pick.
    pub(crate) fn take(&self) -> Picked {
        std::mem::take(&mut *self.0.lock())
    }
}

impl PickedBy {
    /// A word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Latency => "latency",
            Self::Key => "key",
            Self::KeyMovedOn => "key_moved_on",
            Self::Turn => "turn",
            Self::Chance => "chance",
            Self::Order => "order",
            Self::Cookie => "cookie",
            Self::Room => "room",
            Self::NotTried => "not_tried",
        }
    }
}
