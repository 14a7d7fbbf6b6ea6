use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use evener::app::App;
use evener::hooks::{BuildCx, BuildError, Filter, FilterCx, HookError, Needs};
use http::HeaderMap;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::support::Edge;

use super::{Caller, Service, grpc_routes};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

/// A filter that has a word in trailers, and notes the last pieces of bodies.
#[derive(Clone, Default)]
struct Censor {
    last_pieces: Arc<Mutex<Vec<Option<Bytes>>>>,
}

#[async_trait]
impl Filter for Censor {
    fn on_response_trailers(
        &self,
        trailers: &mut HeaderMap,
        _: &mut FilterCx<'_>,
    ) -> Result<Option<Bytes>, HookError> {
        if trailers.remove("trace-bin").is_none() {
            return Err(HookError::new("no trace"));
        }
        trailers.insert("x-seen", "yes".parse().unwrap());
        Ok(None)
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        end: bool,
        _: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        if end {
            self.last_pieces.lock().push(body.clone());
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs::BODIES
    }
}

/// An edge with the filter on all routes, which have these filters.
async fn site(service: &Service, filters: &str) -> (Edge, Censor) {
    let censor = Censor::default();
    let filter = censor.clone();
    let build = move |_: NoSettings, _: &BuildCx<'_>| Ok::<_, BuildError>(filter.clone());
    let config = grpc_routes("", "", &[service], &format!("{{ filters: [{filters}], pool: app }}"));
    (Edge::start_with(App::builder().filter("censor", build), &config).await, censor)
}

#[tokio::test]
async fn filters_may_change_trailers() {
    let service = Service::start().await;
    let (edge, censor) = site(&service, "{ censor: {} }").await;
    let ended = Caller::connect(&edge).await.call("Echo", &[], b"hello").await;
    assert_eq!((ended.status(), ended.trailers["x-seen"].to_str().unwrap()), (0, "yes"));
    assert!(!ended.trailers.contains_key("trace-bin"));
    assert!(censor.last_pieces.lock().is_empty(), "the trailers are the end");
}

#[tokio::test]
async fn trailers_that_a_filter_could_not_look_at_stay_here() {
    let service = Service::start().await;
    let (edge, _censor) = site(&service, "{ censor: {} }, { censor: {} }").await;
    let ended = Caller::connect(&edge).await.call("Echo", &[], b"hello").await;
    assert_eq!((ended.status(), ended.messages.len()), (13, 1));
    assert!(!ended.trailers.contains_key("x-seen"));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["cause"], &line["grpc_status"]), (&"hook_failed".into(), &13.into()));
}

#[tokio::test]
async fn trailers_that_became_bytes_are_the_last_piece() {
    let service = Service::start().await;
    let (edge, censor) = site(&service, "{ censor: {} }, { grpc_web: {} }").await;
    let mut call = Caller::connect(&edge).await.ask("Echo", "application/grpc-web", &[]).await;
    call.end();
    assert!(call.message().await.unwrap().starts_with(b"grpc-status:0"));
    let pieces = censor.last_pieces.lock().clone();
    assert!(pieces.len() == 1 && pieces[0].as_ref().is_some_and(|piece| piece[0] == 0x80), "{pieces:?}");
}
