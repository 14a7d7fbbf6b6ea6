use http::HeaderMap;

use crate::telemetry::{TRACEPARENT, TRACESTATE};

use super::testing::{Script, collector, settings};
use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn tracing(sample: &str, trust: TraceTrust) -> Tracing {
    let collector = collector(settings("http://192.0.2.1"), &Script::answering([]));
    Tracing::new(sample.parse().unwrap(), trust, collector, Arc::default())
}

fn found(flags: &str) -> Option<TraceContext> {
    let parent = format!("00-{TRACE}-{SPAN}-{flags}").parse().unwrap();
    TraceContext::parse(&HeaderMap::from_iter([(TRACEPARENT, parent), (TRACESTATE, "a=1".parse().unwrap())]))
}

#[test]
fn whoever_began_a_trace_decides_whether_it_is_recorded() {
    let mut random = Random::with_seed(1);
    for sample in ["0%", "100%"] {
        let tracing = tracing(sample, TraceTrust::Proxies);
        let traced = tracing.take(found("01"), &mut random);
        assert!(traced.is_recorded && traced.context.is_sampled());
        assert_eq!(traced.parent.unwrap().to_string(), SPAN);
        assert_eq!(traced.context.trace_id.to_string(), TRACE);
        assert_ne!(traced.context.span_id.to_string(), SPAN);
        assert_eq!(traced.context.state.as_ref().unwrap(), "a=1");
        let traced = tracing.take(found("00"), &mut random);
        assert_eq!((traced.is_recorded, traced.parent), (false, None));
        assert_eq!(Some(traced.context), found("00"), "it passes as it came");
    }
}

#[test]
fn traces_begin_here_where_there_is_none() {
    let mut random = Random::with_seed(1);
    for (sample, is_recorded) in [("0%", false), ("100%", true)] {
        let traced = tracing(sample, TraceTrust::Proxies).take(None, &mut random);
        assert_eq!((traced.is_recorded, traced.context.is_sampled()), (is_recorded, is_recorded));
        assert_eq!((traced.parent, traced.context.state), (None, None));
    }
}

#[test]
fn clients_are_believed_where_that_is_wanted() {
    for (trust, is_proxy, is_believed) in [
        (TraceTrust::Proxies, true, true),
        (TraceTrust::Proxies, false, false),
        (TraceTrust::Anybody, false, true),
    ] {
        assert_eq!(tracing("1%", trust).believes(is_proxy), is_believed);
    }
}
