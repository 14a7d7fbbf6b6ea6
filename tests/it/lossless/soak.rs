//! Clients of every kind while the configuration changes, and while processes take over from each other. Takes a few
//! seconds; `make soak` makes many times as many changes.

use std::time::Duration;

use crate::support::eventually;

use super::clients::{Clients, Finished};
use super::measure::Held;
use super::site::Site;
use super::variations::Variation;

/// What no client may notice.
const GAP: Duration = Duration::from_millis(50);
/// How much more memory the last processes may hold than earlier ones, in KiB.
const SLACK: u64 = 8 * 1024;

/// What is asked for.
struct Extent {
    reloads: usize,
    upgrades: usize,
    reloads_between: usize,
    /// The upgrades before the first process that holds what the last one may hold.
    settling: usize,
    /// Whether there is enough of everything for figures to mean something.
    is_long: bool,
}

fn extent() -> Extent {
    match std::env::var_os("EVENER_SOAK") {
        Some(_) => Extent { reloads: 200, upgrades: 10, reloads_between: 20, settling: 2, is_long: true },
        None => Extent { reloads: 20, upgrades: 2, reloads_between: 4, settling: 0, is_long: false },
    }
}

/// Reloads so many configurations, each while all clients are at work.
async fn reload(site: &mut Site, clients: &Clients, times: usize) {
    for _ in 0..times {
        let next = site.variations.next();
        site.write(next);
        site.reload().await;
        clients.go_on().await;
    }
}

/// Hands over to another process, and waits for the end of the old one, which comes when its last stream has ended.
async fn upgrade(site: &mut Site, clients: &Clients) {
    let next = site.variations.next();
    site.write(next);
    let old = site.upgrade().await;
    clients.go_on().await;
    clients.move_on();
    eventually("the old process ends", async || !site.processes().contains(&old)).await;
    clients.go_on().await;
}

fn judge(finished: &Finished, extent: &Extent) {
    finished.without_a_loss();
    let gaps = finished.gaps(GAP);
    println!("far longer than without the edge: {gaps:?}");
    assert!(!extent.is_long || gaps.is_empty(), "{gaps:?}");
}

/// What a process holds with this configuration when nobody wants anything of it.
async fn at_rest(site: &mut Site, configuration: &Variation) -> Held {
    site.write(configuration.clone());
    site.reload().await;
    let held = site.at_rest().await;
    println!("{held:?}");
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_over_reloads() {
    let extent = extent();
    let mut site = Site::start("1m").await;
    let (process, first) = (site.serving().await, site.current.clone());
    let clients = site.clients().await;
    reload(&mut site, &clients, extent.reloads).await;
    let finished = clients.finish().await;
    judge(&finished, &extent);
    site.posts_came_once(finished.posts());
    at_rest(&mut site, &first).await;
    assert_eq!(site.processes(), [process]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_over_upgrades_with_reloads_between() {
    let extent = extent();
    let mut site = Site::start("500ms").await;
    let (first, mut posts, mut held) = (site.current.clone(), 0, Vec::new());
    for _ in 0..extent.upgrades {
        let clients = site.clients().await;
        reload(&mut site, &clients, extent.reloads_between).await;
        upgrade(&mut site, &clients).await;
        let finished = clients.finish().await;
        judge(&finished, &extent);
        posts += finished.posts();
        held.push(at_rest(&mut site, &first).await);
    }
    site.posts_came_once(posts);
    let settled = &held[extent.settling..];
    let [earlier, later] = [&settled[..settled.len() / 2], &settled[settled.len() / 2..]].map(Held::least);
    assert!(later.descriptors <= earlier.descriptors, "{held:?}");
    let allowed = if extent.is_long { earlier.memory + SLACK } else { 2 * earlier.memory };
    assert!(later.memory <= allowed, "{held:?}");
}
