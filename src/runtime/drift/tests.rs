use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::write_weights;
use crate::runtime::{Actor, Assembled, Control, Live, Registry, Unchanging, assemble, assemble_again};
use crate::split::CanaryOrder;

/// A process of which nothing runs, and its files.
struct Site {
    folder: TempDir,
    served: Assembled,
}

const MAIN: &str = "# the edge
include: conf.d/*.yaml
listeners: { web: { bind: 127.0.0.1:0 } }
pools:
  app:
    endpoints:
      - 10.0.0.1:80 # the first
      - { address: 10.0.0.2:80, weight: 3 }
      - address: unix:run/a.sock
        weight: 0
routes:
  - pool: app
";
const MORE: &str = "pools: { next: { endpoints: [10.0.0.1:80, \"[::1]:80\"] } }
routes:
  - name: shop
    match: { path: /shop }
    split: { to: [{ pool: app, weight: 95 }, { pool: next }] }
";

impl Site {
    fn new(main: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        fs::write(folder.path().join("edge.yaml"), main).unwrap();
        fs::write(folder.path().join("conf.d/more.yaml"), more).unwrap();
        let origin = Origin::File(folder.path().join("edge.yaml"));
        let served = assemble(&origin, &Registry::with_built_ins(), None).unwrap();
        Self { folder, served }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self) -> Origin {
        Origin::File(self.path("edge.yaml"))
    }

    fn control(&self) -> Control {
        Control::new(Arc::new(Live::new(self.served.snapshot.clone())), Arc::new(Unchanging::default()))
    }

    fn weigh(&self, target: &str, weight: u16) {
        let weight = weight.to_string().parse().unwrap();
        self.control().set_weight(&target.parse().unwrap(), weight, &Actor::user(0), Instant::now()).unwrap();
    }

    fn drift(&self) -> (Drift, Draft) {
        self.drift_at(None)
    }

    /// With this level of messages.
    fn drift_at(&self, log_level: Option<LogLevel>) -> (Drift, Draft) {
        let (served, file) = (&self.served.origin, &self.file());
        let process = Compared { snapshot: &self.served.snapshot, generation: 1, log_level, served, file };
        Drift::of(&process, Instant::now()).unwrap()
    }

    fn changes(&self) -> Vec<String> {
        let told = |Drifted { target, file, runs, .. }: &Drifted| format!("{target}: {file} -> {runs}");
        self.drift().0.changes.iter().map(told).collect()
    }

    /// Has the files say what the draft says.
    fn write(&self, draft: &Draft) {
        let source = draft.texts.read().and_then(Loaded::sound).unwrap().source;
        let edited = write_weights(&source, &draft.weights);
        assert_eq!(edited.left, []);
        let Origin::Text { name, text, included, .. } = draft.texts.edited(&edited) else { panic!("a text") };
        fs::write(name, text).unwrap();
        included.unwrap().into_iter().for_each(|included| fs::write(included.file, included.text).unwrap());
    }

    fn reload(&mut self) {
        self.serve(assemble(&self.file(), &Registry::with_built_ins(), Some(&self.served)).unwrap());
    }

    fn serve(&mut self, next: Assembled) {
        next.snapshot.take_over(Instant::now());
        self.served = next;
    }
}

#[test]
fn what_was_changed_by_command_is_told_and_can_be_written() {
    let mut site = Site::new(MAIN, MORE);
    assert!(site.drift().0.is_empty());
    let unix = format!("app/unix:{}", site.path("run/a.sock").display());
    site.control().drain(&"app/10.0.0.2:80".parse().unwrap(), &Actor::user(0), Instant::now()).unwrap();
    site.control().undo_drain(&unix.parse().unwrap(), &Actor::user(0), Instant::now()).unwrap();
    site.weigh("next/[::1]:80", 7);
    site.weigh("shop/next", 5);
    let told = [
        "app/10.0.0.2:80: weight 3 -> drained".to_owned(),
        format!("{unix}: weight 0 -> weight 1"),
        "next/[::1]:80: weight 1 -> weight 7".to_owned(),
        "shop/next: weight 1 -> weight 5".to_owned(),
    ];
    assert_eq!(site.changes(), told);
    let (drift, draft) = site.drift();
    let keys: Vec<_> = drift.changes.iter().map(|change| &*change.key).collect();
    assert_eq!(keys[0], "pools.app.endpoints[1]");
    assert_eq!(keys[3], "routes[1].split.to[1]");
    site.write(&draft);
    let main = MAIN
        .replace("10.0.0.2:80, weight: 3", "10.0.0.2:80, weight: 0")
        .replace("weight: 0\nroutes", "weight: 1\nroutes");
    assert_eq!(fs::read_to_string(site.path("edge.yaml")).unwrap(), main);
    let more = MORE
        .replace("\"[::1]:80\"", "{ address: \"[::1]:80\", weight: 7 }")
        .replace("{ pool: next }", "{ pool: next, weight: 5 }");
    assert_eq!(fs::read_to_string(site.path("conf.d/more.yaml")).unwrap(), more);
    // The file says it, though it was not reloaded; and a reload changes nothing of it.
    assert!(site.drift().0.is_empty(), "{:?}", site.drift().0);
    site.reload();
    assert!(site.drift().0.is_empty(), "{:?}", site.drift().0);
}

#[test]
fn a_reload_of_the_same_file_reverts_nothing() {
    let mut site = Site::new(MAIN, MORE);
    site.weigh("app/10.0.0.1:80", 9);
    site.weigh("shop/next", 50);
    let before = site.changes();
    assert_eq!(before.len(), 2);
    site.reload();
    assert_eq!(site.changes(), before);
    // Neither does one that changes something else of the pool.
    fs::write(site.path("edge.yaml"), MAIN.replace("    endpoints:", "    slow_start: 2s\n    endpoints:"))
        .unwrap();
    assert_eq!(site.changes(), before);
    site.reload();
    assert_eq!(site.changes(), before);
}

#[test]
fn a_file_that_was_edited_says_something_else() {
    let site = Site::new(MAIN, MORE);
    site.weigh("app/10.0.0.1:80", 9);
    fs::write(
        site.path("edge.yaml"),
        MAIN.replace("weight: 3", "weight: 4").replace("# the edge", "# an edge"),
    )
    .unwrap();
    let told = ["app/10.0.0.1:80: weight 1 -> weight 9", "app/10.0.0.2:80: weight 4 -> weight 3"];
    assert_eq!(site.changes(), told);
    assert_eq!(site.drift().0.rest, FileStanding::Same);
    let edited: Vec<_> = site.drift().0.changes.iter().map(|change| change.is_edited).collect();
    assert_eq!(edited, [false, true], "an operator has changed the one, and somebody the file the other");
    // Whatever else was edited stays.
    site.write(&site.drift().1);
    assert!(fs::read_to_string(site.path("edge.yaml")).unwrap().starts_with("# an edge\n"));
    assert!(site.drift().0.is_empty());

    fs::write(site.path("edge.yaml"), MAIN.replace("    endpoints:", "    panic: 10%\n    endpoints:"))
        .unwrap();
    let (drift, draft) = site.drift();
    let FileStanding::Another(diff) = &drift.rest else { panic!("{drift:?}") };
    assert_eq!(diff.to_string(), "~ pools.app: panic: 50% -> 10%\n");
    site.write(&draft);
    assert!(site.drift().0.is_empty());
    let main = MAIN.replace("- 10.0.0.1:80", "- { address: 10.0.0.1:80, weight: 9 }");
    assert_eq!(fs::read_to_string(site.path("edge.yaml")).unwrap(), main);

    fs::write(site.path("edge.yaml"), "listeners: {}\n").unwrap();
    let FileStanding::Refused(problems) = site.drift().0.rest else { panic!("it is refused") };
    assert!(problems.contains("edge.yaml:"), "{problems}");
    fs::remove_file(site.path("edge.yaml")).unwrap();
    let (drift, draft) = site.drift();
    assert!(matches!(drift.rest, FileStanding::Refused(_)));
    site.write(&draft);
    assert!(site.drift().0.is_empty());
}

#[test]
fn a_secret_that_cannot_be_read_any_more_hides_nothing_else() {
    let mut site = Site::new(MAIN, MORE);
    fs::write(site.path("debug.secret"), "0123456789abcdef").unwrap();
    let main = format!("{MAIN}server: {{ debug_secret: {{ file: debug.secret }} }}\n");
    fs::write(site.path("edge.yaml"), &main).unwrap();
    site.reload();
    site.weigh("app/10.0.0.1:80", 9);
    fs::remove_file(site.path("debug.secret")).unwrap();
    let told = ["app/10.0.0.1:80: weight 1 -> weight 9"];
    assert_eq!(site.changes(), told);
    let (drift, draft) = site.drift();
    let FileStanding::Refused(problems) = &drift.rest else { panic!("{drift:?}") };
    assert!(problems.contains("debug.secret"), "{problems}");
    assert_eq!(draft.weights.len(), 1);
    let FileStanding::Refused(problems) = drift.redacted().rest else { panic!("it is refused") };
    assert!(!problems.contains("debug.secret"), "{problems}");

    fs::write(site.path("edge.yaml"), MAIN).unwrap();
    assert_eq!(site.changes(), told);
    let FileStanding::Another(diff) = site.drift().0.rest else { panic!("it is another") };
    assert!(diff.to_string().contains("debug_secret"), "{diff}");
}

#[test]
fn after_a_rollback_the_file_says_what_was_served_before() {
    let mut site = Site::new(MAIN, MORE);
    let first = site.served.origin.clone();
    fs::write(site.path("conf.d/more.yaml"), MORE.replace("10.0.0.1:80, ", "")).unwrap();
    site.reload();
    assert!(site.drift().0.is_empty());
    site.serve(assemble_again(&first, &Registry::with_built_ins(), &site.served).unwrap());
    let (drift, draft) = site.drift();
    let FileStanding::Another(diff) = &drift.rest else { panic!("{drift:?}") };
    assert_eq!(diff.to_string(), "~ pools.next: endpoints: - 10.0.0.1:80\n");
    site.write(&draft);
    assert_eq!(fs::read_to_string(site.path("conf.d/more.yaml")).unwrap(), MORE);
    assert!(site.drift().0.is_empty());
}

#[test]
fn endpoints_are_found_by_their_address_wherever_they_stand() {
    let mut site = Site::new(MAIN, MORE);
    site.weigh("app/10.0.0.1:80", 9);
    let moved = MAIN
        .replace("      - 10.0.0.1:80 # the first\n", "")
        .replace("routes:", "      - 10.0.0.1:80\nroutes:");
    fs::write(site.path("edge.yaml"), &moved).unwrap();
    let (drift, draft) = site.drift();
    assert_eq!((drift.rest.clone(), &*drift.changes[0].key), (FileStanding::Same, "pools.app.endpoints[2]"));
    site.write(&draft);
    assert!(site.drift().0.is_empty());
    site.reload();
    assert!(site.drift().0.is_empty());
}

#[test]
fn canaries_are_told_and_no_file_says_how_far_they_are() {
    let more = MORE.replace("{ pool: next }]", "{ pool: next, weight: 5 }], canary: {}");
    let site = Site::new(MAIN, &more);
    assert_eq!(site.changes(), Vec::<String>::new());
    site.control().canary("shop", Some(CanaryOrder::Pause), &Actor::user(0), Instant::now()).unwrap();
    assert_eq!(site.changes(), ["shop: begins anew -> paused at 5 %"]);
    site.control().canary("shop", Some(CanaryOrder::Promote), &Actor::user(0), Instant::now()).unwrap();
    let (drift, draft) = site.drift();
    assert_eq!(
        (&*drift.changes[0].runs, &*drift.changes[0].key),
        ("promoted at 100 %", "routes[1].split.canary")
    );
    assert!(!drift.changes[0].can_be_written && draft.weights.is_empty());
}

#[test]
fn a_level_of_messages_that_the_file_does_not_have_is_told() {
    let site = Site::new(MAIN, MORE);
    assert!(site.drift_at(Some(LogLevel::Info)).0.is_empty());
    let (drift, draft) = site.drift_at(Some(LogLevel::Debug));
    assert_eq!((&*drift.changes[0].file, &*drift.changes[0].runs), ("info", "debug"));
    assert!(!drift.changes[0].can_be_written && draft.weights.is_empty());
}

const TARGETS: [&str; 6] =
    ["app/10.0.0.1:80", "app/10.0.0.2:80", "next/10.0.0.1:80", "next/[::1]:80", "shop/app", "shop/next"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_is_what_runs(orders in prop::collection::vec((0..TARGETS.len(), 0..5_u8, 0..1000_u16), 0..12)) {
        let mut site = Site::new(MAIN, MORE);
        for (index, order, weight) in orders {
            let (target, now) = (TARGETS[index].parse().unwrap(), Instant::now());
            let (control, by) = (site.control(), Actor::user(0));
            match order {
                0 if index < 4 => drop(control.drain(&target, &by, now)),
                1 if index < 4 => drop(control.undo_drain(&target, &by, now)),
                2 => site.reload(),
                3 => site.write(&site.drift().1),
                // The last weight of a split is kept.
                _ => drop(control.set_weight(&target, weight.to_string().parse().unwrap(), &by, now)),
            }
        }
        let runs = |site: &Site| running(&site.served.snapshot).into_iter().map(|one| (one.of, one.weight)).collect::<Vec<_>>();
        let before = runs(&site);
        site.write(&site.drift().1);
        prop_assert!(site.drift().0.is_empty());
        site.reload();
        prop_assert!(site.drift().0.is_empty());
        prop_assert_eq!(runs(&site), before.clone());
        let fresh = assemble(&site.file(), &Registry::with_built_ins(), None).unwrap();
        prop_assert_eq!(running(&fresh.snapshot).into_iter().map(|one| (one.of, one.weight)).collect::<Vec<_>>(), before);
    }
}
