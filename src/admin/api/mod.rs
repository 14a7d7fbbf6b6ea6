//! The admin API: what the process does and serves, in JSON, under `/v1`.
//!
//! The document of the API is made of the same handlers that answer, and of the doc comments of what they answer with.

mod lately;
mod look;
mod named;
mod order;
mod process;
mod steer;
mod tag;
#[cfg(test)]
mod tests;
mod version;

use std::sync::Arc;

use axum::Router;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Sight;
use super::json::Json;
use super::problem::Problem;

/// Looks into a process of Evener, and steers it. Fields and paths that are there stay there; others may come.
#[derive(OpenApi)]
#[openapi(
    info(title = "Evener admin API", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    modifiers(&Bearer),
    components(schemas(Problem)),
    tags(
        (name = "process", description = "The process as a whole."),
        (name = "traffic", description = "What clients ask for, and who answers."),
        (name = "configuration", description = "What is served, and was."),
        (name = "steering", description = "Changes, which need a token with `scope: operate`, or the control socket."),
    )
)]
struct Document;

/// The security scheme of all that needs a token: one of `admin.tokens`.
struct Bearer;

const BEARER: &str = "bearer";

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of `admin.tokens`."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    }
}

/// All paths below `/v1`, and the document of them.
pub(super) fn router() -> (Router<Arc<Sight>>, String) {
    let (router, mut document) = paths().split_for_parts();
    document.paths.paths.values_mut().for_each(complete);
    (router, Json(document).text())
}

/// Everything that the document tells of.
fn paths() -> OpenApiRouter<Arc<Sight>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(look::status))
        .routes(routes!(look::listeners))
        .routes(routes!(look::routes))
        .routes(routes!(look::pools))
        .routes(routes!(look::pool))
        .routes(routes!(look::endpoint))
        .routes(routes!(look::splits))
        .routes(routes!(look::split))
        .routes(routes!(look::certificates))
        .routes(routes!(look::caches))
        .routes(routes!(look::history))
        .routes(routes!(look::config))
        .routes(routes!(look::drift))
        .routes(routes!(lately::series))
        .routes(routes!(lately::transitions))
        .routes(routes!(lately::events))
        .routes(routes!(look::document))
        .routes(routes!(steer::drain))
        .routes(routes!(steer::undrain))
        .routes(routes!(steer::eject))
        .routes(routes!(steer::weigh))
        .routes(routes!(steer::weigh_side))
        .routes(routes!(steer::steer_canary))
        .routes(routes!(process::reload))
        .routes(routes!(process::roll_back))
        .routes(routes!(process::purge_all))
        .routes(routes!(process::purge_one))
        .routes(routes!(process::level, process::set_level))
        .routes(routes!(process::audit))
}

/// Adds what may become of every request, and of every change, and describes answers that are what their path is about.
fn complete(path: &mut PathItem) {
    const OF_ALL: [(&str, &str); 5] = [
        ("400", "A part of the path or the body cannot be read."),
        ("401", "There is no token, or one that is not known."),
        ("403", "The page of another origin has asked."),
        ("421", "The host that is asked for is none of this process's."),
        ("429", "Too many wrong tokens came from there."),
    ];
    const OF_CHANGES: [(&str, &str); 5] = [
        ("403", "The token is only good for reading, or the page of another origin has asked."),
        ("408", "The body did not arrive in time."),
        ("412", "What was to be changed has changed since it was looked at."),
        ("413", "The body is too large."),
        ("415", "The body is no JSON."),
    ];
    if let Some(operation) = &mut path.get {
        add(operation, &OF_ALL);
        // Whether a token is needed is said by `admin.anonymous`.
        operation.security = Some(vec![SecurityRequirement::default(), bearer()]);
    }
    for operation in [&mut path.put, &mut path.post, &mut path.delete].into_iter().flatten() {
        add(operation, &OF_ALL);
        add(operation, &OF_CHANGES);
        operation.security = Some(vec![bearer()]);
    }
    let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
    operations.into_iter().flatten().for_each(describe);
}

fn bearer() -> SecurityRequirement {
    SecurityRequirement::new::<_, [&str; 0], _>(BEARER, [])
}

/// Whatever is told without words is told by what the path is for.
fn describe(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = operation.summary.clone().unwrap_or_default();
        }
    }
}

fn add(operation: &mut Operation, refusals: &[(&str, &str)]) {
    for (status, description) in refusals {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(*description).content("application/json", problem);
        let known = &mut operation.responses.responses;
        known.entry((*status).to_owned()).or_insert_with(|| response.build().into());
    }
}
