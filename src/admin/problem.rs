use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::runtime::ControlError;

use super::json::Json;
use super::refusals::Unnoted;

/// Why there is no answer, and what to do: `{"error": "...", "help": "..."}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    #[serde(skip)]
    pub(super) status: StatusCode,
    /// What is wrong.
    #[schema(value_type = String)]
    pub(super) error: Cow<'static, str>,
    /// What to do about it.
    #[schema(value_type = String)]
    pub(super) help: Cow<'static, str>,
    /// Whether the audit log has it already, by whoever was to make the change.
    #[serde(skip)]
    pub(super) is_noted: bool,
    /// What others may know of it, where `error` tells what somebody has sent.
    #[serde(skip)]
    pub(super) public: Option<Cow<'static, str>>,
}

impl Problem {
    pub(super) const fn new(status: StatusCode, error: &'static str, help: &'static str) -> Self {
        Self { status, error: Cow::Borrowed(error), help: Cow::Borrowed(help), is_noted: false, public: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let unnoted =
            (!self.is_noted).then(|| Unnoted(self.public.clone().unwrap_or_else(|| self.error.clone())));
        let mut response = (self.status, Json(self)).into_response();
        unnoted.map(|unnoted| response.extensions_mut().insert(unnoted));
        response
    }
}

/// What names something that is not there is not found; everything else cannot be as things stand.
impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let status = if error.is_unknown() { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
        let told = error.to_string();
        let (error, help) = told.split_once(HELP).unwrap_or((&told, ""));
        let (error, help) = (error.to_owned().into(), help.replace(HELP, " ").into());
        Self { status, error, help, is_noted: true, public: None }
    }
}

/// What stands before each help of an error.
const HELP: &str = "\n  help: ";
