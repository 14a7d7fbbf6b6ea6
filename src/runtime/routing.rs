use crate::router::{Parts, RouteId, Router};
use crate::types::normalise_path;

use super::Cause;

/// The route of a request whose path is in canonical form.
///
/// A path with an encoded slash goes on only if reading it as a slash would change nothing: else whoever guards
/// the decoded path would be passed by.
pub(crate) fn find_route(router: &Router, parts: &Parts<'_>) -> Result<RouteId, Cause> {
    const ENCODED_SLASH: &str = "%2F";

    let found = router.find(parts);
    if memchr::memchr(b'%', parts.path.as_bytes()).is_some() && parts.path.contains(ENCODED_SLASH) {
        let decoded = parts.path.replace(ENCODED_SLASH, "/");
        let canonical = normalise_path(&decoded).map_err(|_| Cause::BadRequest)?;
        let path = canonical.as_deref().unwrap_or(&decoded);
        if router.find(&Parts { path, ..*parts }) != found {
            return Err(Cause::BadRequest);
        }
    }
    found.ok_or(Cause::NoRoute)
}
