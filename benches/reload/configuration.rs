//! One configuration of 10 000 routes and 1 000 pools, as each peer writes it.

use std::net::SocketAddr;

use crate::request::HOST;

const HOSTS: usize = 1_000;
const ROUTES_OF_HOST: usize = 10;
pub(crate) const ROUTES: usize = HOSTS * ROUTES_OF_HOST;
pub(crate) const POOLS: usize = 1_000;

/// What the steady client asks for, of the first host: a route to a pool.
pub(crate) const STEADY: &str = "/api/orders";
/// What tells the version that is served, of the first host: a route that is answered at the edge.
pub(crate) const VERSION: &str = "/version";

/// What differs between two configurations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Version {
    /// What the route at `VERSION` answers.
    pub(crate) answer: u32,
    /// How often the weight of an endpoint was changed that the steady client is served by.
    pub(crate) pool: u32,
}

/// What each route does besides forwarding.
enum Extra {
    Nothing,
    ResponseHeader,
    RequestHeader,
    RateLimit,
}

/// One route, without its host.
struct Route {
    number: usize,
    path: String,
    is_exact: bool,
    pool: usize,
    extra: Extra,
}

/// One endpoint with its weight.
struct Endpoint(SocketAddr, u32);

/// Fills the places of `conf/evener.yaml`.
pub(crate) fn evener(version: Version, origin: &[SocketAddr; 3]) -> [(&'static str, String); 2] {
    let pools = (0..POOLS).map(|pool| {
        let endpoints = endpoints(pool, version, origin)
            .map(|Endpoint(address, weight)| format!("{{ address: {address}, weight: {weight} }}"));
        format!("  pool-{pool}: {{ endpoints: [{}] }}\n", endpoints.join(", "))
    });
    let routes = (0..HOSTS).flat_map(|host| {
        routes(host).map(move |route| {
            let Route { number, path, is_exact, pool, extra } = route;
            let path = if is_exact { format!("{{ exact: {path} }}") } else { path };
            let filters = match extra {
                Extra::Nothing => "",
                Extra::ResponseHeader => " filters: [response_headers: { set: { X-Area: static } }],",
                Extra::RequestHeader => " filters: [request_headers: { set: { X-Area: orders } }],",
                Extra::RateLimit => " filters: [rate_limit: { rate: 1000/s, burst: 100 }],",
            };
            let host = host_name(host);
            format!(
                "  - {{ name: route-{number}, match: {{ host: \"{host}\", path: {path} }},{filters} pool: pool-{pool} }}\n"
            )
        })
    });
    let told = format!(
        "  - {{ name: version, match: {{ host: {HOST}, path: {{ exact: {VERSION} }} }}, respond: {{ body: \"{}\" }} }}\n",
        version.answer
    );
    [("@POOLS@", pools.collect()), ("@ROUTES@", told + &routes.collect::<String>())]
}

/// Fills the places of `conf/nginx.conf`.
pub(crate) fn nginx(
    version: Version,
    origin: &[SocketAddr; 3],
    listen: SocketAddr,
) -> [(&'static str, String); 2] {
    let upstreams = (0..POOLS).map(|pool| {
        let servers = endpoints(pool, version, origin)
            .map(|Endpoint(address, weight)| format!("server {address} weight={weight};"));
        format!("    upstream pool-{pool} {{ {} keepalive 32; }}\n", servers.join(" "))
    });
    let servers = (0..HOSTS).map(|host| {
        let name = host_name(host);
        let locations: String = routes(host).map(location).collect();
        let told = match host {
            0 => format!("        location = {VERSION} {{ return 200 \"{}\"; }}\n", version.answer),
            _ => String::new(),
        };
        format!(
            "    server {{\n        listen {listen} backlog=4096;\n        server_name {name};\n{told}{locations}    }}\n"
        )
    });
    // Options of an address stand once.
    let servers: String = servers.collect();
    let (first, rest) = servers.split_once(" backlog=4096").unwrap_or((&servers, ""));
    let servers = format!("{first} backlog=4096{}", rest.replace(" backlog=4096", ""));
    [("@UPSTREAMS@", upstreams.collect()), ("@SERVERS@", servers)]
}

fn location(route: Route) -> String {
    let Route { path, is_exact, pool, extra, .. } = route;
    let modifier = if is_exact { "= " } else { "" };
    let filters = match extra {
        Extra::Nothing => "",
        Extra::ResponseHeader => " add_header X-Area static;",
        // Headers of a location take the place of all that stand further out.
        Extra::RequestHeader => {
            " proxy_set_header Connection \"\"; proxy_set_header Host $http_host; proxy_set_header X-Area orders;"
        }
        Extra::RateLimit => " limit_req zone=clients burst=100 nodelay;",
    };
    format!("        location {modifier}{path} {{{filters} proxy_pass http://pool-{pool}; }}\n")
}

/// The client's host first; one of fifty of the others is a wildcard.
fn host_name(host: usize) -> String {
    match host {
        0 => HOST.to_owned(),
        _ if host % 50 == 49 => format!("*.host-{host}.example.com"),
        _ => format!("host-{host}.example.com"),
    }
}

fn routes(host: usize) -> impl Iterator<Item = Route> {
    (0..ROUTES_OF_HOST).map(move |route| {
        let path = match route {
            0 => "/".to_owned(),
            1 => "/api/".to_owned(),
            2 => "/static/".to_owned(),
            3 => "/healthz".to_owned(),
            _ => format!("/area-{route}/of/{host}/"),
        };
        let extra = match route {
            2 => Extra::ResponseHeader,
            4 if host.is_multiple_of(10) => Extra::RateLimit,
            5 => Extra::RequestHeader,
            _ => Extra::Nothing,
        };
        let number = host * ROUTES_OF_HOST + route;
        Route { number, path, is_exact: route == 3, pool: pool_of(host, route), extra }
    })
}

fn pool_of(host: usize, route: usize) -> usize {
    (host + route * POOLS / ROUTES_OF_HOST) % POOLS
}

/// Those of the origin where the steady client comes, else some that do not exist.
fn endpoints(pool: usize, version: Version, origin: &[SocketAddr; 3]) -> [Endpoint; 3] {
    if pool == pool_of(0, 1) {
        let weight = 10 + version.pool % 10;
        let [a, b, c] = *origin;
        return [Endpoint(a, weight), Endpoint(b, 10), Endpoint(c, 10)];
    }
    let [high, low] = [pool / 250, pool % 250].map(|byte| u8::try_from(byte).unwrap_or_default());
    [9001, 9002, 9003].map(|port| Endpoint(SocketAddr::from(([127, 1 + high, low, 1], port)), 10))
}
