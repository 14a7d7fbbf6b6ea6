use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::{NamedMap, OneOrMany, StatusSpec};
use crate::hooks::BuildError;
use crate::types::{VarName, text_leaf};

/// Lets clients in, or keeps them out, by the country that they are in, and tells later filters where they are, as far as a
/// database knows. Clients are known by their address; behind other proxies, by what `server.trusted_proxies` may say of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeoSettings {
    /// The database, in the format of MaxMind (`.mmdb`), up to 1GiB; when it changes, it is read again within seconds. It is
    /// held in memory.
    pub file: PathBuf,
    /// The countries that clients may come from, by their two letters (ISO 3166): `DE`; one, or a list. Default: all.
    #[serde(default)]
    pub allow: Option<OneOrMany<CountryCode>>,
    /// The countries that clients may not come from, also where `allow` has them; one, or a list. Default: none.
    #[serde(default)]
    pub deny: Option<OneOrMany<CountryCode>>,
    /// What becomes of clients whose country the database does not know, as it knows none for private networks: `allow` or
    /// `deny`. Default: `deny` with a list `allow`, else `allow`.
    #[serde(default)]
    pub on_unknown: Option<OnUnknown>,
    /// Where the two letters stand in the records of the database.
    #[serde(default = "GeoSettings::default_country")]
    pub country: RecordPath,
    /// Variables that are set to what the database says, by where that stands in its records: `geo.city: city.names.en`,
    /// `geo.asn: autonomous_system_number`. Items of lists are counted from 0. Default: `{ geo.country: country.iso_code }`, or
    /// what `country` says.
    #[serde(default)]
    pub set: Option<NamedMap<VarName, RecordPath>>,
    /// The status for those who may not come in, 400 to 599. Default: 403.
    #[serde(default)]
    pub status: Option<StatusSpec>,
}

/// What becomes of clients whose country is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// They are let in.
    Allow,
    /// They are kept out.
    Deny,
}

/// The two letters of a country, in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CountryCode([u8; 2]);

/// A text that is no country's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no country; two capital letters are, like DE")]
pub struct InvalidCountryCode {
    found: String,
}

/// Where a value stands in a record: names of maps, and numbers in lists, with dots between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPath(Vec<Step>);

/// One step into a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Number(usize),
}

/// A text that is no path into a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` does not say where something stands; names with dots between are needed, like country.iso_code"
)]
pub struct InvalidRecordPath {
    found: String,
}

impl GeoSettings {
    fn default_country() -> RecordPath {
        let step = |name: &str| Step::Name(name.to_owned());
        RecordPath(vec![step("country"), step("iso_code")])
    }

    pub(super) fn checked_status(&self) -> Result<StatusCode, BuildError> {
        match self.status {
            None => Ok(StatusCode::FORBIDDEN),
            Some(StatusSpec(status)) if status.is_client_error() || status.is_server_error() => Ok(status),
            Some(status) => {
                Err(BuildError::new(format!("`{status}` refuses nobody; 400 to 599 do")).at("status"))
            }
        }
    }
}

impl RecordPath {
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl FromStr for CountryCode {
    type Err = InvalidCountryCode;

    fn from_str(text: &str) -> Result<Self, InvalidCountryCode> {
        match <[u8; 2]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(InvalidCountryCode { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&letter| write!(f, "{}", char::from(letter)))
    }
}

text_leaf!(CountryCode, "a country", "DE");

impl FromStr for RecordPath {
    type Err = InvalidRecordPath;

    fn from_str(text: &str) -> Result<Self, InvalidRecordPath> {
        let step = |name: &str| match name.parse() {
            Ok(number) => Some(Step::Number(number)),
            Err(_) => (!name.is_empty()).then(|| Step::Name(name.to_owned())),
        };
        let steps: Option<Vec<_>> = text.split('.').map(step).collect();
        steps.map(Self).ok_or_else(|| InvalidRecordPath { found: text.to_owned() })
    }
}

impl fmt::Display for RecordPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            match step {
                Step::Name(name) => f.write_str(name)?,
                Step::Number(number) => write!(f, "{number}")?,
            }
        }
        Ok(())
    }
}

text_leaf!(RecordPath, "a place in a record", "country.iso_code");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_two_capitals() {
        assert_eq!("NO".parse::<CountryCode>().unwrap().to_string(), "NO");
        for text in ["", "D", "de", "De", "DEU", "D1", "Ä"] {
            assert!(text.parse::<CountryCode>().is_err(), "{text}");
        }
        // `NO` is a country, and not a lie.
        assert_eq!(serde_yaml::from_str::<CountryCode>("NO").unwrap().to_string(), "NO");
    }

    #[test]
    fn paths_are_names_and_numbers() {
        let path: RecordPath = "subdivisions.0.iso_code".parse().unwrap();
        let [first, second, _] = path.steps() else { panic!("{path:?}") };
        assert_eq!((first, second), (&Step::Name("subdivisions".to_owned()), &Step::Number(0)));
        assert_eq!(path.to_string(), "subdivisions.0.iso_code");
        for text in ["", ".", "a.", ".a", "a..b"] {
            assert!(text.parse::<RecordPath>().is_err(), "{text}");
        }
    }
}
