use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};

use super::explain::Question;

/// A question as it goes over the control socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenQuestion {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    client: IpAddr,
    listener: Option<String>,
}

impl From<&Question> for WrittenQuestion {
    fn from(question: &Question) -> Self {
        let Question { method, url, headers, client_ip, listener } = question;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            method: method.to_string(),
            url: url.to_string(),
            headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            client: *client_ip,
            listener: listener.clone(),
        }
    }
}

impl WrittenQuestion {
    /// The question; `None` where it cannot be one.
    pub(super) fn read(&self) -> Option<Question> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        Some(Question {
            method: Method::from_bytes(self.method.as_bytes()).ok()?,
            url: self.url.parse::<Uri>().ok()?,
            headers,
            client_ip: self.client,
            listener: self.listener.clone(),
        })
    }
}
