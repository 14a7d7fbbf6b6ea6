use evener::app::{App, AppBuilder};
use evener::hooks::testing::{self, Fleet};
use evener::types::Random;
use tokio::time::Instant;

use crate::support::{Edge, Endpoint};

use super::custom_policy::{StickyPath, StickySettings};
use super::refusal;

fn builder() -> AppBuilder {
    App::builder().policy("sticky_path", StickyPath::build)
}

fn sticky(bound: f64, fleet: &Fleet) -> StickyPath {
    testing::build(StickySettings { bound }, StickyPath::build).unwrap()(fleet.members())
}

#[tokio::test]
async fn a_path_stays_with_its_endpoint() {
    let (one, two, three) =
        (Endpoint::answering("1").await, Endpoint::answering("2").await, Endpoint::answering("3").await);
    let edge = Edge::start_with(
        builder(),
        &format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
             pools: {{ app: {{ balance: sticky_path, endpoints: [{}, {}, {}] }} }}\n\
             routes: [{{ pool: app }}]",
            one.address(),
            two.address(),
            three.address()
        ),
    )
    .await;
    let mut used = std::collections::HashSet::new();
    for path in 0..30 {
        let path = format!("/{path}");
        let first = edge.get(&path).await.text().to_owned();
        for _ in 0..3 {
            assert_eq!(edge.get(&path).await.text(), first);
        }
        used.insert(first);
    }
    assert_eq!(used.len(), 3);
}

#[test]
fn paths_spread_by_weight_and_the_same_in_every_process() {
    let (fleet, other) = (Fleet::new(&[1, 1, 2]), Fleet::new(&[1, 1, 2]));
    let (here, there) = (sticky(10.0, &fleet), sticky(10.0, &other));
    let mut counts = [0; 3];
    for path in 0..4000 {
        let path = format!("/{path}");
        let picked = fleet.pick_for(&path, &here, Instant::now(), &mut Random::with_seed(1));
        assert_eq!(other.pick_for(&path, &there, Instant::now(), &mut Random::with_seed(2)), picked);
        counts[picked] += 1;
    }
    // The mean is 1000, and six standard deviations are 165.
    assert!(counts[..2].iter().all(|count| (835..=1165).contains(count)), "{counts:?}");
}

#[test]
fn an_endpoint_that_has_its_share_gets_no_more() {
    let fleet = Fleet::new(&[1, 1, 1]);
    let policy = sticky(1.0, &fleet);
    let mut counts = [0; 3];
    for _ in 0..300 {
        let picked = fleet.pick_for("/hot", &policy, Instant::now(), &mut Random::with_seed(1));
        fleet.begin(picked, Instant::now());
        counts[picked] += 1;
    }
    assert_eq!(counts, [100; 3]);
}

#[test]
fn bad_settings_are_told_with_their_place() {
    let refusal = |balance: &str| {
        let config = format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
             pools:\n  app:\n    balance: {balance}\n    endpoints: [127.0.0.1:1, 127.0.0.1:2]\n\
             routes: [{{ pool: app }}]\n"
        );
        refusal(&builder(), &config)
    };
    assert_eq!(
        refusal("{ sticky_path: { bound: 0.5 } }"),
        "edge.yaml:4:38: pools.app.balance.sticky_path.bound: a bound of 0.5; 1 to 10 is allowed\n  \
           help: 1.25 lets an endpoint have a quarter more than its share\n"
    );
    assert_eq!(
        refusal("{ sticky_path: { limit: 2 } }"),
        "edge.yaml:4:31: pools.app.balance.sticky_path.limit: unknown key `limit`\n  help: allowed: bound\n"
    );
    assert_eq!(
        refusal("sticky_paths"),
        "edge.yaml:4:14: pools.app.balance.sticky_paths: unknown policy `sticky_paths`\n  help: did you mean `sticky_path`?\n"
    );
}
