use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::unfold;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::caller::{Caller, Scope};
use crate::control::MOST_CONNECTIONS;
use crate::runtime::{Control, Ending, Stage, TransitionStatus, Via};

use super::feed::{Feed, event};

/// By what a request has come.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Connection {
    pub(in crate::admin) via: Via,
    pub(in crate::admin) ending: Ending,
}

/// How many listen, by the door that they have come through: those at one do not keep anybody from listening at the other.
#[derive(Debug, Default)]
pub(in crate::admin) struct Listeners(Arc<[AtomicUsize; 2]>);

/// There are as many already as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) struct TooMany;

/// No more listen at once, however many may connect.
const MOST: usize = 32;

/// A place among those who listen, until it is dropped.
struct Place {
    taken: Arc<[AtomicUsize; 2]>,
    door: usize,
    feed: Arc<Feed>,
}

/// What a listener is told of, and what it was told already.
struct Listening {
    control: Arc<Control>,
    caller: Caller,
    ending: Ending,
    place: Place,
    seconds: watch::Receiver<u64>,
    /// The second of which it was told the status.
    status: Option<u64>,
    /// The last of what was noted.
    transition: u64,
}

impl Listeners {
    /// Takes a place, where no more than half of the connections listen: others are to have their answers, too.
    fn enter(&self, via: Via, connections: usize, feed: &Arc<Feed>) -> Result<Place, TooMany> {
        let most = (connections / 2).min(MOST);
        let one_more = |taken| (taken < most).then_some(taken + 1);
        let door = match via {
            Via::Listener(_) => 0,
            Via::ControlSocket { .. } => 1,
        };
        let entered = self.0[door].fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        entered.map(|_| Place { taken: self.0.clone(), door, feed: feed.clone() }).map_err(|_| TooMany)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken[self.door].fetch_sub(1, Ordering::AcqRel);
        if self.taken.iter().all(|door| door.load(Ordering::Acquire) == 0) {
            self.feed.clear();
        }
    }
}

/// Tells one listener what goes on until its connection is about to end, or it may not know any more.
pub(in crate::admin) fn events(
    control: &Arc<Control>,
    (feed, listeners): (&Arc<Feed>, &Listeners),
    Connection { via, ending }: Connection,
    caller: Caller,
) -> Result<Response, TooMany> {
    let snapshot = control.live().snapshot();
    let of_listener = || snapshot.admin.as_ref()?.listener.limits.connections;
    let connections = match via {
        Via::ControlSocket { .. } => MOST_CONNECTIONS,
        Via::Listener(_) => of_listener().map_or(usize::MAX, |most| most.get() as usize),
    };
    let listening = Listening {
        place: listeners.enter(via, connections, feed)?,
        control: control.clone(),
        caller,
        ending,
        seconds: control.live().series().taken(),
        status: None,
        transition: snapshot.journal.count(),
    };
    let stream = unfold(listening, async |mut listening| {
        let told = listening.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(told)), listening))
    });
    let media = HeaderValue::from_static("text/event-stream");
    Ok(([(CONTENT_TYPE, media)], Body::from_stream(stream)).into_response())
}

impl Listening {
    /// The events of the next second; those of the present one for who was told of none. `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if self.status.is_some() {
            tokio::select! {
                changed = self.seconds.changed() => changed.ok()?,
                () = self.ending.reached(Stage::Draining) => return None,
            }
        }
        let snapshot = self.control.live().snapshot();
        if !self.caller.may_still(Scope::Read, snapshot.admin.as_ref()) {
            return None;
        }
        let second = *self.seconds.borrow_and_update();
        let frame = self.place.feed.frame(second, || self.control.status(None, Instant::now()).ok());
        let mut told = frame.told_after(self.status).to_owned();
        self.status = Some(frame.number());
        for transition in snapshot.journal.since(self.transition) {
            self.transition = transition.number;
            told += &event("transition", &TransitionStatus::from(transition));
        }
        if let Some(sample) = self.control.live().series().last() {
            told += &event("sample", &sample);
        }
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Peer;

    #[test]
    fn half_of_the_connections_may_listen() {
        let (listeners, feed) = (Listeners::default(), Arc::new(Feed::default()));
        let (listener, socket) = (Via::Listener(Peer::Unix), Via::ControlSocket { uid: 7 });
        let enter = |via, connections| listeners.enter(via, connections, &feed);
        let places: Vec<_> = (0..4).map(|_| enter(listener, 8).unwrap()).collect();
        assert_eq!(enter(listener, 8).err(), Some(TooMany));
        let of_socket = enter(socket, 2).unwrap();
        assert_eq!(enter(socket, 2).err(), Some(TooMany), "each door has its own");
        drop((places, of_socket));
        assert_eq!(enter(listener, 1).err(), Some(TooMany), "or nobody else is ever answered");
        let many: Vec<_> = (0..MOST).map(|_| enter(listener, usize::MAX).unwrap()).collect();
        assert_eq!((many.len(), enter(listener, usize::MAX).err()), (MOST, Some(TooMany)));
    }
}
