use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::filters::headers::{Side, changeable, strip_claims};
use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Offload, Overloaded, Rejection, RequestView,
    Watched,
};
use crate::types::VarName;

use super::cache::Cache;
use super::credentials::{Credentials, credentials};
use super::users::{User, Users, read_file};
use super::{BasicAuthSettings, PasswordCacheSettings};

/// The filter `basic_auth`.
///
/// A request without the password of a user gets 401 with the cause `unauthorized`. When more passwords wait to be checked than
/// can be in time, it gets 503 with `auth_overloaded`, unless its own is remembered. Whether a user is unknown or a password
/// wrong, nothing tells.
pub struct BasicAuth {
    users: Users,
    listed: Option<Watched<Users>>,
    cache: Arc<Cache>,
    checks: Offload,
    challenge: HeaderValue,
    user_header: HeaderName,
    user_var: VarName,
    forward: bool,
    description: String,
}

const LONGEST_REALM: usize = 128;
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// Under which later filters find the user's name.
const USER_VAR: &str = "auth.user";

impl BasicAuth {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is no user, the file cannot be read, the realm fits no header, `user_header` is one that filters may not set,
    /// or the cache is out of range.
    pub fn build(settings: BasicAuthSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let challenge = challenge(&settings.realm).map_err(|error| error.at("realm"))?;
        let user_header = changeable(Side::Request, &settings.user_header);
        let user_header = user_header.map_err(|error| error.at("user_header"))?;
        if user_header == AUTHORIZATION {
            let error = BuildError::new("the password would be replaced by the name of its user");
            return Err(error.at("user_header"));
        }
        let BasicAuthSettings { passwords, file, forward, cache, .. } = settings;
        if passwords.is_empty() && file.is_none() {
            return Err(BuildError::new("no users; write `passwords`, or a `file` of them"));
        }
        let mut users = Users::default();
        for (name, hash) in passwords {
            users.add(&name, hash).map_err(|error| BuildError::new(error).at(&name).at("passwords"))?;
        }
        let listed = file.as_deref().map(|path| cx.watch_file(path, read_file)).transpose();
        let listed = listed.map_err(|error| error.at("file"))?;
        if listed.as_ref().is_some_and(|listed| listed.get().len() == 0) {
            cx.warn("the `file` has no user, so that it lets nobody in");
        }
        let from_file = file.map_or(String::new(), |file| format!(" and those of {}", file.display()));
        Ok(Self {
            description: format!("{} users{from_file}", users.len()),
            user_var: USER_VAR.parse().map_err(BuildError::new)?,
            cache: keep_cache(cache, cx).map_err(|error| error.at("cache"))?,
            checks: Offload::new(),
            users,
            listed,
            challenge,
            user_header,
            forward,
        })
    }

    /// The user whose password is shown; nobody when it is not, or there is none of that name.
    async fn identify(&self, shown: Credentials, now: Instant) -> Result<Option<Arc<User>>, Overloaded> {
        let listed = self.listed.as_ref().map(Watched::get);
        let all = || [Some(&self.users), listed.as_deref()].into_iter().flatten();
        let known = all().find_map(|users| users.get(&shown.user)).cloned();
        let is_known = known.is_some();
        let stand_in = || all().find_map(|users| users.stand_in(&shown.user)).cloned();
        let Some(user) = known.or_else(stand_in) else { return Ok(None) };
        let Credentials { user: name, password } = shown;
        let tag = self.cache.tag([user.hash.as_bytes(), &[u8::from(is_known)], &name, &password]);
        let (checked, checks) = (user.clone(), self.checks.clone());
        let check = async move { checks.run(move || checked.hash.verify(&password) && is_known).await };
        Ok(self.cache.verdict(tag, now, check).await?.then_some(user))
    }

    fn refusal(&self) -> Flow {
        let refusal = Rejection::new(StatusCode::UNAUTHORIZED, "unauthorized");
        refusal.with_header(WWW_AUTHENTICATE, self.challenge.clone()).into()
    }
}

#[async_trait]
impl Filter for BasicAuth {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        strip_claims(std::slice::from_ref(&self.user_header), request);
        let Some(shown) = credentials(request.headers()) else { return Ok(self.refusal()) };
        let user = match self.identify(shown, cx.now()).await {
            Ok(Some(user)) => user,
            Ok(None) => return Ok(self.refusal()),
            Err(Overloaded) => {
                return Ok(Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "auth_overloaded").into());
            }
        };
        if !self.forward {
            request.remove_header(&AUTHORIZATION);
        }
        request.set_header(self.user_header.clone(), user.name.clone())?;
        cx.mark_personal();
        cx.set_var(&self.user_var, user.name.as_bytes().to_vec())?;
        Ok(Flow::Continue)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth").field("description", &self.description).finish_non_exhaustive()
    }
}

fn challenge(realm: &str) -> Result<HeaderValue, BuildError> {
    let allowed = |byte: u8| (byte == b' ' || byte.is_ascii_graphic()) && !matches!(byte, b'"' | b'\\');
    if !(1..=LONGEST_REALM).contains(&realm.len()) || !realm.bytes().all(allowed) {
        let problem = "a realm is 1 to 128 characters of printable ASCII without `\"` and `\\`";
        return Err(BuildError::new(problem));
    }
    HeaderValue::try_from(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")).map_err(BuildError::new)
}

/// What is remembered outlives a reload: the tags say which hash a password was checked against.
fn keep_cache(settings: PasswordCacheSettings, cx: &BuildCx<'_>) -> Result<Arc<Cache>, BuildError> {
    let PasswordCacheSettings { ttl, size } = settings;
    if ttl.get() > LONGEST_TTL {
        return Err(BuildError::new(format!("`{ttl}` is too long; up to 1h is allowed")).at("ttl"));
    }
    let Ok(most @ 1..=1_000_000) = usize::try_from(size) else {
        return Err(BuildError::new(format!("{size} passwords; 1 to 1000000 are allowed")).at("size"));
    };
    let made = Cache::new(ttl.get(), most).map_err(|_| BuildError::new("the system gives no randomness"))?;
    Ok(cx.keep(&format!("{most} passwords for {ttl}"), || made))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn build(yaml: &str) -> Result<BasicAuth, BuildError> {
        testing::build(serde_yaml::from_str(yaml).unwrap(), BasicAuth::build)
    }

    fn hash(password: &str) -> String {
        bcrypt::hash(password, 4).unwrap()
    }

    fn asking(user: &str, password: &str) -> Exchange {
        let shown = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Exchange::get("/", Instant::now())
            .with_header("authorization", &shown)
            .with_header("x-user", "root")
            .with_header("x_user", "root")
    }

    /// Who the endpoint is told that it is; nobody when the request was refused.
    async fn user(filter: &BasicAuth, exchange: &mut Exchange) -> Option<String> {
        let flow = exchange.on_request(filter).await.unwrap();
        assert!(exchange.request_headers().get("x_user").is_none());
        match flow {
            Flow::Continue => Some(exchange.request_headers()["x-user"].to_str().unwrap().to_owned()),
            Flow::Reject(rejection) => {
                assert_eq!((rejection.status.as_u16(), &*rejection.cause), (401, "unauthorized"));
                let challenge = "Basic realm=\"ops\", charset=\"UTF-8\"";
                assert_eq!(rejection.headers, [(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))]);
                assert!(exchange.request_headers().get("x-user").is_none());
                None
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_user_with_the_password_comes_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        std::fs::write(&file, format!("grace:{}\n", hash("hopper"))).unwrap();
        let yaml = format!(
            "{{ realm: ops, passwords: {{ ada: '{}' }}, file: '{}' }}",
            hash("lovelace"),
            file.display()
        );
        let filter = build(&yaml).unwrap();
        // Twice, so that the second time is from memory.
        for _ in 0..2 {
            for (name, password, comes_in) in [
                ("ada", "lovelace", true),
                ("grace", "hopper", true),
                ("ada", "hopper", false),
                ("grace", "lovelace", false),
                ("ada", "", false),
                ("eve", "lovelace", false),
                ("eve", "hopper", false),
                ("Ada", "lovelace", false),
            ] {
                let mut exchange = asking(name, password);
                let expected = comes_in.then(|| name.to_owned());
                assert_eq!(user(&filter, &mut exchange).await, expected, "{name} {password}");
                assert_eq!(exchange.request_headers().contains_key("authorization"), !comes_in);
            }
        }
        assert_eq!(user(&filter, &mut Exchange::get("/", Instant::now())).await, None);
    }

    #[tokio::test]
    async fn the_password_can_be_forwarded() {
        let yaml = format!(
            "{{ realm: ops, passwords: {{ ada: '{}' }}, forward: true, user_header: X-Who }}",
            hash("x")
        );
        let filter = build(&yaml).unwrap();
        let mut exchange = asking("ada", "x");
        assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
        assert_eq!(exchange.request_headers()["x-who"], "ada");
        assert!(exchange.request_headers().contains_key("authorization"));
    }

    #[tokio::test]
    async fn a_changed_password_counts_at_once_though_the_old_one_is_remembered() {
        let mut generations = testing::Generations::new();
        let mut build = |hash: &str| {
            let yaml = format!("{{ realm: ops, passwords: {{ ada: '{hash}' }} }}");
            generations.build(serde_yaml::from_str(&yaml).unwrap(), BasicAuth::build).unwrap()
        };
        let (old, new) = (hash("old"), hash("new"));
        let (first, same) = (build(&old), build(&old));
        assert!(Arc::ptr_eq(&first.cache, &same.cache));
        assert!(user(&first, &mut asking("ada", "old")).await.is_some());
        let changed = build(&new);
        assert!(Arc::ptr_eq(&first.cache, &changed.cache));
        assert!(user(&changed, &mut asking("ada", "old")).await.is_none());
        assert!(user(&changed, &mut asking("ada", "new")).await.is_some());
    }

    #[test]
    fn settings_that_cannot_be_are_refused_at_their_key() {
        let users = format!("passwords: {{ ada: '{}' }}", hash("x"));
        for (rest, key, words) in [
            (", realm: ''", &["realm"][..], "1 to 128"),
            (", realm: 'a\"b'", &["realm"], "1 to 128"),
            (", user_header: Host", &["user_header"], "cannot be changed"),
            (", user_header: Authorization", &["user_header"], "replaced"),
            (", file: /nonexistent", &["file"], "cannot be read"),
            (", cache: { ttl: 2h }", &["cache", "ttl"], "up to 1h"),
            (", cache: { size: 0 }", &["cache", "size"], "1 to 1000000"),
        ] {
            let (found, message, _) = build(&format!("{{ {users}{rest} }}")).unwrap_err().into_parts();
            assert_eq!(found, key, "{rest}");
            assert!(message.contains(words), "{message}");
        }
        assert!(build("{}").unwrap_err().to_string().contains("no users"));
        assert!(serde_yaml::from_str::<BasicAuthSettings>("{ passwords: { ada: hunter2 } }").is_err());
    }
}
