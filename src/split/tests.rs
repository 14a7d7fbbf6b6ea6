use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::config::{Action, load_text};
use crate::hooks::{Keeping, Kept, Scope, Variables};

/// The split of this text beside the pools `old` and `new`, as a configuration after one that left `kept`.
fn split(text: &str, kept: &mut Kept) -> Split {
    let text = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ old: {{ endpoints: [127.0.0.1:1] }}, new: {{ endpoints: [127.0.0.1:2] }} }}
routes: [{{ name: shop, split: {{ {text} }} }}]
"
    );
    let loaded = load_text("test.yaml", std::path::Path::new(""), &text).unwrap();
    let names: Vec<PoolName> = loaded.config.pools.iter().map(|pool| pool.name.clone()).collect();
    let route = &loaded.config.routes[0];
    let Action::Split(config) = &route.action else { panic!("{route:?}") };
    let split = {
        let keeping = Keeping::new(kept);
        let scope = Scope::split(&route.name);
        let cx = BuildCx::new(&names, 64).keeping(&keeping, &scope);
        let split = Split::build(config, &route.name, &names, &cx, Instant::now());
        drop(scope);
        (split, keeping.into_kept())
    };
    *kept = split.1;
    split.0
}

fn fresh(text: &str) -> Split {
    split(text, &mut Kept::default())
}

const NINE_TO_ONE: &str = "to: [{ pool: old, weight: 9 }, { pool: new, weight: 1 }]";

fn shares(split: &Split) -> Vec<String> {
    split.shares().map(|side| format!("{} {}", side.name, side.share)).collect()
}

fn choose(split: &Split, headers: &HeaderMap, random: &mut Random) -> Choice {
    let cx = PickCx {
        client_ip: [10, 0, 0, 1].into(),
        now: Instant::now(),
        host: "example.com",
        path: "/",
        query: None,
        headers,
        variables: Variables::NONE,
        notes: None,
    };
    let choice = split.choose(&cx, random);
    let assigned = split.assigned(&cx);
    assert!(assigned.is_none_or(|pool| pool == choice.pool));
    choice
}

fn user(name: &str) -> HeaderMap {
    HeaderMap::from_iter([("x-user".parse().unwrap(), HeaderValue::from_str(name).unwrap())])
}

#[test]
fn a_key_keeps_its_pool_and_none_goes_by_chance() {
    let split = fresh(&format!("{NINE_TO_ONE}, by: {{ header: X-User }}"));
    let mut random = Random::with_seed(1);
    let mut count =
        |headers: &HeaderMap| (0..1000).filter(|_| choose(&split, headers, &mut random).side == 1).count();
    for name in ["ada", "bob", "eve"] {
        assert!([0, 1000].contains(&count(&user(name))), "{name}");
    }
    assert!((60..140).contains(&count(&HeaderMap::new())));
    assert!((60..140).contains(&count(&user(""))), "an empty value is no key");
    let users =
        (0..10_000).filter(|number| choose(&split, &user(&number.to_string()), &mut random).side == 1);
    assert!((900..1100).contains(&users.count()));
}

#[test]
fn a_client_without_a_cookie_is_given_the_one_of_its_choice() {
    let split = fresh(&format!("{NINE_TO_ONE}, cookie: {{ name: side }}"));
    let mut random = Random::with_seed(1);
    for _ in 0..100 {
        let choice = choose(&split, &HeaderMap::new(), &mut random);
        let set = split.set_cookie(choice.issued.unwrap(), Scheme::Http).unwrap();
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).unwrap())]);
        let again = choose(&split, &headers, &mut random);
        assert_eq!(again, Choice { issued: None, ..choice });
    }
}

#[test]
fn weights_of_operators_stay_while_those_of_the_file_do() {
    let mut kept = Kept::default();
    let set = |split: &Split, side, weight: &str| split.set_weight(side, weight.parse().unwrap());
    let first = split(NINE_TO_ONE, &mut kept);
    assert_eq!(shares(&first), ["old 90 %", "new 10 %"]);
    assert_eq!(set(&first, 1, "3"), Ok(1));
    let same = split(&format!("{NINE_TO_ONE}, by: path"), &mut kept);
    assert_eq!(shares(&same), ["old 75 %", "new 25 %"]);
    // Another process has the same.
    let mut handed = Kept::import(kept.export(Instant::now()), Instant::now());
    assert_eq!(shares(&split(NINE_TO_ONE, &mut handed)), ["old 75 %", "new 25 %"]);
    let other = split("to: [{ pool: old, weight: 4 }, { pool: new, weight: 1 }]", &mut kept);
    assert_eq!(shares(&other), ["old 80 %", "new 20 %"]);
}

#[test]
fn somebody_always_has_a_weight() {
    let plain = fresh(NINE_TO_ONE);
    let none: Weight = "0".parse().unwrap();
    assert_eq!(plain.set_weight(1, none), Ok(1));
    assert_eq!(plain.set_weight(0, none), Err(WeightRefused::OfLast));
    let canary = fresh(&format!("{NINE_TO_ONE}, canary: {{}}"));
    assert_eq!(canary.set_weight(1, none), Err(WeightRefused::OfCanary));
    assert_eq!(canary.set_weight(0, none), Err(WeightRefused::OfLast));
}

#[test]
fn a_canary_begins_with_its_weight_or_a_step() {
    for (to, expected) in [
        (NINE_TO_ONE, ["old 90 %", "new 10 %"]),
        ("to: [{ pool: old, weight: 9 }, { pool: new }]", ["old 95 %", "new 5 %"]),
        ("to: [{ pool: old }, { pool: new, weight: 0 }]", ["old 95 %", "new 5 %"]),
    ] {
        assert_eq!(shares(&fresh(&format!("{to}, canary: {{ step: 5% }}"))), expected, "{to}");
    }
    let first = fresh(&format!("{NINE_TO_ONE}, canary: {{ pool: old, step: 5%, max: 80% }}"));
    assert_eq!(shares(&first), ["old 80 %", "new 20 %"]);
}

#[test]
fn a_canary_goes_on_while_it_is_compared_with_the_same() {
    let mut kept = Kept::default();
    let with = |canary: &str, more: &str| format!("{NINE_TO_ONE}, canary: {{ {canary} }}{more}");
    let now = Instant::now();
    let first = split(&with("step: 5%", ""), &mut kept);
    first.canary().unwrap().steer(CanaryOrder::Promote, now).unwrap();
    assert_eq!(shares(&first), ["old 0 %", "new 100 %"]);
    let same = split(&with("step: 5%, pool: new", ", by: path"), &mut kept);
    assert_eq!(shares(&same), ["old 0 %", "new 100 %"]);
    let handed = &mut Kept::import(kept.export(now), now);
    assert_eq!(shares(&split(&with("step: 5%", ""), handed)), ["old 0 %", "new 100 %"]);
    let settings = split(&with("step: 6%, max: 60%", ""), &mut kept);
    assert_eq!(shares(&settings), ["old 0 %", "new 100 %"], "it is not served yet");
    settings.take_over(now);
    assert_eq!(shares(&settings), ["old 40 %", "new 60 %"]);
    let other = split(&with("pool: old", ""), &mut kept);
    assert_eq!(shares(&other), ["old 90 %", "new 10 %"]);
}

#[test]
fn a_canary_that_was_taken_back_stays_so_whatever_else_changes() {
    let mut kept = Kept::default();
    let now = Instant::now();
    let first = split(&format!("{NINE_TO_ONE}, canary: {{ every: 1m }}"), &mut kept);
    first.canary().unwrap().steer(CanaryOrder::Abort, now).unwrap();
    for text in [
        "to: [{ pool: old, weight: 4 }, { pool: new, weight: 1 }], canary: { every: 1m }",
        "to: [{ pool: new, weight: 50 }, { pool: old, weight: 4 }], canary: { pool: new, every: 1m }",
        "to: [{ pool: old }, { pool: new }], by: path, canary: { every: 1s, step: 50%, on_abort: 30% }",
    ] {
        let next = split(text, &mut kept);
        next.take_over(now);
        assert!(next.canary().unwrap().share().is_none(), "{text}");
        let handed = &mut Kept::import(kept.export(now), now);
        assert!(split(text, handed).canary().unwrap().share().is_none(), "{text}");
    }
}

#[test]
fn users_only_move_to_a_canary_that_grows_and_only_from_one_that_is_taken_back() {
    let split = fresh(&format!("{NINE_TO_ONE}, by: {{ header: X-User }}, canary: {{}}"));
    let mut random = Random::with_seed(1);
    let mut sides = || -> Vec<usize> {
        (0..2000).map(|number| choose(&split, &user(&format!("user-{number}")), &mut random).side).collect()
    };
    let (canary, now) = (split.canary().unwrap(), Instant::now());
    let before = sides();
    canary.steer(CanaryOrder::Promote, now).unwrap();
    assert!(sides().iter().all(|&side| side == 1));
    canary.steer(CanaryOrder::Restart, now).unwrap();
    assert_eq!(sides(), before);
    canary.steer(CanaryOrder::Abort, now).unwrap();
    assert!(sides().iter().all(|&side| side == 0));
}

#[test]
fn only_pools_that_requests_surely_go_to_are_relied_on() {
    let relied_on = |split: &Split| split.relied_on().map(|PoolRef(index)| index).collect::<Vec<_>>();
    let (now, none): (_, Weight) = (Instant::now(), "0".parse().unwrap());
    let plain = fresh(NINE_TO_ONE);
    assert_eq!(relied_on(&plain), [0, 1]);
    plain.set_weight(1, none).unwrap();
    assert_eq!(relied_on(&plain), [0]);
    let trial = fresh(&format!("{NINE_TO_ONE}, canary: {{ step: 50%, max: 60%, on_abort: 5% }}"));
    let steer = |split: &Split, order| split.canary().unwrap().steer(order, now).unwrap();
    assert_eq!(relied_on(&trial), [0], "it is on trial");
    steer(&trial, CanaryOrder::Promote);
    assert_eq!(relied_on(&trial), [0, 1]);
    steer(&trial, CanaryOrder::Abort);
    assert_eq!(relied_on(&trial), [0, 1], "it keeps a share");
    let whole = fresh(&format!("{NINE_TO_ONE}, canary: {{}}"));
    steer(&whole, CanaryOrder::Promote);
    assert_eq!(relied_on(&whole), [1]);
    steer(&whole, CanaryOrder::Abort);
    assert_eq!(relied_on(&whole), [0]);
}
