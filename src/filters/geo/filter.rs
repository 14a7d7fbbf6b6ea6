use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;
use http::StatusCode;

use crate::config::spec::OneOrMany;
use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Rejection, RequestView, Watched};
use crate::types::{ByteSize, VarName};

use super::database::{Database, Unreadable};
use super::{CountryCode, GeoSettings, OnUnknown, RecordPath};

/// The filter `geo`.
///
/// A client that may not come in gets 403 with the cause `country_refused`. Variables are set before that is judged, and
/// whether it is or not. Where the database is broken, whoever is judged by it fails with 500.
pub struct Geo {
    database: Watched<Database>,
    country: RecordPath,
    /// All, if there are none.
    allowed: Option<Vec<CountryCode>>,
    denied: Vec<CountryCode>,
    on_unknown: OnUnknown,
    variables: Vec<(VarName, RecordPath)>,
    status: StatusCode,
    description: String,
}

const LARGEST: ByteSize = ByteSize::from_mib(1024);
/// What a variable can have.
const LONGEST_VARIABLE: usize = 4096;

impl Geo {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When the file is no database, `status` is no error, or there is nothing to do.
    pub fn build(settings: GeoSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let status = settings.checked_status()?;
        let description = describe(&settings);
        let GeoSettings { file, allow, deny, on_unknown, country, set, .. } = settings;
        if allow.is_none()
            && deny.is_none()
            && on_unknown.is_none()
            && set.as_ref().is_some_and(|set| set.is_empty())
        {
            return Err(BuildError::new("nothing to do; write at least one of `allow`, `deny` and `set`"));
        }
        let allowed = allow.map(OneOrMany::into_iter).map(Vec::from_iter);
        let database = cx.watch_large_file(&file, LARGEST, Database::parse);
        let variables = match set {
            Some(set) => set.into_iter().collect(),
            None => vec![("geo.country".parse().map_err(BuildError::new)?, country.clone())],
        };
        let default = if allowed.is_some() { OnUnknown::Deny } else { OnUnknown::Allow };
        Ok(Self {
            database: database.map_err(|error| error.at("file"))?,
            on_unknown: on_unknown.unwrap_or(default),
            denied: deny.map(OneOrMany::into_iter).map(Vec::from_iter).unwrap_or_default(),
            country,
            allowed,
            variables,
            status,
            description,
        })
    }

    /// What was read, or nothing where nobody is judged by it. What cannot be read is not what is not known: `deny` must not
    /// let it pass.
    fn readable<T: Default>(&self, database: &Database, read: Result<T, Unreadable>) -> Result<T, HookError> {
        let error = match read {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        if database.may_tell() {
            log::error!("geo {} error={error}", self.description);
        }
        let judges = self.allowed.is_some() || !self.denied.is_empty() || self.on_unknown == OnUnknown::Deny;
        if judges { Err(HookError::new(error.to_string())) } else { Ok(T::default()) }
    }

    fn may_come_in(&self, known: Option<CountryCode>) -> bool {
        match known {
            None => self.on_unknown == OnUnknown::Allow,
            Some(country) => {
                let is_allowed = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&country));
                is_allowed && !self.denied.contains(&country)
            }
        }
    }
}

#[async_trait]
impl Filter for Geo {
    async fn on_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        let database = self.database.get();
        let record = self.readable(&database, database.record(cx.facts().client_ip))?;
        for (name, path) in &self.variables {
            let value = self.readable(&database, record.get(path))?;
            if let Some(value) = value.filter(|value| value.len() <= LONGEST_VARIABLE) {
                cx.set_var(name, Cow::into_owned(value))?;
            }
        }
        // What is no code of a country is none that could be in a list.
        let known = self.readable(&database, record.get(&self.country))?.and_then(|text| text.parse().ok());
        match self.may_come_in(known) {
            true => Ok(Flow::Continue),
            false => Ok(Rejection::new(self.status, "country_refused").into()),
        }
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Geo").field("description", &self.description).finish_non_exhaustive()
    }
}

/// `allow DE, AT, by countries.mmdb`
fn describe(settings: &GeoSettings) -> String {
    let list = |word: &str, countries: &OneOrMany<CountryCode>| {
        let countries: Vec<_> = countries.as_slice().iter().map(ToString::to_string).collect();
        format!("{word} {}, ", countries.join(", "))
    };
    let allow = settings.allow.as_ref().map_or(String::new(), |allow| list("allow", allow));
    let deny = settings.deny.as_ref().map_or(String::new(), |deny| list("deny", deny));
    format!("{allow}{deny}by {}", settings.file.display())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;
    use tokio::time::Instant;

    use super::*;
    use crate::filters::geo::writer::sample;
    use crate::hooks::testing::{self, Exchange};

    fn build(folder: &Path, yaml: &str) -> Result<Geo, BuildError> {
        let file = folder.join("geo.mmdb");
        let yaml = format!("{{ file: '{}', {yaml} }}", file.display());
        testing::build(serde_yaml::from_str(&yaml).unwrap(), Geo::build)
    }

    fn with_sample() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("geo.mmdb"), sample()).unwrap();
        folder
    }

    /// The request of a client, and whether it may come in.
    async fn ask(filter: &Geo, client: &str) -> (Exchange, bool) {
        let mut exchange = Exchange::get("/", Instant::now()).from_client(client.parse().unwrap());
        let passes = match exchange.on_request(filter).await.unwrap() {
            Flow::Continue => true,
            Flow::Reject(rejection) => {
                assert_eq!((rejection.status, &*rejection.cause), (filter.status, "country_refused"));
                false
            }
            other => panic!("{other:?}"),
        };
        (exchange, passes)
    }

    #[tokio::test]
    async fn clients_are_judged_by_their_country() {
        let folder = with_sample();
        for (yaml, british, japanese, unknown) in [
            ("allow: GB", true, false, false),
            ("allow: [GB, JP]", true, true, false),
            ("allow: GB, on_unknown: allow", true, false, true),
            ("deny: GB", false, true, true),
            ("deny: [GB, FR], on_unknown: deny, status: 451", false, true, false),
            ("allow: [GB, JP], deny: JP", true, false, false),
            ("on_unknown: deny", true, true, false),
            ("allow: GB, country: country", false, false, false),
            ("", true, true, true),
        ] {
            let filter = build(folder.path(), yaml).unwrap();
            for (client, expected) in [
                ("81.2.69.7", british),
                ("::ffff:81.2.69.7", british),
                ("2001:218::7", japanese),
                ("10.0.0.1", unknown),
                ("::1", unknown),
                ("0.0.0.0", unknown),
            ] {
                assert_eq!(ask(&filter, client).await.1, expected, "{yaml}: {client}");
            }
        }
    }

    #[tokio::test]
    async fn later_filters_are_told_where_clients_are() {
        let folder = with_sample();
        let filter = build(folder.path(), "").unwrap();
        assert_eq!(ask(&filter, "81.2.69.7").await.0.var("geo.country"), Some(&b"GB"[..]));
        assert_eq!(ask(&filter, "10.0.0.1").await.0.var("geo.country"), None);
        let yaml = "deny: JP, set: { geo.city: city.names.en, geo.asn: autonomous_system_number }";
        let filter = build(folder.path(), yaml).unwrap();
        assert_eq!(ask(&filter, "81.2.69.7").await.0.var("geo.city"), Some(&b"London"[..]));
        let (exchange, passes) = ask(&filter, "2001:218::7").await;
        assert_eq!(
            (exchange.var("geo.asn"), exchange.var("geo.country"), passes),
            (Some(&b"2914"[..]), None, false)
        );
        let filter = build(folder.path(), "allow: [GB, JP]").unwrap();
        assert_eq!(filter.describe(), format!("allow GB, JP, by {}/geo.mmdb", folder.path().display()));
    }

    #[tokio::test]
    async fn what_cannot_be_read_lets_nobody_in_who_is_judged() {
        let folder = with_sample();
        let mut broken = sample();
        let british = broken.windows(3).position(|bytes| bytes == b"BGB").unwrap();
        // A kind of value that there is not.
        broken[british] = 0;
        std::fs::write(folder.path().join("geo.mmdb"), broken).unwrap();
        for yaml in ["allow: GB", "deny: JP", "on_unknown: deny", "allow: GB, on_unknown: allow"] {
            let filter = build(folder.path(), yaml).unwrap();
            let mut exchange = Exchange::get("/", Instant::now()).from_client("81.2.69.7".parse().unwrap());
            let error = exchange.on_request(&filter).await.unwrap_err();
            assert!(error.to_string().contains("a record of the database cannot be read"), "{yaml}: {error}");
            assert!(!filter.database.get().may_tell(), "it was told");
            assert_eq!(ask(&filter, "2001:218::7").await.1, yaml == "on_unknown: deny", "{yaml}");
        }
        let filter = build(folder.path(), "").unwrap();
        let (exchange, passes) = ask(&filter, "81.2.69.7").await;
        assert_eq!((exchange.var("geo.country"), passes), (None, true));
        assert_eq!(ask(&filter, "2001:218::7").await.0.var("geo.country"), Some(&b"JP"[..]));
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_key() {
        let folder = with_sample();
        for (yaml, key, words) in
            [("status: 200", &["status"][..], "400 to 599"), ("set: {}", &[], "nothing to do")]
        {
            let (found, message, _) = build(folder.path(), yaml).unwrap_err().into_parts();
            assert_eq!(found, key, "{yaml}");
            assert!(message.contains(words), "{message}");
        }
        std::fs::write(folder.path().join("geo.mmdb"), "GB").unwrap();
        let (found, message, _) = build(folder.path(), "").unwrap_err().into_parts();
        assert_eq!(found, ["file"]);
        assert!(message.contains("no database in the format of MaxMind"), "{message}");
    }
}
