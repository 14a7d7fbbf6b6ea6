//! What holds for every text: valid ones come back as what was written, and no text whatever breaks the reader.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::spec::HttpVersion;
use super::{Action, Check, Loaded, load_text};

fn load(text: &str) -> Result<Loaded, String> {
    load_text("x.yaml", Path::new(""), text).and_then(Loaded::sound).map_err(|problems| problems.to_string())
}

/// A configuration as a test writes it.
#[derive(Clone, Debug)]
struct Written {
    listeners: Vec<WrittenListener>,
    pools: Vec<WrittenPool>,
    routes: Vec<WrittenRoute>,
}

#[derive(Clone, Debug)]
struct WrittenListener {
    ports: Vec<u16>,
    streams: Option<u32>,
    only_h2: bool,
}

#[derive(Clone, Debug)]
struct WrittenPool {
    weights: Vec<Option<u16>>,
    connect_ms: Option<u64>,
    probe_path: Option<String>,
}

#[derive(Clone, Debug)]
struct WrittenRoute {
    path: String,
    listener: Option<prop::sample::Index>,
    header: Option<String>,
    action: WrittenAction,
}

#[derive(Clone, Debug)]
enum WrittenAction {
    Pool(prop::sample::Index),
    Redirect(u16),
    Respond(String),
}

fn written() -> impl Strategy<Value = Written> {
    let listeners = prop::collection::vec(listener(), 1..4);
    let pools = prop::collection::vec(pool(), 1..4);
    let routes = prop::collection::vec(route(), 0..5);
    (listeners, pools, routes).prop_map(|(listeners, pools, routes)| Written { listeners, pools, routes })
}

fn listener() -> impl Strategy<Value = WrittenListener> {
    let ports =
        prop::collection::btree_set(1000_u16..9999, 1..3).prop_map(|ports| ports.into_iter().collect());
    let streams = prop::option::of(1_u32..=1000);
    (ports, streams, any::<bool>()).prop_map(|(ports, streams, only_h2)| WrittenListener {
        ports,
        streams,
        only_h2,
    })
}

fn pool() -> impl Strategy<Value = WrittenPool> {
    let weights = prop::collection::vec(prop::option::of(1_u16..=1000), 1..5);
    let connect = prop::option::of(1_u64..100_000);
    let probe = prop::option::of("/[a-z0-9/?=&%-]{0,12}");
    (weights, connect, probe).prop_map(|(weights, connect_ms, probe_path)| {
        let probe_path = probe_path.map(|path| path.replace('%', "%25"));
        WrittenPool { weights, connect_ms, probe_path }
    })
}

fn route() -> impl Strategy<Value = WrittenRoute> {
    let action = prop_oneof![
        any::<prop::sample::Index>().prop_map(WrittenAction::Pool),
        prop::sample::select(vec![301_u16, 302, 303, 307, 308]).prop_map(WrittenAction::Redirect),
        "[ -~äöü\n\t]{0,20}".prop_map(WrittenAction::Respond),
    ];
    let listener = prop::option::of(any::<prop::sample::Index>());
    let header = prop::option::of("[ -~]{0,12}");
    ("(/[a-z0-9]{1,5}){1,3}/?", listener, header, action)
        .prop_map(|(path, listener, header, action)| WrittenRoute { path, listener, header, action })
}

impl Written {
    /// Block style, flow style and quotes all occur. JSON strings are double-quoted YAML.
    fn to_yaml(&self) -> String {
        let mut text = "listeners:\n".to_owned();
        for (index, listener) in self.listeners.iter().enumerate() {
            let binds: Vec<_> = listener.ports.iter().map(|port| format!("127.0.{index}.1:{port}")).collect();
            let _ = writeln!(text, "  l{index}:\n    bind: [{}]\n    http:", binds.join(", "));
            let _ = writeln!(text, "      versions: {}", if listener.only_h2 { "[h2]" } else { "[h1, h2]" });
            write_some(&mut text, "      h2_streams: ", listener.streams);
        }
        text += "pools:\n";
        for (index, pool) in self.pools.iter().enumerate() {
            let _ = writeln!(text, "  p{index}:\n    endpoints:");
            for (place, weight) in pool.weights.iter().enumerate() {
                let address = format!("10.0.{index}.{}:80", place + 1);
                let _ = match weight {
                    Some(weight) => writeln!(text, "      - {{ address: \"{address}\", weight: {weight} }}"),
                    None => writeln!(text, "      - {address}"),
                };
            }
            write_some(
                &mut text,
                "    timeouts:\n      connect: ",
                pool.connect_ms.map(|ms| format!("{ms}ms")),
            );
            let probe = pool.probe_path.as_ref().map(|path| format!("{{ http: {{ path: {path:?} }} }}"));
            write_some(&mut text, "    health: ", probe);
        }
        text += "routes:\n";
        text += if self.routes.is_empty() { "  []\n" } else { "" };
        self.routes.iter().for_each(|route| self.write_route(route, &mut text));
        text
    }

    fn write_route(&self, route: &WrittenRoute, text: &mut String) {
        let _ = writeln!(text, "  - match:\n      path: {}", route.path);
        let listener = route.listener.map(|index| index.index(self.listeners.len()));
        write_some(text, "      listeners: ", listener.map(|index| format!("[l{index}]")));
        let header = route.header.as_ref().map(|value| serde_json::to_string(value).unwrap());
        write_some(text, "      headers:\n        X-Test: ", header);
        let _ = match &route.action {
            WrittenAction::Pool(index) => writeln!(text, "    pool: p{}", index.index(self.pools.len())),
            WrittenAction::Redirect(status) => {
                writeln!(text, "    redirect: {{ to: /new, status: {status} }}")
            }
            WrittenAction::Respond(body) => {
                writeln!(text, "    respond:\n      body: {}", serde_json::to_string(body).unwrap())
            }
        };
    }
}

fn write_some(text: &mut String, key: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        let _ = writeln!(text, "{key}{value}");
    }
}

fn compare(written: &Written, loaded: &Loaded) {
    let config = &loaded.config;
    for (listener, read) in written.listeners.iter().zip(&config.listeners) {
        let ports: Vec<_> = read.binds.iter().map(|bind| bind.to_string()).collect();
        assert!(listener.ports.iter().zip(&ports).all(|(port, bind)| bind.ends_with(&format!(":{port}"))));
        assert_eq!(read.service.http().unwrap().spec.h2_streams, listener.streams.unwrap_or(100));
        assert_eq!(read.service.http().unwrap().spec.versions == [HttpVersion::H2], listener.only_h2);
    }
    for (pool, read) in written.pools.iter().zip(&config.pools) {
        let weights: Vec<_> = read.endpoints.iter().map(|endpoint| endpoint.weight.get()).collect();
        assert_eq!(weights, pool.weights.iter().map(|weight| weight.unwrap_or(1)).collect::<Vec<_>>());
        assert_eq!(read.timeouts.connect.get().as_millis(), u128::from(pool.connect_ms.unwrap_or(2000)));
        let probe = read.health.as_ref().map(|health| match &health.check {
            Check::Http(http) => http.path.clone(),
            _ => panic!("no such probe was written"),
        });
        assert_eq!(probe, pool.probe_path);
    }
    for (route, read) in written.routes.iter().zip(&config.routes) {
        assert_eq!(read.matches.path.as_ref().unwrap().to_string(), route.path);
        let listener = route.listener.map(|index| index.index(written.listeners.len()));
        assert_eq!(read.listeners, listener.into_iter().collect::<Vec<_>>());
        let header = read.matches.headers.iter().next().map(|(_, value)| value.to_string());
        assert_eq!(header, route.header.as_ref().map(|value| format!("= {value}")));
        match (&route.action, &read.action) {
            (WrittenAction::Pool(index), Action::Pool(found)) => {
                assert_eq!(*found, index.index(written.pools.len()))
            }
            (WrittenAction::Redirect(status), Action::Redirect(found)) => {
                assert_eq!(found.status.0.as_u16(), *status)
            }
            (WrittenAction::Respond(body), Action::Respond(found)) => assert_eq!(found.body, *body),
            (wanted, found) => panic!("{wanted:?} became {found:?}"),
        }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_what_is_read(written in written()) {
        let text = written.to_yaml();
        let loaded = load(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        prop_assert_eq!(loaded.config.listeners.len(), written.listeners.len());
        prop_assert_eq!(loaded.config.pools.len(), written.pools.len());
        prop_assert_eq!(loaded.config.routes.len(), written.routes.len());
        compare(&written, &loaded);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,80}") {
        let _ = load(&text);
    }

    #[test]
    fn no_half_made_yaml_breaks_the_reader(text in "[a-z:\\-\\[\\]{}, \n\"'#&*!|>~?0-9.]{0,120}") {
        let _ = load(&text);
    }

    /// Every refusal comes with a reason and, unless the file is too wrong for it, a place.
    #[test]
    fn a_good_text_with_a_few_changes_is_read_or_refused_with_reasons(
        written in written(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[a-z:\\-\\[\\]{} \n0-9~]{0,3}"), 1..5),
    ) {
        let mut chars: Vec<char> = written.to_yaml().chars().collect();
        for (place, inserted) in changes {
            let at = place.index(chars.len());
            chars.splice(at..=at, inserted.chars());
            if chars.is_empty() {
                break;
            }
        }
        if let Err(problems) = load(&chars.iter().collect::<String>()) {
            prop_assert!(problems.starts_with("x.yaml:"), "{}", problems);
        }
    }
}

#[test]
fn settings_of_filters_and_policies_are_found_by_their_path() {
    let text = "listeners: { web: { bind: 127.0.0.1:0 } }\n\
                pools:\n  a: { endpoints: [10.0.0.1:80], balance: { ring: { replicas: 3 } } }\n\
                \x20 b: { endpoints: [10.0.0.1:80], balance: random }\n\
                routes:\n  - pool: a\n    filters: [{ one: { x: 1 } }, { two: }]\n";
    let loaded = load(text).unwrap();
    let ring = loaded.config.pools[0].balance.clone();
    assert_eq!(
        (ring.policy.as_str(), ring.settings.unwrap().to_string().as_str()),
        ("ring", "pools.a.balance.ring")
    );
    assert_eq!(ring.at.to_string(), "pools.a.balance");
    assert_eq!(loaded.config.pools[1].balance.settings, None);
    let filters = &loaded.config.routes[0].filters;
    assert_eq!(filters[0].settings.to_string(), "routes[0].filters[0].one");
    assert_eq!(filters[1].settings.to_string(), "routes[0].filters[1].two");
    assert_eq!(loaded.config.routes[0].name.as_str(), "route-1");
}

#[test]
fn a_pool_that_only_a_filter_names_is_in_use() {
    let text = |to: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
             pools:\n  a: {{ endpoints: [10.0.0.1:80, 10.0.0.2:80] }}\n  b: {{ endpoints: [10.0.0.1:80, 10.0.0.2:80] }}\n\
             routes:\n  - pool: a\n    filters: [{{ canary: {{ to: [{to}] }} }}]\n"
        )
    };
    assert!(load(&text("b")).unwrap().diagnostics.is_empty());
    assert!(load(&text("c")).unwrap().diagnostics.to_string().contains("pools.b: nothing uses it"));
}

#[test]
fn a_header_is_compared_as_it_is_spelt() {
    let text = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes:\n\
                \x20 - match: { headers: { X-Version: 1.10, X-Id: 0x1F, X-On: True } }\n\
                \x20   respond: { headers: { X-Version: 1.10 }, body: 007 }\n";
    let loaded = load(text).unwrap();
    let route = &loaded.config.routes[0];
    let values: Vec<_> = route.matches.headers.iter().map(|(_, value)| value.to_string()).collect();
    assert_eq!(values, ["= 1.10", "= 0x1F", "= True"]);
    let Action::Respond(respond) = &route.action else { panic!("{:?}", route.action) };
    assert_eq!(respond.body, "007");
    assert_eq!(respond.headers.iter().next().unwrap().1.to_string(), "1.10");
}
