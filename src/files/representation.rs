use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::config::spec::{FileCoding, FileExtension, FilesSpec, MediaType};
use crate::hooks::{Answer, Body};
use crate::semantics::{Boundary, Precondition, Ranges, Validators, codings_by_preference, content_range};
use crate::types::{FilePath, with_random};

use super::contents::{Contents, Part};
use super::root::{Found, Opened, Root};
use super::{Request, media};

/// What clients get of files: in which coding, which parts, and for how long.
#[derive(Debug)]
pub(super) struct Representations {
    codings: Vec<FileCoding>,
    /// Their names in HTTP, in the same order.
    coding_names: Vec<&'static str>,
    cache_control: Option<HeaderValue>,
    /// By the end of a file's name, in lower case and without its dot.
    types: HashMap<Vec<u8>, HeaderValue>,
}

/// What a file is served as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Itself.
    File,
    /// The page of an application, under any of its paths.
    Application,
    /// The page that says that there is none.
    Missing,
}

/// A file in the coding in which it is served.
struct Chosen {
    file: Opened,
    coding: Option<FileCoding>,
    media: HeaderValue,
    /// Always there: what it is made of makes a value.
    etag: Option<HeaderValue>,
    modified: SystemTime,
}

impl Representations {
    pub(super) fn new(spec: &FilesSpec) -> Self {
        let immutable = if spec.immutable { ", immutable" } else { "" };
        let max_age = |seconds| HeaderValue::try_from(format!("max-age={seconds}{immutable}")).ok();
        let own_type = |(extension, media): (&FileExtension, &MediaType)| {
            let extension = extension.as_str().trim_start_matches('.').to_ascii_lowercase().into_bytes();
            HeaderValue::from_str(media.as_str()).ok().map(|media| (extension, media))
        };
        Self {
            codings: spec.precompressed.clone(),
            coding_names: spec.precompressed.iter().map(|coding| coding.as_str()).collect(),
            cache_control: spec.expires.and_then(|expires| max_age(expires.get().as_secs())),
            types: spec.types.iter().filter_map(own_type).collect(),
        }
    }

    /// The answer to a request for a file.
    pub(super) async fn answer(
        &self,
        root: &Root,
        request: Request<'_>,
        asked: Asked,
        path: &FilePath,
        file: Opened,
    ) -> io::Result<Answer> {
        let now = SystemTime::now();
        let chosen = self.choose(root, request, path, file, now).await;
        if asked == Asked::Missing {
            let answer = self.head(StatusCode::NOT_FOUND, asked, &chosen);
            return with_body(answer, request, whole(chosen.file)).await;
        }
        let etag = chosen.etag.as_ref().map(HeaderValue::as_bytes);
        let validators = Validators { etag, modified: Some(chosen.modified) };
        match validators.judge(request.method, request.headers) {
            Precondition::NotModified => return Ok(self.head(StatusCode::NOT_MODIFIED, asked, &chosen)),
            Precondition::Failed => return Ok(self.head(StatusCode::PRECONDITION_FAILED, asked, &chosen)),
            Precondition::Holds => {}
        }
        let length = chosen.file.length;
        let has_parts = *request.method == Method::GET && validators.allows_ranges(request.headers, now);
        let ranges = if has_parts { Ranges::of(request.headers, length) } else { Ranges::Whole };
        match ranges {
            Ranges::Whole => {
                let answer = self.head(StatusCode::OK, asked, &chosen);
                with_body(answer, request, whole(chosen.file)).await
            }
            Ranges::Unsatisfiable => {
                let answer = self.head(StatusCode::RANGE_NOT_SATISFIABLE, asked, &chosen);
                Ok(with_text(answer, CONTENT_RANGE, content_range(None, length)))
            }
            Ranges::Parts(parts) => {
                let answer = self.head(StatusCode::PARTIAL_CONTENT, asked, &chosen);
                with_ranges(answer, request, chosen, &parts).await
            }
        }
    }

    /// The file itself, or the neighbour in the coding that the client likes best.
    async fn choose(
        &self,
        root: &Root,
        request: Request<'_>,
        path: &FilePath,
        file: Opened,
        now: SystemTime,
    ) -> Chosen {
        let media = self.media(path);
        for name in codings_by_preference(request.headers, &self.coding_names) {
            let Some(coding) = self.codings.iter().copied().find(|coding| coding.as_str() == name) else {
                continue;
            };
            // What cannot be opened is as if it were not there.
            let neighbour = root.find(&path.with_suffix(coding.suffix())).await;
            if let Ok(Some(Found::File(neighbour))) = neighbour
                && neighbour.modified >= file.modified
            {
                return Chosen::new(neighbour, Some(coding), media, now);
            }
        }
        Chosen::new(file, None, media, now)
    }

    fn media(&self, path: &FilePath) -> HeaderValue {
        let extension = path.extension().unwrap_or_default();
        if !self.types.is_empty()
            && let Some(own) = self.types.get(&extension.to_ascii_lowercase())
        {
            return own.clone();
        }
        HeaderValue::from_static(media::usual(extension).unwrap_or(media::UNKNOWN))
    }

    /// An answer with everything but a body and what tells of it.
    fn head(&self, status: StatusCode, asked: Asked, chosen: &Chosen) -> Answer {
        let mut answer = Answer::new(status, "");
        let has_content = status.is_success() || asked == Asked::Missing;
        // A refusal is none to be kept for as long as the file is.
        let tells_of_file = status.is_success() || status == StatusCode::NOT_MODIFIED;
        let mut set = |name: HeaderName, value: HeaderValue| answer.headers.push((name, value));
        if asked != Asked::Missing {
            chosen.etag.clone().into_iter().for_each(|etag| set(ETAG, etag));
            set(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            if let Ok(modified) = HeaderValue::try_from(httpdate::fmt_http_date(chosen.modified)) {
                set(LAST_MODIFIED, modified);
            }
        }
        if !self.codings.is_empty() {
            set(VARY, HeaderValue::from_static("accept-encoding"));
        }
        match (asked, &self.cache_control) {
            // It changes with every version of the application.
            (Asked::Application, _) => set(CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (Asked::File, Some(value)) if tells_of_file => set(CACHE_CONTROL, value.clone()),
            _ => {}
        }
        if has_content {
            set(CONTENT_TYPE, chosen.media.clone());
            if let Some(coding) = chosen.coding {
                set(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
            }
        }
        answer
    }
}

impl Chosen {
    fn new(file: Opened, coding: Option<FileCoding>, media: HeaderValue, now: SystemTime) -> Self {
        let suffix = coding.map(|coding| format!("-{}", coding.as_str())).unwrap_or_default();
        let etag = format!("\"{:x}-{:x}{suffix}\"", file.modified, file.length);
        // Nothing may have changed later than its answer is made (RFC 9110 §8.8.2.1).
        let modified = time(file.modified).min(now);
        Self { file, coding, media, etag: HeaderValue::try_from(etag).ok(), modified }
    }
}

fn time(nanos: i128) -> SystemTime {
    let nanos = u64::try_from(nanos).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn whole(file: Opened) -> Contents {
    Contents::new(file.file, [Part::Bytes(0..file.length)])
}

/// Adds a body, of which nothing is read where only its head is asked for.
async fn with_body(mut answer: Answer, request: Request<'_>, contents: Contents) -> io::Result<Answer> {
    let is_read = *request.method != Method::HEAD;
    answer.body = if is_read { contents.into_body().await? } else { Body::stream(contents) };
    Ok(answer)
}

async fn with_ranges(
    mut answer: Answer,
    request: Request<'_>,
    chosen: Chosen,
    ranges: &[Range<u64>],
) -> io::Result<Answer> {
    let Chosen { file, media, .. } = chosen;
    if let [range] = ranges {
        let answer = with_text(answer, CONTENT_RANGE, content_range(Some(range), file.length));
        return with_body(answer, request, Contents::new(file.file, [Part::Bytes(range.clone())])).await;
    }
    let boundary = with_random(|random| Boundary::new(random.u128(..)));
    let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
    for (at, range) in ranges.iter().enumerate() {
        parts.push(Part::Text(boundary.head(media.to_str().ok(), range, file.length, at == 0).into()));
        parts.push(Part::Bytes(range.clone()));
    }
    parts.push(Part::Text(boundary.end().into()));
    answer.headers.retain(|(name, _)| *name != CONTENT_TYPE);
    let answer = with_text(answer, CONTENT_TYPE, boundary.media_type());
    with_body(answer, request, Contents::new(file.file, parts)).await
}

/// Adds a header that is made of digits and plain words, which every value may hold.
fn with_text(answer: Answer, name: HeaderName, text: String) -> Answer {
    match HeaderValue::try_from(text) {
        Ok(value) => answer.with_header(name, value),
        Err(_) => answer,
    }
}
