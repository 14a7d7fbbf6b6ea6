use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use async_trait::async_trait;
use http::StatusCode;

use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Rejection, RequestView, Watched};

use super::NetworksSettings;
use super::list::{self, Denied};
use super::ranges::NetworkSet;

/// The filters `allow` and `deny`.
///
/// A client that may not come in gets 403 with the cause `client_refused`. Every request of a connection is judged, and so
/// is every stream of HTTP/2.
pub struct Networks {
    networks: NetworkSet,
    listed: Option<Listed>,
    /// Whether those in the networks are let in, and nobody else, or kept out.
    lets_in: bool,
    status: StatusCode,
    description: String,
}

/// The networks of a file.
enum Listed {
    Allowed(Watched<NetworkSet>),
    Denied(Watched<Denied>),
}

impl Listed {
    fn contains(&self, client: IpAddr) -> bool {
        match self {
            Self::Allowed(networks) => networks.get().contains(client),
            Self::Denied(networks) => networks.get().0.contains(client),
        }
    }
}

impl Networks {
    /// Makes the filter `allow` of its settings.
    ///
    /// # Errors
    /// When there is neither a network nor a file, the file cannot be read, or `status` is no error.
    pub fn allow(settings: NetworksSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        Self::build(settings, cx, true)
    }

    /// Makes the filter `deny` of its settings.
    ///
    /// # Errors
    /// As for [`allow`](Self::allow), and when the file lists no network.
    pub fn deny(settings: NetworksSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        Self::build(settings, cx, false)
    }

    fn build(settings: NetworksSettings, cx: &BuildCx<'_>, lets_in: bool) -> Result<Self, BuildError> {
        if settings.networks.is_empty() && settings.file.is_none() {
            return Err(BuildError::new("no networks; write at least one, or a `file` of them"));
        }
        let status = settings.checked_status()?;
        let description = describe(&settings);
        let listed = settings.file.as_deref().map(|path| listed(path, cx, lets_in)).transpose();
        let listed = listed.map_err(|error| error.at("file"))?;
        Ok(Self { networks: settings.networks.into_iter().collect(), listed, lets_in, status, description })
    }
}

#[async_trait]
impl Filter for Networks {
    async fn on_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        let client = cx.facts().client_ip;
        let is_listed = self.networks.contains(client)
            || self.listed.as_ref().is_some_and(|listed| listed.contains(client));
        if is_listed == self.lets_in {
            return Ok(Flow::Continue);
        }
        Ok(Rejection::new(self.status, "client_refused").into())
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Networks").field("description", &self.description).finish_non_exhaustive()
    }
}

fn listed(path: &Path, cx: &BuildCx<'_>, lets_in: bool) -> Result<Listed, BuildError> {
    if !lets_in {
        return cx.watch_file(path, list::read_denied).map(Listed::Denied);
    }
    let networks = cx.watch_file(path, list::read)?;
    if networks.get().is_empty() {
        cx.warn(format_args!("`{}` lists no network, so that it lets nobody in", path.display()));
    }
    Ok(Listed::Allowed(networks))
}

fn describe(settings: &NetworksSettings) -> String {
    const SHOWN: usize = 3;
    let networks = &settings.networks;
    let mut parts: Vec<_> = networks.iter().take(SHOWN).map(ToString::to_string).collect();
    if networks.len() > SHOWN {
        parts.push(format!("{} more", networks.len() - SHOWN));
    }
    parts.extend(settings.file.as_ref().map(|file| file.display().to_string()));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    type Build = fn(NetworksSettings, &BuildCx<'_>) -> Result<Networks, BuildError>;

    fn built(build: Build, yaml: &str) -> Result<Networks, BuildError> {
        testing::build(serde_yaml::from_str(yaml).unwrap(), build)
    }

    async fn passes(filter: &Networks, client: &str) -> bool {
        let mut exchange = Exchange::get("/", Instant::now()).from_client(client.parse().unwrap());
        match exchange.on_request(filter).await.unwrap() {
            Flow::Continue => true,
            Flow::Reject(rejection) => {
                assert_eq!((rejection.status, &*rejection.cause), (filter.status, "client_refused"));
                false
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn those_in_the_networks_are_let_in_or_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        std::fs::write(&file, "192.0.2.0/24\n").unwrap();
        let short = "[10.0.0.0/8, '2001:db8::/32']".to_owned();
        let long = format!("{{ networks: {short}, file: '{}', status: 404 }}", file.display());
        for (yaml, listed) in [(&short, false), (&long, true)] {
            let (allow, deny) = (built(Networks::allow, yaml).unwrap(), built(Networks::deny, yaml).unwrap());
            for (client, is_in) in
                [("10.1.1.1", true), ("2001:db8::1", true), ("11.0.0.1", false), ("192.0.2.1", listed)]
            {
                assert_eq!(passes(&allow, client).await, is_in, "{client}");
                assert_eq!(passes(&deny, client).await, !is_in, "{client}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        std::fs::write(&file, "10.0.0.0/8\nx\n").unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "# nobody\n").unwrap();
        for (yaml, key, words) in [
            ("[]".to_owned(), None, "no networks"),
            ("{ status: 403 }".to_owned(), None, "no networks"),
            ("{ networks: [10.0.0.1], status: 200 }".to_owned(), Some("status"), "400 to 599"),
            (format!("{{ file: '{}' }}", file.display()), Some("file"), "line 2: `x`"),
            (format!("{{ file: '{}.gone' }}", file.display()), Some("file"), "No such file"),
            (format!("{{ file: '{}' }}", empty.display()), Some("file"), "no network"),
        ] {
            let (found, message, _) = built(Networks::deny, &yaml).unwrap_err().into_parts();
            assert_eq!(found.first().map(String::as_str), key, "{yaml}");
            assert!(message.contains(words), "{message}");
        }
        for yaml in ["{ network: [10.0.0.1] }", "[10.0.0.0/33]", "10.0.0.1", "{}}"] {
            assert!(serde_yaml::from_str::<NetworksSettings>(yaml).is_err(), "{yaml}");
        }
    }

    #[test]
    fn tells_what_it_is_about() {
        let filter = built(Networks::deny, "[10.0.0.1, 10.0.0.2, 10.0.0.3/8, 1.2.3.4, '::1']").unwrap();
        assert_eq!(filter.describe(), "10.0.0.1/32, 10.0.0.2/32, 10.0.0.0/8, 2 more");
    }
}
