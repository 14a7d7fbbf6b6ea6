use std::path::{Path, PathBuf};

use crate::hooks::{BuildCx, BuildError};

use super::engine::Source;
use super::{WafMode, WafSettings};

/// What the engine reads, and which key of the settings each piece comes of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) sources: Vec<Source>,
    /// The place in `rules` that a piece stands at; none for Evener's own.
    places: Vec<Option<usize>>,
    is_list: bool,
}

const BASE: &str = include_str!("base.conf");
/// Where Debian's package `modsecurity-crs` has its files. `REQUEST-900` and `RESPONSE-999` are for changes of the machine's own.
const CRS_SETUP: &str = "/etc/modsecurity/crs/crs-setup.conf";
const CRS_BEFORE: &str = "/etc/modsecurity/crs/REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf";
const CRS_RULES: &str = "/usr/share/modsecurity-crs/rules";
const CRS_AFTER: &str = "/etc/modsecurity/crs/RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf";
/// The rule by which the Core Rule Set remembers clients, by whatever they call themselves: without a bound.
const CRS_CLIENTS: u32 = 901_321;

impl Sources {
    /// Lists what the settings ask for.
    ///
    /// # Errors
    /// When a file is not there.
    pub(super) fn of(settings: &WafSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let is_list = settings.rules.as_slice().len() > 1;
        let mut all = Self { sources: Vec::new(), places: Vec::new(), is_list };
        all.add(None, Source::Text(base(settings.mode)));
        all.add(None, Source::Text(scoring(settings)));
        for (place, path) in settings.rules.as_slice().iter().enumerate() {
            let added = if path == Path::new("crs") {
                all.add_crs(place, settings)
            } else {
                all.add_file(place, cx.path(path))
            };
            added.map_err(|error| all.blame(Some(place), error))?;
        }
        all.add(None, Source::Text(closing(settings)));
        Ok(all)
    }

    /// An error of the piece of that number, at the key that it comes of.
    pub(super) fn error_in(&self, source: usize, problem: &str) -> BuildError {
        let place = self.places.get(source).copied().flatten();
        self.blame(place, BuildError::new(problem.trim_end()))
    }

    fn blame(&self, place: Option<usize>, error: BuildError) -> BuildError {
        match place.filter(|_| self.is_list) {
            Some(place) => error.at(place).at("rules"),
            None => error.at("rules"),
        }
    }

    fn add(&mut self, place: Option<usize>, source: Source) {
        self.sources.push(source);
        self.places.push(place);
    }

    fn add_file(&mut self, place: usize, path: PathBuf) -> Result<(), BuildError> {
        // The engine says of such a file only that it failed.
        if let Err(error) = std::fs::File::open(&path) {
            return Err(BuildError::new(format!("`{}`: {error}", path.display())));
        }
        self.add(Some(place), Source::File(path));
        Ok(())
    }

    fn add_crs(&mut self, place: usize, settings: &WafSettings) -> Result<(), BuildError> {
        let rules = rule_files(Path::new(CRS_RULES)).unwrap_or_default();
        if rules.is_empty() || !Path::new(CRS_SETUP).exists() {
            let error = BuildError::new(format!("there is no OWASP Core Rule Set in {CRS_RULES}"));
            return Err(error.with_help("apt-get install modsecurity-crs, or write the files of rules"));
        }
        self.add_file(place, CRS_SETUP.into())?;
        // Again, since the setup may say otherwise.
        self.add(None, Source::Text(scoring(settings).replace("id:99910", "id:99911")));
        let before = Some(PathBuf::from(CRS_BEFORE)).filter(|path| path.exists());
        let after = Some(PathBuf::from(CRS_AFTER)).filter(|path| path.exists());
        for path in before.into_iter().chain(rules).chain(after) {
            self.add_file(place, path)?;
        }
        self.add(None, Source::Text(format!("SecRuleRemoveById {CRS_CLIENTS}")));
        Ok(())
    }
}

/// What no file may change.
fn base(mode: WafMode) -> String {
    let engine = match mode {
        WafMode::Block => "On",
        WafMode::Detect => "DetectionOnly",
    };
    format!("SecRuleEngine {engine}\n{BASE}")
}

/// Tells the Core Rule Set, 3 or 4, from which score on it refuses, and how strict it is.
fn scoring(settings: &WafSettings) -> String {
    let WafSettings { threshold, paranoia, .. } = settings;
    format!(
        "SecAction \"id:99910,phase:1,nolog,pass,t:none,setvar:tx.inbound_anomaly_score_threshold={threshold},\
         setvar:tx.paranoia_level={paranoia},setvar:tx.blocking_paranoia_level={paranoia}\""
    )
}

/// What is left out, and what is told of the score in the end.
fn closing(settings: &WafSettings) -> String {
    let mut text = "SecAction \"id:99919,phase:2,pass,log,t:none,\
         msg:'anomaly score %{tx.anomaly_score}%{tx.blocking_inbound_anomaly_score}'\"\n"
        .to_owned();
    for rule in &settings.exclude {
        text += &rule.directive();
        text.push('\n');
    }
    text
}

/// The files of rules in a folder, in the order of their names, which have numbers for that.
fn rule_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths = folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_rules = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "conf");
    let mut files: Vec<_> = paths.into_iter().filter(is_rules).collect();
    files.sort();
    Ok(files)
}
