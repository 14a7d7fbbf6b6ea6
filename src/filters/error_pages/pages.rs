use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::config::spec::{ErrorStatus, PageFiles, PageForm};
use crate::hooks::{BuildCx, BuildError, Watched};
use crate::semantics::media_weight;
use crate::types::Vars;

use super::page::{Page, Told};

/// Pages by the status of the error.
#[derive(Debug, Default)]
pub(crate) struct Pages(Vec<(ErrorStatus, Forms)>);

/// A page in its forms, the first of which is for those who like several equally.
#[derive(Debug)]
pub(crate) struct Forms(Vec<(PageForm, Watched<Page>)>);

impl Pages {
    /// Reads the files, and has them read again when they change.
    ///
    /// # Errors
    /// When one cannot be read; it stands under the status.
    pub(crate) fn build(
        files: impl IntoIterator<Item = (ErrorStatus, PageFiles)>,
        cx: &BuildCx<'_>,
    ) -> Result<Self, BuildError> {
        let page = |(status, files): (ErrorStatus, PageFiles)| {
            let forms = Forms::build(&files, cx).map_err(|error| error.at(status))?;
            Ok((status, forms))
        };
        files.into_iter().map(page).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = ErrorStatus> {
        self.0.iter().map(|(status, _)| *status)
    }

    /// The page for a status, if there is one.
    pub(crate) fn of(&self, status: StatusCode) -> Option<&Forms> {
        let fits = self.0.iter().filter_map(|(of, forms)| Some((of.fit(status)?, forms)));
        fits.max_by_key(|(fit, _)| *fit).map(|(_, forms)| forms)
    }
}

impl Forms {
    fn build(files: &PageFiles, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let read = |(form, file)| Ok((form, cx.watch_file(file, Page::read)?));
        let forms: Vec<_> = files.iter().map(read).collect::<Result<_, BuildError>>()?;
        if forms.is_empty() {
            return Err(BuildError::new("the page has no file"));
        }
        Ok(Self(forms))
    }

    /// Whether what a client gets depends on what it accepts.
    pub(crate) fn vary(&self) -> bool {
        self.0.len() > 1
    }

    /// The media type and the page in the form that a client with these headers likes best, if it takes any.
    pub(crate) fn fill<V: Vars>(
        &self,
        headers: &HeaderMap,
        told: &Told<'_, V>,
    ) -> Option<(HeaderValue, Bytes)> {
        let weight = |form: PageForm| media_weight(headers, form.media());
        let taken = self.0.iter().rev().filter(|(form, _)| weight(*form) > 0);
        let (form, page) = taken.max_by_key(|(form, _)| weight(*form))?;
        Some((HeaderValue::from_static(form.content_type()), page.get().fill(*form, told).into()))
    }
}
