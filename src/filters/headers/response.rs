use async_trait::async_trait;

use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, HookError, RequestVars, ResponseView};

use super::HeaderSettings;
use super::owned::Side;
use super::rules::Rules;

/// The filter `response_headers`: changes the headers of responses, also of those made at the edge.
#[derive(Debug)]
pub struct ResponseHeaders {
    rules: Rules,
}

impl ResponseHeaders {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is nothing to do, a value cannot be a header's, or a header frames the message
    /// (`Content-Length`, `Transfer-Encoding`, `Connection`, …) or is `Date`.
    pub fn build(settings: HeaderSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        Ok(Self { rules: Rules::build(settings, Side::Response)? })
    }
}

#[async_trait]
impl Filter for ResponseHeaders {
    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let Rules { remove, set, add } = &self.rules;
        for name in remove {
            response.remove_header(name);
        }
        for (name, text) in set {
            if let Some(value) = text.value(&RequestVars::of_response(response, cx))? {
                response.set_header(name.clone(), value)?;
            }
        }
        for (name, text) in add {
            if let Some(value) = text.value(&RequestVars::of_response(response, cx))? {
                response.add_header(name.clone(), value)?;
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        self.rules.describe()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn build(yaml: &str) -> Result<ResponseHeaders, BuildError> {
        testing::build(serde_yaml::from_str(yaml).unwrap(), ResponseHeaders::build)
    }

    #[test]
    fn removes_then_sets_then_adds() {
        let yaml =
            "{ remove: [Server, X-Old], set: { X-By: '{endpoint} for {path}' }, add: { Server: evener } }";
        let mut exchange = Exchange::get("/a", Instant::now())
            .with_endpoint("10.0.0.7:80".parse().unwrap())
            .with_response_header("server", "secret/1.0")
            .with_response_header("x-by", "1")
            .with_response_header("x-old", "1");
        exchange.on_response(&build(yaml).unwrap()).unwrap();
        let headers = exchange.response_headers();
        assert_eq!(
            (headers.len(), &headers["server"], &headers["x-by"]),
            (2, &"evener".parse().unwrap(), &"10.0.0.7:80 for /a".parse().unwrap(),)
        );
    }

    #[test]
    fn headers_that_frame_and_the_date_are_refused_but_not_those_of_requests() {
        let names =
            ["Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Keep-Alive", "Trailer", "Date"];
        for name in names {
            let (key, message, _) = build(&format!("set: {{ {name}: x }}")).unwrap_err().into_parts();
            assert_eq!(key, ["set", name]);
            assert!(message.contains("cannot be changed"), "{message}");
            assert!(build(&format!("remove: [{name}]")).is_err());
        }
        assert!(build("set: { X-Request-ID: '{request_id}', Host: x }").is_ok());
    }
}
