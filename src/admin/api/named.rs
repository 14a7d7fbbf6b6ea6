use axum::extract::{FromRequestParts, Path};
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::admin::problem::Problem;

/// Which endpoint.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct EndpointPath {
    /// The name of the pool.
    pub(super) pool: String,
    /// The address of the endpoint, percent-encoded: `10.0.0.7:80`, `unix:%2Frun%2Fapp.sock`.
    pub(super) endpoint: String,
}

/// Which pool of which route.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SidePath {
    /// The name of the route.
    pub(super) route: String,
    /// The name of the pool.
    pub(super) pool: String,
}

/// The names in a path, without their encoding.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Named<T>(pub(in crate::admin) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|_| NO_NAME)
    }
}

const NO_NAME: Problem = Problem::new(
    StatusCode::NOT_FOUND,
    "a name in the path is none: it is not UTF-8",
    "encode names in UTF-8, and then with percent signs",
);
