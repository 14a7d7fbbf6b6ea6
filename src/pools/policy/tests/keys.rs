//! What the hashed policies take for the key, and what becomes of requests that have none.

use std::net::IpAddr;

use http::HeaderMap;
use tokio::time::Instant;

use crate::hooks::testing::{Fleet, build};
use crate::hooks::{BuildCx, BuildError, Member, PickCx, Policy, Variables};
use crate::types::Random;

use super::super::{IpHash, Maglev, Ring};

pub(super) type NewPolicy = Box<dyn Fn(&[Member]) -> Box<dyn Policy>>;

/// A hashed policy of these settings.
pub(super) fn hashed(name: &str, settings: &str) -> NewPolicy {
    fn boxed<S, F, P>(
        settings: &str,
        from: impl FnOnce(S, &BuildCx<'_>) -> Result<F, BuildError>,
    ) -> NewPolicy
    where
        S: serde::de::DeserializeOwned,
        F: Fn(&[Member]) -> P + 'static,
        P: Policy + 'static,
    {
        let new_policy = build(serde_yaml::from_str(settings).unwrap(), from).unwrap();
        Box::new(move |members| Box::new(new_policy(members)))
    }
    match name {
        "ip_hash" => boxed(settings, IpHash::build),
        "maglev" => boxed(settings, Maglev::build),
        _ => boxed(settings, Ring::build),
    }
}

/// The address of the member that is picked for a GET of `target` by a client.
pub(super) fn address_for(policy: &dyn Policy, members: &[Member], client: &str, target: &str) -> String {
    let headers = HeaderMap::new();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let client_ip: IpAddr = client.parse().unwrap();
    let (host, query) = ("www.example.com", Some(query));
    let cx = PickCx {
        client_ip,
        now: Instant::now(),
        host,
        path,
        query,
        headers: &headers,
        variables: Variables::NONE,
        notes: None,
    };
    members[policy.pick(members, &cx, &mut Random::with_seed(1))].address().to_string()
}

#[test]
fn a_client_keeps_its_endpoint_and_a_prefix_is_one_client() {
    let fleet = Fleet::new(&[1; 10]);
    for policy in ["ip_hash", "maglev", "ring"].map(|name| hashed(name, "{}")(fleet.members())) {
        let of = |client: &str| address_for(policy.as_ref(), fleet.members(), client, "/");
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        let clients: std::collections::BTreeSet<_> =
            (0..100).map(|number| of(&format!("10.0.0.{number}"))).collect();
        assert_eq!(clients.len(), 10);
    }
}

/// A change of the hash, of the mixing or of the way of filling moves the keys of everybody who upgrades.
#[test]
fn keys_stay_where_they_are_from_version_to_version() {
    let fleet = Fleet::new(&[1, 1, 2, 3, 5]);
    let places = |name: &str| {
        let policy = hashed(name, "{ key: { query: id } }")(fleet.members());
        let port = |id: u32| {
            let address = address_for(policy.as_ref(), fleet.members(), "::1", &format!("/?id={id}"));
            address.rsplit_once(':').unwrap().1.to_owned()
        };
        (0..20).map(port).collect::<String>()
    };
    assert_eq!(places("ring"), "36446266465626665656");
    assert_eq!(places("maglev"), "25626646566652366646");
}

#[test]
fn requests_without_a_key_are_balanced_by_load() {
    let fleet = Fleet::new(&[1; 3]);
    (0..5).for_each(|_| fleet.begin(1, Instant::now()));
    for name in ["maglev", "ring"] {
        for key in ["{ header: X-User }", "{ cookie: sid }", "{ query: id }"] {
            let policy = hashed(name, &format!("{{ key: {key}, bounded: off }}"))(fleet.members());
            let shares = super::shares(policy.as_ref(), &fleet, 1000);
            assert!(shares[1] == 0 && shares[0].abs_diff(500) < 100, "{name} {key}: {shares:?}");
        }
    }
}
