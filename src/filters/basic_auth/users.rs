use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::HeaderValue;

use crate::filters::lines::read_lines;

use super::{PasswordHash, UserName};

/// Users by their names.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_name: HashMap<Vec<u8>, Arc<User>>,
    all: Vec<Arc<User>>,
    stand_ins: RandomState,
}

#[derive(Debug)]
pub(super) struct User {
    /// As endpoints are told.
    pub(super) name: HeaderValue,
    pub(super) hash: PasswordHash,
}

const MAX_USERS: usize = 10_000;

impl Users {
    /// Adds a user.
    ///
    /// # Errors
    /// When the user is known already.
    pub(super) fn add(&mut self, name: &UserName, hash: PasswordHash) -> Result<(), String> {
        let value = HeaderValue::from_bytes(name.as_str().as_bytes()).map_err(|error| error.to_string())?;
        match self.by_name.entry(name.as_str().as_bytes().to_vec()) {
            Entry::Occupied(_) => Err(format!("`{name}` stands here twice")),
            Entry::Vacant(free) => {
                let user = Arc::new(User { name: value, hash });
                self.all.push(free.insert(user).clone());
                Ok(())
            }
        }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The user whose password is checked in the place of one who is unknown, so that the time that an answer takes does not
    /// tell who is known: for a name always the same.
    pub(super) fn stand_in(&self, name: &[u8]) -> Option<&Arc<User>> {
        let place =
            self.stand_ins.hash_one(name) % u64::try_from(self.all.len()).ok().filter(|&count| count > 0)?;
        self.all.get(usize::try_from(place).ok()?)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Reads a file as `htpasswd` writes it; empty lines, and those that begin with a `#`, count for nothing.
///
/// # Errors
/// The lines that cannot be read, by their number, or that there are too many. Nothing of a line but its name is shown.
pub(super) fn read_file(content: &[u8]) -> Result<Users, String> {
    let mut users = Users::default();
    read_lines(content, |line| match line.trim_end() {
        "" => Ok(()),
        comment if comment.starts_with('#') => Ok(()),
        _ if users.len() == MAX_USERS => Err(format!("{MAX_USERS} users are allowed")),
        line => read_line(line, &mut users),
    })?;
    Ok(users)
}

fn read_line(line: &str, users: &mut Users) -> Result<(), String> {
    let (name, hash) = line.split_once(':').ok_or("write USER:HASH")?;
    let name: UserName = name.parse().map_err(|error: super::InvalidUserName| error.to_string())?;
    let hash = hash.parse().map_err(|error: super::InvalidPasswordHash| format!("{name}: {error}"))?;
    users.add(&name, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$04$ZeBPFX8CTbE6Dnrbt/PpG.bDdIWbNhMiyMpw3x7I1wjpJgrQZ3eSu";

    #[test]
    fn reads_what_htpasswd_writes() {
        let users = read_file(format!("# staff\nada:{HASH}\r\n\ngrace hopper:{HASH}\n").as_bytes()).unwrap();
        assert_eq!(users.get(b"ada").unwrap().name, "ada");
        assert_eq!(users.get(b"grace hopper").unwrap().name, "grace hopper");
        assert!(users.get(b"Ada").is_none() && users.get(b"").is_none());
        assert_eq!(users.len(), 2);
    }

    #[test]
    fn wrong_lines_are_told_without_what_may_be_a_password() {
        let text = format!("ada\nada:hunter2\ngrace:$apr1$a$b\nada:{HASH}\nada:{HASH}\n");
        let error = read_file(text.as_bytes()).unwrap_err();
        assert!(error.starts_with("line 1: write USER:HASH; line 2: ada: not a hash"), "{error}");
        assert!(error.contains("line 3: grace: a hash of MD5") && error.ends_with("; and 1 more"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("apr1"), "{error}");
    }

    #[test]
    fn an_unknown_name_always_has_the_same_stand_in() {
        let users = read_file(format!("a:{HASH}\nb:{HASH}\nc:{HASH}\n").as_bytes()).unwrap();
        let stand_in = |name: &str| users.stand_in(name.as_bytes()).unwrap().name.clone();
        for name in ["x", "y", "z"] {
            assert_eq!(stand_in(name), stand_in(name));
        }
        assert!(Users::default().stand_in(b"x").is_none());
    }
}
