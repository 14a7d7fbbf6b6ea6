mod patch;
mod write;

use clap::Args;

use crate::app::AppBuilder;
use crate::control::{Command, Reply, drift_table};
use crate::runtime::{self, Draft, FileStanding};

use super::output::{fail, print, print_exactly, print_json, print_line, tell, width};
use super::process::Process;
use super::{refused, unexpected};

use patch::Patch;

/// The exit codes of diff(1).
const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct Drift {
    #[command(flatten)]
    process: Process,
    /// Print what would have to change in the file, and those that it includes, so that they say what runs: a unified diff,
    /// relative to the folder of the file or to the one that it names, for `patch -p1` or `git apply`. Comments and layout
    /// stay.
    #[arg(long, conflicts_with = "json")]
    patch: bool,
    /// Change the file, and those that it includes, and have the process read them, which changes nothing that runs. Nothing is
    /// changed unless the result is a sound configuration.
    #[arg(long, conflicts_with_all = ["json", "patch"])]
    write: bool,
    /// Change it also where it says something else than what is served, as after a rollback or an edit that was not reloaded,
    /// which is lost then.
    #[arg(long, requires = "write")]
    overwrite: bool,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// What a patch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// To be looked at.
    Print,
    /// To be made, without a loss.
    Write,
    /// To be made, whatever is lost.
    Overwrite,
}

impl Drift {
    pub(super) fn run(self, builder: &AppBuilder) -> Result<(), u8> {
        let wants_draft = self.patch || self.write;
        let reply = self.process.ask(&Command::Drift { draft: wants_draft }, |_| ()).map_err(|_| TROUBLE)?;
        let Reply::Drift { drift, draft } = reply else {
            unexpected();
            return Err(TROUBLE);
        };
        match draft {
            Some(draft) if wants_draft => self.settle(builder, &drift, &draft),
            _ => {
                if self.json { print_json(&drift) } else { print(drift_table(&drift, width())) }
                    .map_err(|_| TROUBLE)?;
                if drift.is_empty() { Ok(()) } else { Err(DIFFERENT) }
            }
        }
    }

    /// Prints a patch, or makes the change.
    fn settle(&self, builder: &AppBuilder, drift: &runtime::Drift, draft: &Draft) -> Result<(), u8> {
        if drift.file.is_none() {
            fail("the configuration is no file, but a text of the program that runs it");
            return Err(TROUBLE);
        }
        let to = match (self.patch, self.overwrite) {
            (true, _) => Use::Print,
            (false, true) => Use::Overwrite,
            (false, false) => Use::Write,
        };
        if to == Use::Write && drift.rest != FileStanding::Same {
            fail(
                "the file says something else than what is served, which would be lost\n  help: `evener drift` tells what; \
                 `evener reload` serves it, and `--overwrite` gives it up",
            );
            return Err(TROUBLE);
        }
        let patch = Patch::make(builder, drift, draft, to)?;
        patch.notes().for_each(|note| tell(format_args!("evener: {note}\n")));
        if self.patch {
            if let Some(root) = patch.other_root() {
                let root = root.display();
                tell(format_args!(
                    "evener: not all files are in the folder; apply it with `patch -p1 -d {root}`\n"
                ));
            }
            // Files are changed by it.
            print_exactly(patch.unified()).map_err(|_| TROUBLE)?;
            return if drift.is_empty() { Ok(()) } else { Err(DIFFERENT) };
        }
        let written = patch.write().map_err(|error| (fail(error), TROUBLE).1)?;
        for file in &written {
            print_line(format_args!("{} is changed", file.display())).map_err(|_| TROUBLE)?;
        }
        if !written.is_empty() && !patch.leaves_edits() {
            self.have_it_read()?;
        }
        if patch.left().is_empty() { Ok(()) } else { Err(DIFFERENT) }
    }

    /// Or else what was written would be somebody's edit by the next time, which a reload would serve.
    fn have_it_read(&self) -> Result<(), u8> {
        match self.process.ask(&Command::Written {}, |_| ()) {
            Ok(Reply::Changed(report)) => {
                tell(&report.warnings);
                return match report.is_empty() {
                    true => Ok(()),
                    false => print_line(format_args!("generation {} is served", report.generation)),
                };
            }
            Ok(Reply::Refused(problems)) => _ = refused(&problems),
            Ok(_) => _ = unexpected(),
            Err(_) => {}
        }
        tell(
            "evener: the file is written, and the process has not read it\n  help: `evener drift` tells in what they differ by \
             now; `evener reload` serves what the file says\n",
        );
        Err(DIFFERENT)
    }
}
