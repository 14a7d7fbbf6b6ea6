//! `error_pages`: pages of one's own in the place of the short texts that tell of errors.

mod page;
mod pages;
mod settings;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, LAST_MODIFIED, TRAILER, TRANSFER_ENCODING, VARY,
};
use http::{HeaderName, HeaderValue, Method};

use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, HookError, Needs, RequestVars, ResponseView};

pub use crate::config::spec::{ErrorStatus, InvalidErrorStatus, PageFiles};
pub(crate) use page::Told;
pub(crate) use pages::Pages;
pub use settings::ErrorPagesSettings;

/// The filter `error_pages`.
#[derive(Debug)]
pub struct ErrorPages {
    pages: Pages,
    from_endpoints: bool,
}

/// The page that takes the place of a body, until it is sent.
#[derive(Clone)]
struct Pending(Option<Bytes>);

/// What tells of the body that is replaced.
const OF_BODY: [HeaderName; 13] = [
    ACCEPT_RANGES,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_RANGE,
    ETAG,
    LAST_MODIFIED,
    TRAILER,
    TRANSFER_ENCODING,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

impl ErrorPages {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is no page, or one cannot be read.
    pub fn build(settings: ErrorPagesSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let ErrorPagesSettings { pages, from_endpoints } = settings;
        if pages.is_empty() {
            return Err(BuildError::new("there is no page").at("pages"));
        }
        let pages = Pages::build(pages, cx).map_err(|error| error.at("pages"))?;
        Ok(Self { pages, from_endpoints })
    }

    /// Whether the answer is one whose body the filter may take away. Those that a file or a filter spells out are meant as
    /// they are; of those of endpoints only a body that is announced can be replaced.
    fn is_replaced(&self, response: &ResponseView<'_>, cx: &FilterCx<'_>) -> bool {
        if response.cause().is_some() {
            return true;
        }
        let length = response.header(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
        let has_body = length || response.header(TRANSFER_ENCODING).is_some();
        self.from_endpoints && cx.is_of_endpoint() && has_body
    }
}

#[async_trait]
impl Filter for ErrorPages {
    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let status = response.status();
        let Some(forms) = self.pages.of(status).filter(|_| self.is_replaced(response, cx)) else {
            return Ok(());
        };
        if forms.vary() {
            response.add_header(VARY, HeaderValue::from_static("accept"))?;
        }
        let vars = RequestVars::of_response(response, cx);
        let told = Told { status, cause: response.cause().unwrap_or(""), vars: &vars };
        let Some((media_type, body)) = forms.fill(response.request_headers(), &told) else { return Ok(()) };
        for name in &OF_BODY {
            response.remove_header(name);
        }
        response.set_header(CONTENT_TYPE, media_type)?;
        response.set_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
        if *response.request_method() != Method::HEAD {
            cx.extensions_mut().insert(Pending(Some(body)));
        }
        Ok(())
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        _: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        if let Some(Pending(page)) = cx.extensions_mut().get_mut() {
            *body = page.take();
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs::BODIES
    }

    fn describe(&self) -> String {
        let statuses: Vec<_> = self.pages.statuses().map(|status| status.to_string()).collect();
        let whose = if self.from_endpoints { ", also for errors of endpoints" } else { "" };
        format!("pages for {}{whose}", statuses.join(", "))
    }
}
