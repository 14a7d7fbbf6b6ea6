//! `error_pages`: pages of one's own in the place of the short texts that tell of errors.

mod page;
mod settings;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, LAST_MODIFIED, TRAILER, TRANSFER_ENCODING, VARY,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, HookError, Needs, RequestVars, ResponseView, Watched,
};
use crate::semantics::media_weight;

use page::{Form, Page, Told};
pub use settings::{ErrorPagesSettings, ErrorStatus, InvalidErrorStatus, PageFiles};

/// The filter `error_pages`.
#[derive(Debug)]
pub struct ErrorPages {
    pages: Vec<(ErrorStatus, Forms)>,
    from_endpoints: bool,
}

/// A page in its forms, the first of which is for those who like several equally.
type Forms = Vec<(Form, Watched<Page>)>;

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
        let ErrorPagesSettings { pages: files_of, from_endpoints } = settings;
        if files_of.is_empty() {
            return Err(BuildError::new("there is no page").at("pages"));
        }
        let mut pages = Vec::with_capacity(files_of.len());
        for (status, files) in files_of {
            let read = |(form, file)| Ok((form, cx.watch_file(file, Page::read)?));
            let forms: Result<Forms, BuildError> = files.iter().map(read).collect();
            let forms = forms.map_err(|error| error.at(status).at("pages"))?;
            if forms.is_empty() {
                return Err(BuildError::new("the page has no file").at(status).at("pages"));
            }
            pages.push((status, forms));
        }
        Ok(Self { pages, from_endpoints })
    }

    fn forms(&self, status: StatusCode) -> Option<&Forms> {
        let fits = self.pages.iter().filter_map(|(of, forms)| Some((of.fit(status)?, forms)));
        fits.max_by_key(|(fit, _)| *fit).map(|(_, forms)| forms)
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

/// The form that the client likes best, if it takes any.
fn chosen<'f>(forms: &'f Forms, response: &ResponseView<'_>) -> Option<&'f (Form, Watched<Page>)> {
    let weight = |form: Form| media_weight(response.request_headers(), form.media());
    let taken = forms.iter().rev().filter(|(form, _)| weight(*form) > 0);
    taken.max_by_key(|(form, _)| weight(*form))
}

#[async_trait]
impl Filter for ErrorPages {
    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let status = response.status();
        let Some(forms) = self.forms(status).filter(|_| self.is_replaced(response, cx)) else {
            return Ok(());
        };
        if forms.len() > 1 {
            response.add_header(VARY, HeaderValue::from_static("accept"))?;
        }
        let Some((form, page)) = chosen(forms, response) else { return Ok(()) };
        let vars = RequestVars::of_response(response, cx);
        let told = Told { status, cause: response.cause().unwrap_or(""), vars: &vars };
        let body = Bytes::from(page.get().fill(*form, &told));
        for name in &OF_BODY {
            response.remove_header(name);
        }
        response.set_header(CONTENT_TYPE, HeaderValue::from_static(form.content_type()))?;
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
        let statuses: Vec<_> = self.pages.iter().map(|(status, _)| status.to_string()).collect();
        let whose = if self.from_endpoints { ", also for errors of endpoints" } else { "" };
        format!("pages for {}{whose}", statuses.join(", "))
    }
}
