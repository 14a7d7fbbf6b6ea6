use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::RecordPath;
use super::settings::Step;

/// A database of networks, in memory: what is read from a file that is mapped ends the process when the file is cut short.
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    /// Whether it was told that something of it cannot be read.
    is_told: AtomicBool,
}

/// What the database has on an address.
#[derive(Default)]
pub(super) struct Record<'d>(Option<LookupResult<'d, Vec<u8>>>);

/// The database is broken where it has something on an address.
#[derive(Debug, thiserror::Error)]
#[error("a record of the database cannot be read: {0}")]
pub(super) struct Unreadable(MaxMindDbError);

impl Database {
    /// Reads a database.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        Reader::from_source(bytes)
            .map(|reader| Self { reader, is_told: AtomicBool::new(false) })
            .map_err(|error| format!("it is no database in the format of MaxMind: {error}"))
    }

    /// What there is on an address: nothing also where the database is for the other family.
    pub(super) fn record(&self, address: IpAddr) -> Result<Record<'_>, Unreadable> {
        match self.reader.lookup(address.to_canonical()) {
            Ok(found) => Ok(Record(Some(found))),
            Err(MaxMindDbError::InvalidInput { .. }) => Ok(Record(None)),
            Err(error) => Err(Unreadable(error)),
        }
    }

    /// Whether this is the first time that something of it cannot be read.
    pub(super) fn may_tell(&self) -> bool {
        !self.is_told.swap(true, Ordering::Relaxed)
    }
}

impl<'d> Record<'d> {
    /// The text, number or truth that stands there: nothing also where something else does.
    pub(super) fn get(&self, path: &RecordPath) -> Result<Option<Cow<'d, str>>, Unreadable> {
        let Some(found) = &self.0 else { return Ok(None) };
        let steps: Vec<_> = path.steps().iter().map(element).collect();
        match found.decode_path(&steps) {
            Ok(value) => Ok(value.map(|Scalar(value)| value)),
            Err(MaxMindDbError::Decoding { .. }) => Ok(None),
            Err(error) => Err(Unreadable(error)),
        }
    }
}

fn element(step: &Step) -> PathElement<'_> {
    match step {
        Step::Name(name) => PathElement::Key(name),
        Step::Number(number) => PathElement::Index(*number),
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.reader.metadata().database_type).finish()
    }
}

/// A value that is neither a map nor a list.
struct Scalar<'d>(Cow<'d, str>);

impl<'d> Deserialize<'d> for Scalar<'d> {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'d> Visitor<'d> for ScalarVisitor {
    type Value = Scalar<'d>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a truth")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'d str) -> Result<Scalar<'d>, E> {
        Ok(Scalar(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'d>, E> {
        Ok(Scalar(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Scalar<'d>, E> {
        Ok(Scalar(Cow::Borrowed(if truth { "true" } else { "false" })))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar<'d>, E> {
        Ok(Scalar(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar<'d>, E> {
        Ok(Scalar(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar<'d>, E> {
        Ok(Scalar(Cow::Owned(number.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::geo::writer::{Value, database, sample};

    fn get(database: &Database, address: &str, path: &str) -> Option<String> {
        let record = database.record(address.parse().unwrap()).unwrap();
        record.get(&path.parse().unwrap()).unwrap().map(Cow::into_owned)
    }

    #[test]
    fn values_are_found_by_address_and_path() {
        let sample = Database::parse(sample()).unwrap();
        for (address, path, expected) in [
            ("81.2.69.1", "country.iso_code", Some("GB")),
            ("81.2.69.255", "city.names.en", Some("London")),
            ("::ffff:81.2.69.1", "country.iso_code", Some("GB")),
            ("81.2.70.1", "country.iso_code", None),
            ("2001:218::1", "country.iso_code", Some("JP")),
            ("2001:218::1", "subdivisions.0.iso_code", Some("13")),
            ("2001:218::1", "subdivisions.1.iso_code", None),
            ("2001:218::1", "autonomous_system_number", Some("2914")),
            ("2001:218::1", "is_anonymous", Some("true")),
            ("2001:218::1", "location.latitude", Some("35.5")),
            ("2001:218::1", "country", None),
            ("2001:218::1", "country.iso_code.x", None),
            ("2001:218::1", "nothing", None),
            ("127.0.0.1", "country.iso_code", None),
            ("0.0.0.0", "country.iso_code", None),
        ] {
            assert_eq!(get(&sample, address, path).as_deref(), expected, "{address} {path}");
        }
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let sample = sample();
        for bytes in [&b""[..], b"DE 10.0.0.0/8", &sample[..sample.len() - 40], &sample[sample.len() / 2..]] {
            let error = Database::parse(bytes.to_vec()).unwrap_err();
            assert!(error.starts_with("it is no database in the format of MaxMind: "), "{error}");
        }
        let empty = Database::parse(database(&[("10.0.0.0", 8, Value::Map(vec![]))])).unwrap();
        assert_eq!(get(&empty, "10.0.0.1", "country.iso_code"), None);
    }
}
