//! Every metric that there is: the one place of their names.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// All series of one name.
#[derive(Debug)]
pub(crate) struct Family {
    /// Without the suffixes that unit and kind have.
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) unit: Option<Unit>,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

impl Family {
    /// The name as queries have it.
    #[cfg(test)]
    pub(super) fn full_name(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
        let total = if matches!(self.kind, MetricType::Counter) { "_total" } else { "" };
        format!("{}{unit}{total}", self.name)
    }
}

macro_rules! families {
    ($($(#[$_:meta])* $id:ident: $kind:ident $name:literal $($unit:ident)? [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: Family = Family {
            name: $name,
            kind: MetricType::$kind,
            unit: families!(@unit $($unit)?),
            labels: &[$($label),*],
            help: $help,
        };)*
        /// In the order of the documentation, which is that of a scrape.
        #[cfg(test)]
        pub(super) const ALL: &[&Family] = &[$(&$id),*];
    };
    (@unit) => { None };
    (@unit $unit:ident) => { Some(Unit::$unit) };
}

families! {
    BUILD_INFO: Gauge "evener_build_info" ["version"] "Always 1; the label tells which version runs.";
    DRAINING: Gauge "evener_draining" [] "1 once the process takes no new clients and is about to end.";
    CONFIG_GENERATION: Gauge "evener_config_generation" [] "Number of the configuration that is served; the process began with 1.";
    LOG_LINES: Counter "evener_access_log_lines" ["result"] "Lines of the access log: `written`, `dropped` since the sink was too slow, `failed` since it refused them, `left_out` by sampling.";
    AUDIT_LINES: Counter "evener_audit_log_lines" ["result"] "Lines of the audit log, if there is one: `written`, `dropped` since its disk was too slow, `failed` since it refused them. The count begins anew with another file.";
    CONFIG_CHANGES: Counter "evener_config_changes" ["result"] "Configurations that took the place of another (`made`), and that were refused (`refused`).";

    CONNECTIONS: Gauge "evener_listener_connections" ["listener"] "Open connections of clients, or flows of datagrams.";
    ACCEPTED: Counter "evener_listener_accepted" ["listener"] "Connections that were accepted.";
    TURNED_AWAY: Counter "evener_listener_turned_away" ["listener"] "Connections that were closed at once, because a limit was reached.";
    DATAGRAMS_DROPPED: Counter "evener_listener_datagrams_dropped" ["listener"] "Datagrams that went nowhere.";
    REFUSALS: Counter "evener_listener_refusals" ["listener", "cause"] "What was refused before it was a request, by cause.";
    HANDSHAKES: Counter "evener_tls_handshakes" ["listener", "result"] "TLS handshakes of clients, by how they ended: `full`, `resumed`, `failed`, `timed_out`.";
    CERTIFICATE_EXPIRY: Gauge "evener_tls_certificate_expiry_timestamp" Seconds ["listener", "name", "key"] "When a certificate expires, in seconds since 1970; `name` is the first that it is for.";

    REQUESTS: Counter "evener_http_requests" ["route", "status"] "Requests that ended, by class of status; `none` is a client that left before its answer. An empty route is none.";
    REQUESTS_IN_FLIGHT: Gauge "evener_http_requests_in_flight" ["route"] "Requests that have begun and not ended.";
    ERRORS: Counter "evener_http_errors" ["route", "cause"] "Requests that were not answered by an endpoint or as the route wants it, by cause, in the words of the access log.";
    REQUEST_DURATION: Histogram "evener_http_request_duration" Seconds ["route"] "From a request's header to the last byte of its answer.";
    REQUEST_BYTES: Counter "evener_http_request_body" Bytes ["route"] "Bytes of requests' bodies.";
    RESPONSE_BYTES: Counter "evener_http_response_body" Bytes ["route"] "Bytes of answers' bodies.";
    DECISIONS: Counter "evener_filter_decisions" ["route", "filter", "number", "decision"] "Requests that a filter did not let pass: `answered`, `rejected`, `failed`. `number` counts filters of that name on the route, from 0.";
    SPLIT_SHARE: Gauge "evener_split_share" ["route", "pool"] "The share of new requests that a pool of a split gets, 0 to 1.";

    CACHE_REQUESTS: Counter "evener_cache_requests" ["cache", "result"] "Requests of routes with a cache, by what that did: `hit`, `stale` (an old answer was given), `refresh` (an endpoint said that it is still good), `miss`, `bypass`.";
    CACHE_EVICTIONS: Counter "evener_cache_evictions" ["cache"] "Answers that were given up in memory for others.";
    CACHE_MEMORY: Gauge "evener_cache_memory" Bytes ["cache"] "Memory that stored answers take.";
    CACHE_DISK: Gauge "evener_cache_disk" Bytes ["cache"] "What files of stored answers take, of a cache with a disk.";

    STORE_ASKED: Counter "evener_store_asked" ["store"] "Decisions that a store was asked for.";
    STORE_MISSED: Counter "evener_store_missed" ["store"] "Decisions that were made without the store, since it was gone or did not answer in time.";

    POOL_IN_FLIGHT: Gauge "evener_pool_in_flight" ["pool"] "Requests, connections or flows at the pool's endpoints, or between two attempts.";
    POOL_PICKS: Counter "evener_pool_picks" ["pool"] "How often one of its endpoints was picked, for a request, a connection or a flow.";
    POOL_CONNECTIONS: Counter "evener_pool_connections" ["pool"] "Connections that were made to its endpoints. Requests share those that are kept.";
    POOL_ERRORS: Counter "evener_pool_errors" ["pool", "cause"] "Attempts that failed at its endpoints, by cause, in the words of the access log. What a retry made good is among them.";
    POOL_SENT: Counter "evener_pool_sent" Bytes ["pool"] "Bytes that were sent to its endpoints: bodies of requests, and all that TCP and UDP carry.";
    POOL_RECEIVED: Counter "evener_pool_received" Bytes ["pool"] "Bytes that came from its endpoints: bodies of answers, and all that TCP and UDP carry.";
    POOL_WAITING: Gauge "evener_pool_waiting" ["pool"] "Requests that wait for an endpoint to have room.";
    POOL_WAITED: Counter "evener_pool_waited" ["pool"] "Requests that had to wait for an endpoint to have room.";
    POOL_UNSERVED: Counter "evener_pool_unserved" ["pool", "reason"] "Requests that got no endpoint: `nobody_fit`, `queue_full`, `queue_timeout`, `out_of_time`, `policy_failed`.";
    POOL_RETRIES: Counter "evener_pool_retries" ["pool"] "Attempts that followed a failed one.";
    POOL_RETRIES_REFUSED: Counter "evener_pool_retries_refused" ["pool"] "Retries and hedges that the pool's budget had no room for.";
    POOL_HEDGES: Counter "evener_pool_hedges" ["pool"] "Requests that were sent to a second endpoint, since the first was silent.";
    POOL_ENDPOINTS: Gauge "evener_pool_endpoints" ["pool", "state"] "Endpoints by state.";
    POOL_PANIC: Gauge "evener_pool_panic" ["pool"] "1 while so few endpoints are fit that all serve that can be connected to.";
    POOL_LATENCY: Histogram "evener_pool_latency" Seconds ["pool"] "How long endpoints took to begin their answer, or to be connected to for TCP; without attempts that failed.";

    ENDPOINT_STATE: Gauge "evener_endpoint_state" ["pool", "endpoint", "state"] "1 for the state that the endpoint is in, 0 for the others.";
    ENDPOINT_WEIGHT: Gauge "evener_endpoint_weight" ["pool", "endpoint"] "Its share in relation to the others of the pool.";
    ENDPOINT_IN_FLIGHT: Gauge "evener_endpoint_in_flight" ["pool", "endpoint"] "Requests, connections or flows that it has.";
    ENDPOINT_PICKS: Counter "evener_endpoint_picks" ["pool", "endpoint"] "How often it was picked.";
    ENDPOINT_FAILURES: Counter "evener_endpoint_failures" ["pool", "endpoint"] "Attempts that failed at it: no connection, a broken one, no answer in time, a status of 500 or more. They go on over an upgrade, as picks do.";
    ENDPOINT_ERRORS: Counter "evener_endpoint_errors" ["pool", "endpoint", "cause"] "Those attempts by cause, in the words of the access log, since the process began.";
    ENDPOINT_CONNECTIONS: Counter "evener_endpoint_connections" ["pool", "endpoint"] "Connections that were made to it. Requests share those that are kept.";
    ENDPOINT_SENT: Counter "evener_endpoint_sent" Bytes ["pool", "endpoint"] "Bytes that were sent to it: bodies of requests, and all that TCP and UDP carry.";
    ENDPOINT_RECEIVED: Counter "evener_endpoint_received" Bytes ["pool", "endpoint"] "Bytes that came from it: bodies of answers, and all that TCP and UDP carry.";
    ENDPOINT_EJECTIONS: Counter "evener_endpoint_ejections" ["pool", "endpoint"] "How often it was left out for a while, since it failed too many requests.";
    ENDPOINT_PROBES: Counter "evener_endpoint_probes" ["pool", "endpoint", "result"] "Health checks: `passed`, `failed`.";
    ENDPOINT_LATENCY: Histogram "evener_endpoint_latency" Seconds ["pool", "endpoint"] "How long it took to begin its answer, or to be connected to for TCP; without attempts that failed.";

    SPANS_EXPORTED: Counter "evener_spans_exported" [] "Spans that the collector of traces has taken.";
    SPANS_DROPPED: Counter "evener_spans_dropped" [] "Spans that it did not get, since it was too slow or gone, or did not take.";
    SPANS_WAITING: Gauge "evener_spans_waiting" [] "Spans that wait for it, or are on their way.";
    EXPORT_FAILURES: Counter "evener_span_export_failures" [] "How often it was sent spans in vain.";

    PROCESS_CPU: Counter "process_cpu" Seconds [] "Time that the process has had of the processors.";
    PROCESS_MEMORY: Gauge "process_resident_memory" Bytes [] "Memory that the process has in use.";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory" Bytes [] "Addresses that the process has in use.";
    PROCESS_FDS: Gauge "process_open_fds" [] "Descriptors that the process has open.";
    PROCESS_MAX_FDS: Gauge "process_max_fds" [] "Descriptors that the process may have open.";
    PROCESS_THREADS: Gauge "process_threads" [] "Threads of the process.";
    PROCESS_START: Gauge "process_start_time" Seconds [] "When the process began, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = HashSet::new();
        for family in ALL {
            let name = family.full_name();
            assert!(names.insert(name.clone()), "{name} twice");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(family.help.ends_with('.'), "{name}");
        }
    }
}
