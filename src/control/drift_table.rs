use crate::runtime::{Drift, DriftKind, Drifted, FileStanding};

use super::columns::{Column, Row, push_line, write_columns};

const COLUMNS: [Column; 5] = [
    Column::text("WHAT"),
    Column::text("TARGET"),
    Column::text("THE FILE"),
    Column::text("RUNS"),
    Column::text("KEY"),
];

/// The drift for people, in lines of `width` at most.
pub(crate) fn drift_table(drift: &Drift, width: usize) -> String {
    let Drift { generation, file, changes, rest } = drift;
    if drift.is_empty() {
        return "no drift\n".to_owned();
    }
    let mut out = String::new();
    let file = file.as_deref().unwrap_or("the program's text");
    push_line(&format!("{file}, generation {generation} is served"), width, &mut out);
    if !changes.is_empty() {
        write_columns(&COLUMNS, &changes.iter().map(row).collect::<Vec<_>>(), width, &mut out);
    }
    match rest {
        FileStanding::Same => {}
        FileStanding::Another(diff) => {
            push_line("the file says something else, and a reload would change:", width, &mut out);
            diff.to_string().lines().for_each(|line| push_line(&format!("  {line}"), width, &mut out));
        }
        FileStanding::Refused(problems) => {
            push_line("the file would be refused:", width, &mut out);
            problems.lines().for_each(|line| push_line(&format!("  {line}"), width, &mut out));
        }
    }
    out
}

fn row(drifted: &Drifted) -> Row {
    let Drifted { what, target, key, file, runs, can_be_written: _, is_edited } = drifted;
    let file = if *is_edited { format!("{file}, not reloaded") } else { file.clone() };
    let what = match what {
        DriftKind::Endpoint => "endpoint",
        DriftKind::Split => "split",
        DriftKind::Canary => "canary",
        DriftKind::Log => "log",
    };
    Row::from(vec![what.to_owned(), target.clone(), file, runs.clone(), key.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drifted(what: DriftKind, target: &str, file: &str, runs: &str, key: &str) -> Drifted {
        let [target, key, file, runs] = [target, key, file, runs].map(str::to_owned);
        let can_be_written = what != DriftKind::Canary;
        Drifted { what, target, key, file, runs, can_be_written, is_edited: what == DriftKind::Split }
    }

    #[test]
    fn what_differs_is_told_with_its_place() {
        let drift = Drift {
            generation: 3,
            file: Some("edge.yaml".to_owned()),
            changes: vec![
                drifted(
                    DriftKind::Endpoint,
                    "app/10.0.0.1:80",
                    "weight 3",
                    "drained",
                    "pools.app.endpoints[0]",
                ),
                drifted(DriftKind::Split, "web/next", "weight 5", "weight 2", "routes[1].split.to[0]"),
                drifted(DriftKind::Canary, "shop", "begins anew", "paused at 5 %", "routes[0].split.canary"),
            ],
            rest: FileStanding::Refused("edge.yaml:1:1: it is empty\n".to_owned()),
        };
        assert_eq!(
            drift_table(&drift, 200),
            "edge.yaml, generation 3 is served
  WHAT      TARGET           THE FILE                RUNS           KEY
  endpoint  app/10.0.0.1:80  weight 3                drained        pools.app.endpoints[0]
  split     web/next         weight 5, not reloaded  weight 2       routes[1].split.to[0]
  canary    shop             begins anew             paused at 5 %  routes[0].split.canary
the file would be refused:
  edge.yaml:1:1: it is empty
"
        );
        assert!(drift_table(&drift, 40).lines().all(|line| line.chars().count() <= 40));
        let none = Drift { changes: Vec::new(), rest: FileStanding::Same, ..drift };
        assert_eq!(drift_table(&none, 80), "no drift\n");
    }
}
