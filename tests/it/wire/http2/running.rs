//! Requests that run are counted, and not the streams that a client can make vanish.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use evener::app::App;
use evener::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, RequestView};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::support::raw_h2::{CANCEL, HEADERS, RawH2, get, reset};
use crate::support::{Edge, Endpoint, eventually};
use crate::wire::site_with;

/// Holds every request until there is a permit, and does not notice that its client has given up.
#[derive(Clone)]
struct Hold {
    entered: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

#[async_trait]
impl Filter for Hold {
    async fn on_request(&self, _: &mut RequestView<'_>, _: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        self.entered.fetch_add(1, Ordering::AcqRel);
        self.gate.acquire().await.unwrap().forget();
        Ok(Flow::Continue)
    }
}

#[tokio::test]
async fn requests_that_outlive_their_streams_hold_new_ones_up() {
    let hold = Hold { entered: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
    let endpoint = Endpoint::answering("ok").await;
    let filter = hold.clone();
    let program = App::builder()
        .filter("hold", move |_: NoSettings, _: &BuildCx<'_>| Ok::<_, BuildError>(filter.clone()));
    let routes = "- { filters: [{ hold: {} }], pool: app }";
    let config = site_with(endpoint.address(), "http: { h2_streams: 5 }", "", routes);
    let edge = Edge::start_with(program, &config).await;
    let mut client = RawH2::connect(&edge).await;
    let entered = |count| {
        let entered = hold.entered.clone();
        async move {
            eventually("the requests run", async || entered.load(Ordering::Acquire) == count).await;
        }
    };
    let mut next = (1..).step_by(2);
    for round in 1..=2 {
        let streams: Vec<u32> = next.by_ref().take(5).collect();
        client.send(streams.iter().flat_map(|&stream| get(stream)).collect::<Vec<_>>()).await;
        entered(5 * round).await;
        client.send(streams.iter().flat_map(|&stream| reset(stream, CANCEL)).collect::<Vec<_>>()).await;
    }
    let last: Vec<u32> = next.by_ref().take(5).collect();
    client.send(last.iter().flat_map(|&stream| get(stream)).collect::<Vec<_>>()).await;
    // The pong comes after the requests were read.
    client.send(crate::support::raw_h2::frame(crate::support::raw_h2::PING, 0, 0, [0; 8])).await;
    client.next_of(crate::support::raw_h2::PING).await;
    assert_eq!(hold.entered.load(Ordering::Acquire), 10);
    hold.gate.add_permits(10);
    entered(15).await;
    hold.gate.add_permits(5);
    for _ in 0..5 {
        let response = client.next_of(HEADERS).await;
        assert!(last.contains(&response.stream));
    }
}
