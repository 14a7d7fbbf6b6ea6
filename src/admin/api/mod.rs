//! The admin API: what the process does and serves, in JSON, under `/v1`.
//!
//! The document of the API is made of the same handlers that answer, and of the doc comments of what they answer with.

mod look;
mod named;
mod tag;
#[cfg(test)]
mod tests;
mod version;

use std::sync::Arc;

use axum::Router;
use utoipa::OpenApi;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
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
    )
)]
struct Document;

/// The security scheme `bearer`: a token of `admin.tokens`.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of `admin.tokens`."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
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
        .routes(routes!(look::document))
}

/// Adds what may become of every request, and describes answers that are what their path is about.
fn complete(path: &mut PathItem) {
    let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
    for operation in operations.into_iter().flatten() {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let strange_host = ResponseBuilder::new()
            .description("The host that is asked for is none of this process's.")
            .content("application/json", problem)
            .build();
        operation.responses.responses.insert("421".to_owned(), strange_host.into());
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response
                && response.description.is_empty()
            {
                response.description = operation.summary.clone().unwrap_or_default();
            }
        }
    }
}
