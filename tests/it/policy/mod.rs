//! Traffic policy: who may come in, how much, and what they get back.

mod adaptive_concurrency;
mod api_key;
mod bandwidth;
mod basic_auth;
mod bounds;
mod cache;
mod canary;
mod client_cert;
mod cluster_limit;
mod compress;
mod concurrency;
mod cors;
mod decompress;
mod error_pages;
mod fault;
mod files;
mod forward_auth;
mod geo;
mod hedge;
mod http2;
mod jwt;
mod jwt_url;
mod mirror;
mod networks;
mod security_headers;
mod split;
mod store_tls;
mod waf;

use std::fmt::Display;

/// A configuration with one pool of one endpoint, and these filters on its only route.
fn filtered(endpoint: impl Display, filters: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: ['{endpoint}'] }} }}\n\
         routes: [{{ pool: app, filters: [{filters}] }}]\n\
         log: {{ access: {{ to: LOG }} }}\n"
    )
}
