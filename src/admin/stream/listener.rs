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

use crate::control::MOST_CONNECTIONS;
use crate::runtime::{Control, Ending, Stage, TransitionStatus, Via};

use super::feed::{Feed, event};

/// By what a request has come.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Connection {
    pub(in crate::admin) via: Via,
    pub(in crate::admin) ending: Ending,
}

/// How many listen.
#[derive(Debug, Default)]
pub(in crate::admin) struct Listeners(Arc<AtomicUsize>);

/// There are as many already as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) struct TooMany;

/// No more listen at once, however many may connect.
const MOST: usize = 32;

/// A place among those who listen, until it is dropped.
struct Place {
    taken: Arc<AtomicUsize>,
    feed: Arc<Feed>,
}

/// What a listener is told of, and what it was told already.
struct Listening {
    control: Arc<Control>,
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
    fn enter(&self, connections: usize, feed: &Arc<Feed>) -> Result<Place, TooMany> {
        let most = (connections / 2).clamp(1, MOST);
        let one_more = |taken| (taken < most).then_some(taken + 1);
        let entered = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        entered.map(|_| Place { taken: self.0.clone(), feed: feed.clone() }).map_err(|_| TooMany)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.feed.clear();
        }
    }
}

/// Tells one listener what goes on until its connection is about to end.
pub(in crate::admin) fn events(
    control: &Arc<Control>,
    (feed, listeners): (&Arc<Feed>, &Listeners),
    Connection { via, ending }: Connection,
) -> Result<Response, TooMany> {
    let snapshot = control.live().snapshot();
    let of_listener = || snapshot.admin.as_ref()?.listener.limits.connections;
    let connections = match via {
        Via::ControlSocket { .. } => MOST_CONNECTIONS,
        Via::Listener(_) => of_listener().map_or(usize::MAX, |most| most.get() as usize),
    };
    let listening = Listening {
        place: listeners.enter(connections, feed)?,
        control: control.clone(),
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
        let second = *self.seconds.borrow_and_update();
        let frame = self.place.feed.frame(second, || self.control.status(None, Instant::now()).ok());
        let mut told = frame.told_after(self.status).to_owned();
        self.status = Some(frame.number());
        for transition in self.control.live().snapshot().journal.since(self.transition) {
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

    #[test]
    fn half_of_the_connections_may_listen() {
        let (listeners, feed) = (Listeners::default(), Arc::new(Feed::default()));
        let places: Vec<_> = (0..4).map(|_| listeners.enter(8, &feed).unwrap()).collect();
        assert_eq!(listeners.enter(8, &feed).err(), Some(TooMany));
        drop(places);
        assert!(listeners.enter(1, &feed).is_ok(), "one may always");
        let many: Vec<_> = (0..MOST).map(|_| listeners.enter(usize::MAX, &feed).unwrap()).collect();
        assert_eq!((many.len(), listeners.enter(usize::MAX, &feed).err()), (MOST, Some(TooMany)));
    }
}
