//! Who has changed what, through whatever door.

mod actor;
mod denials;
mod entry;
mod recent;

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::{AUDIT_TARGET, AuditFile, LineCounts};

use denials::Denials;
use recent::Recent;

pub(crate) use actor::Actor;
#[cfg(test)]
pub(crate) use entry::DeedResult;
pub(crate) use entry::{AuditEntry, Deed, What};

/// What operators have changed since the start, and what others were not let do. Nothing of it holds a token.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    recent: Recent,
    denials: Denials,
    file: Option<AuditFile>,
    /// The file before this one, which gets everything up to the change that took its place.
    leaving: Option<AuditFile>,
}

/// A file in the place of another, or none, that gets no entries yet.
#[derive(Debug)]
pub(crate) struct NewFile(Option<AuditFile>);

impl Audit {
    /// One that writes to this file, too.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let audit = Self::default();
        audit.prepare(path)?.into_iter().for_each(|file| audit.adopt(file));
        Ok(audit)
    }

    /// Opens what entries are to be written to, if that is another file than now.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn prepare(&self, path: Option<&Path>) -> io::Result<Option<NewFile>> {
        if self.written.lock().file.as_ref().map(AuditFile::path) == path {
            return Ok(None);
        }
        Ok(Some(NewFile(path.map(AuditFile::open).transpose()?)))
    }

    /// Has entries from now on written there. Those up to the next change of the configuration, which this is a part of, are
    /// written to the former file, too: whoever reads that sees where it ends, and why.
    pub(crate) fn adopt(&self, NewFile(file): NewFile) {
        let mut written = self.written.lock();
        written.leaving = std::mem::replace(&mut written.file, file);
    }

    /// Notes what somebody has done, or was not let do. Of the latter no more than some each minute: strangers can have as
    /// many as they like.
    pub(crate) fn record(&self, by: &Actor, deed: Deed, now: Instant) {
        let mut written = self.written.lock();
        if deed.is_denied() {
            let Some(left_out) = written.denials.admit(now) else { return };
            if left_out > 0 {
                let more = Deed::denied(format!("{left_out} more requests were denied, and are not listed"));
                written.note(AuditEntry::new(&Actor::unlisted(), more, SystemTime::now()));
            }
        }
        written.note(AuditEntry::new(by, deed, SystemTime::now()));
    }

    /// The last entries, the oldest first.
    pub(crate) fn recent(&self) -> Vec<AuditEntry> {
        self.written.lock().recent.entries()
    }

    /// Goes on after the entries of the process before this one, which has written them already.
    pub(crate) fn go_on(&self, earlier: Vec<AuditEntry>) {
        self.written.lock().recent.go_on(earlier);
    }

    /// What became of the lines of the file, if there is one.
    pub(crate) fn line_counts(&self) -> Option<LineCounts> {
        self.written.lock().file.as_ref().map(AuditFile::counts)
    }

    /// Has the file opened again, by its path.
    pub(crate) fn reopen(&self) {
        self.written.lock().file.iter().for_each(AuditFile::reopen);
    }

    /// Waits until every entry so far is written, at most `limit`. Blocks its thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        self.written.lock().file.iter().for_each(|file| file.settle(limit));
    }
}

impl Written {
    fn note(&mut self, entry: AuditEntry) {
        let level = if entry.is_denied() { log::Level::Warn } else { log::Level::Info };
        log::log!(target: AUDIT_TARGET, level, "{entry}");
        for file in self.file.iter().chain(&self.leaving) {
            file.write(entry.to_line());
        }
        if entry.is_of_another_configuration() {
            self.leaving = None;
        }
        self.recent.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(number: usize) -> Deed {
        Deed::done(What::Weight, true).to("app/127.0.0.1:1").from(number).until(number + 1)
    }

    #[test]
    fn every_entry_is_a_line_of_the_file_and_the_last_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::open(Some(&path)).unwrap();
        let now = Instant::now();
        (0..250).for_each(|number| audit.record(&Actor::user(7), deed(number), now));
        let refused = Deed::refused(What::Drain, "no such pool\n  help: none").to("x/y\n");
        audit.record(&Actor::user(7), refused, now);
        audit.settle(Duration::from_secs(20));
        let lines = std::fs::read_to_string(&path).unwrap();
        let entries: Vec<AuditEntry> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(entries.len(), 251);
        assert_eq!(audit.recent(), entries[51..]);
        let last = entries.last().unwrap();
        assert_eq!((&*last.who, &*last.from), ("uid 7", "control socket"));
        assert_eq!((last.what, last.result), (What::Drain, DeedResult::Refused));
        assert_eq!((last.reason.as_deref(), last.target.as_deref()), (Some("no such pool"), Some("x/y\n")));
        let text = last.to_string();
        assert!(
            !text.contains('\n') && text.starts_with("what=drain result=refused who=\"uid 7\""),
            "{text}"
        );
    }

    #[test]
    fn what_is_denied_fills_no_disk() {
        let (audit, now) = (Audit::default(), Instant::now());
        let denied = |at| audit.record(&Actor::nobody(None), Deed::denied("no token").to("POST /v1/x"), at);
        (0..100).for_each(|_| denied(now));
        assert_eq!(audit.recent().len(), 30);
        // What operators do is noted all the same.
        audit.record(&Actor::user(0), deed(1), now);
        assert_eq!(audit.recent().len(), 31);
        denied(now + Duration::from_secs(60));
        let told: Vec<_> = audit.recent().into_iter().skip(31).map(|entry| entry.reason.unwrap()).collect();
        assert_eq!(told, ["70 more requests were denied, and are not listed", "no token"]);
    }

    #[test]
    fn whoever_is_denied_pushes_no_change_out() {
        let (audit, mut now) = (Audit::default(), Instant::now());
        audit.record(&Actor::user(7), deed(0), now);
        for _ in 0..300 {
            audit.record(&Actor::nobody(None), Deed::denied("no token"), now);
            now += Duration::from_secs(2);
        }
        audit.record(&Actor::user(7), deed(1), now);
        audit.record(&Actor::nobody(None), Deed::denied("no token"), now);
        let told = audit.recent();
        assert_eq!(told.len(), 52);
        let changes: Vec<_> = told.iter().map(|entry| entry.what == What::Weight).collect();
        let places: Vec<_> = (0..52).filter(|place| changes[*place]).collect();
        assert_eq!(places, [0, 50], "in the order in which they came");
        let next = Audit::default();
        next.record(&Actor::user(8), deed(2), now);
        next.go_on(told.clone());
        assert_eq!(next.recent()[..52], told);
        assert_eq!(next.recent()[52].who, "uid 8");
    }

    #[test]
    fn the_file_before_tells_why_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one.log", "other.log"].map(|name| folder.path().join(name));
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
        let (by, now) = (Actor::user(0), Instant::now());
        let reload = || Deed::done(What::Reload, true);
        let audit = Audit::open(Some(&one)).unwrap();
        for path in [Some(&*other), None, Some(&*one)] {
            audit.prepare(path).unwrap().into_iter().for_each(|file| audit.adopt(file));
            audit.record(&by, deed(0), now);
            audit.record(&by, reload(), now);
            audit.record(&by, deed(1), now);
        }
        audit.settle(Duration::from_secs(20));
        let until = Instant::now() + Duration::from_secs(20);
        // Those that are left are written when their threads come to it.
        while (lines(&one), lines(&other)) != (5, 5) && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!((lines(&one), lines(&other)), (5, 5));
        let told = std::fs::read_to_string(&one).unwrap();
        assert_eq!(told.matches("\"what\":\"reload\"").count(), 2, "{told}");
    }

    #[test]
    fn texts_that_others_choose_are_cut() {
        let audit = Audit::default();
        audit.record(&Actor::user(0), deed(0).to("x".repeat(100_000)), Instant::now());
        assert_eq!(audit.recent()[0].target.as_ref().unwrap().len(), 300);
    }

    #[test]
    fn a_file_that_cannot_be_had_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::open(Some(&path)).unwrap();
        assert!(audit.prepare(Some(Path::new("/nonexistent/audit.log"))).is_err());
        audit.record(&Actor::user(0), deed(0), Instant::now());
        audit.settle(Duration::from_secs(20));
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"what\":\"weight\""));
    }
}
