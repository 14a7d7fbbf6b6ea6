//! The files of a folder as answers: the route action `files`.
//!
//! [`Root`] finds what a path leads to and never leaves its folder, [`representation`] says what the client gets
//! of it, and [`contents`] reads it piece by piece. Workers never wait for a disk: what the kernel has in memory is had at
//! once, all else is opened and read by threads that may wait.
//!
//! The module knows nothing of Pingora and of connections; what it makes is an [`Answer`].

mod contents;
mod media;
mod off_worker;
mod representation;
mod root;

use std::fmt;
use std::io;
use std::path::Path;

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rustix::io::Errno;
use tokio::time::{Instant, timeout};

use crate::config::spec::{FilesSpec, SitePath};
use crate::hooks::Answer;
use crate::semantics::media_weight;
use crate::types::{FilePath, Hidden, Rarely};

use off_worker::PATIENCE;
use representation::{Asked, Representations};
use root::{Found, Opened, Root};

/// A folder as clients see it.
#[derive(Debug)]
pub(crate) struct Files {
    root: Root,
    index: Vec<String>,
    hidden: Hidden,
    spa: Option<FilePath>,
    not_found: Option<FilePath>,
    representations: Representations,
    told: Rarely,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    /// In canonical form.
    pub(crate) path: &'a str,
    /// The path before filters left nothing of it but the slash.
    pub(crate) stripped: Option<&'a str>,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Files are only read.
    Method,
    /// There is no such file, or none that may be served.
    NotFound,
    /// It cannot be read.
    Unreadable,
    /// The disk does not answer.
    TimedOut,
}

impl Files {
    /// Opens the folder at `root`.
    ///
    /// # Errors
    /// When it is not there, is no folder, or the kernel cannot keep paths inside of it.
    pub(crate) fn open(root: &Path, spec: &FilesSpec) -> io::Result<Self> {
        let page = |path: &SitePath| FilePath::parse(path.as_str(), Hidden::Served);
        Ok(Self {
            root: Root::open(root, spec.symlinks, Instant::now())?,
            index: spec.index.iter().map(ToString::to_string).collect(),
            hidden: if spec.hidden { Hidden::Served } else { Hidden::Kept },
            spa: spec.spa.as_ref().and_then(page),
            not_found: spec.not_found.as_ref().and_then(page),
            representations: Representations::new(spec),
            told: Rarely::default(),
        })
    }

    /// The folder, for people.
    pub(crate) fn describe(&self) -> String {
        self.root.path().display().to_string()
    }

    /// Answers a request. The body is read as the client takes it.
    ///
    /// # Errors
    /// When there is nothing to serve.
    pub(crate) async fn answer(&self, request: Request<'_>) -> Result<Answer, Refused> {
        match timeout(PATIENCE, self.find_answer(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.tell(request.path, "the disk does not answer");
                Err(Refused::TimedOut)
            }
        }
    }

    async fn find_answer(&self, request: Request<'_>) -> Result<Answer, Refused> {
        if *request.method != Method::GET && *request.method != Method::HEAD {
            return Err(Refused::Method);
        }
        let Some(path) = FilePath::parse(request.path, self.hidden) else {
            return self.missing(request).await;
        };
        let found =
            if path.ends_with_slash() { self.index_of(&path).await? } else { self.find(&path).await? };
        match found {
            Some(_) if request.path == "/" && request.stripped.is_some() => Ok(to_folder(request)),
            Some((path, Found::File(file))) => self.represent(request, Asked::File, &path, file).await,
            Some((_, Found::Folder)) if self.index_of(&path).await?.is_some() => Ok(to_folder(request)),
            _ => self.missing(request).await,
        }
    }

    /// The first index that a folder has.
    async fn index_of(&self, folder: &FilePath) -> Result<Option<(FilePath, Found)>, Refused> {
        for name in &self.index {
            if let Some((path, Found::File(file))) = self.find(&folder.join(name)).await? {
                return Ok(Some((path, Found::File(file))));
            }
        }
        Ok(None)
    }

    /// What is served where there is no file.
    async fn missing(&self, request: Request<'_>) -> Result<Answer, Refused> {
        let (asked, page) = match (&self.spa, &self.not_found) {
            (Some(page), _) if is_place(request) => (Asked::Application, page),
            (_, Some(page)) => (Asked::Missing, page),
            _ => return Err(Refused::NotFound),
        };
        match self.find(page).await? {
            Some((path, Found::File(file))) => self.represent(request, asked, &path, file).await,
            _ => Err(Refused::NotFound),
        }
    }

    async fn represent(
        &self,
        request: Request<'_>,
        asked: Asked,
        path: &FilePath,
        file: Opened,
    ) -> Result<Answer, Refused> {
        let answer = self.representations.answer(&self.root, request, asked, path, file).await;
        answer.map_err(|error| self.refuse(path, &error))
    }

    async fn find(&self, path: &FilePath) -> Result<Option<(FilePath, Found)>, Refused> {
        match self.root.find(path).await {
            Ok(found) => Ok(found.map(|found| (path.clone(), found))),
            Err(error) => match self.refuse(path, &error) {
                Refused::NotFound => Ok(None),
                refused => Err(refused),
            },
        }
    }

    /// What an error means to clients, who learn nothing of what may not be read.
    fn refuse(&self, path: &FilePath, error: &io::Error) -> Refused {
        let refused = match Errno::from_io_error(error) {
            // A name that cannot be, a link that is not followed or leads out of the folder, and a socket.
            Some(
                Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::XDEV | Errno::NXIO,
            ) => return Refused::NotFound,
            Some(Errno::ACCESS | Errno::PERM) => Refused::NotFound,
            _ if error.kind() == io::ErrorKind::TimedOut => Refused::TimedOut,
            _ => Refused::Unreadable,
        };
        self.tell(self.root.path().join(path.as_path()), error);
        refused
    }

    /// Tells the log why something cannot be read, once in a while.
    fn tell(&self, path: impl fmt::Debug, error: impl fmt::Display) {
        if self.told.may_tell(Instant::now()) {
            log::warn!("a file cannot be read path={path:?} error={error}");
        }
    }
}

/// Whether a path is more likely a place in an application than a file: its last part has no dot, and its client takes HTML.
fn is_place(request: Request<'_>) -> bool {
    let last = request.path.rsplit('/').next().unwrap_or_default();
    !last.contains('.') && media_weight(request.headers, "text/html") > 0
}

/// Sends the client to the same path with a slash behind it, so that what the page names is found from there. The reference
/// is relative, and so is right whatever filters have taken off the path, and can lead to no other host.
fn to_folder(request: Request<'_>) -> Answer {
    let path = request.stripped.unwrap_or(request.path);
    let name = path.rsplit('/').next().unwrap_or_default();
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    let answer = Answer::new(StatusCode::PERMANENT_REDIRECT, "");
    match HeaderValue::try_from(format!("./{name}/{query}")) {
        Ok(location) => answer.with_header(LOCATION, location),
        Err(_) => Answer::new(StatusCode::BAD_REQUEST, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_fails_requests_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "a").unwrap();
        let spec = serde_yaml::from_str("{ root: . }").unwrap();
        let files = Files::open(folder.path(), &spec).unwrap();
        let headers = HeaderMap::new();
        let ask = async |path| {
            files
                .answer(Request {
                    method: &Method::GET,
                    path,
                    stripped: None,
                    query: None,
                    headers: &headers,
                })
                .await
                .map(drop)
        };
        let hanging = off_worker::hang().await;
        // Nobody has asked for it yet, so that the kernel has to look.
        assert_eq!(ask("/none.txt").await, Err(Refused::TimedOut));
        drop(hanging);
        assert_eq!(ask("/none.txt").await, Err(Refused::NotFound));
        assert_eq!(ask("/a.txt").await, Ok(()));
    }
}
