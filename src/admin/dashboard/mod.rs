//! The page at `/`: everything that it needs is in the program, and its browser loads nothing from elsewhere.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};

/// A file of the page.
struct Asset {
    path: &'static str,
    media: &'static str,
    text: &'static str,
}

/// Nothing is loaded, shown or asked for but what comes from here, and nobody shows the page within another.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! assets {
    ($($path:literal = $file:literal as $media:literal),* $(,)?) => {
        [$(Asset { path: $path, media: $media, text: include_str!($file) }),*]
    };
}

const ASSETS: [Asset; ASSET_COUNT] = assets![
    "/" = "index.html" as "text/html; charset=utf-8",
    "/dashboard/style.css" = "style.css" as "text/css; charset=utf-8",
    "/dashboard/app.js" = "app.js" as "text/javascript; charset=utf-8",
    "/dashboard/charts.js" = "charts.js" as "text/javascript; charset=utf-8",
    "/dashboard/dom.js" = "dom.js" as "text/javascript; charset=utf-8",
    "/dashboard/format.js" = "format.js" as "text/javascript; charset=utf-8",
    "/dashboard/pools.js" = "pools.js" as "text/javascript; charset=utf-8",
    "/dashboard/problems.js" = "problems.js" as "text/javascript; charset=utf-8",
    "/dashboard/sections.js" = "sections.js" as "text/javascript; charset=utf-8",
    "/dashboard/steer.js" = "steer.js" as "text/javascript; charset=utf-8",
    "/dashboard/store.js" = "store.js" as "text/javascript; charset=utf-8",
    "/dashboard/stream.js" = "stream.js" as "text/javascript; charset=utf-8",
];
const ASSET_COUNT: usize = 12;

/// The routes of the page and its files. None of them tells anything of the process.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| router.route(asset.path, get(async || asset.answer())))
}

impl Asset {
    fn answer(&self) -> Response {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(self.media)),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        (headers, self.text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_served_and_imports_only_what_is() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/dashboard");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let served: Vec<_> = ASSETS.iter().map(|asset| asset.path.rsplit('/').next().unwrap()).collect();
        for file in files.map(|file| file.into_string().unwrap()) {
            let is_served = served.contains(&file.as_str()) || file == "index.html";
            assert!(is_served || file.ends_with(".rs"), "{file}");
        }
        let of_scripts = ASSETS.iter().filter(|asset| asset.path.ends_with(".js"));
        for line in of_scripts.flat_map(|asset| asset.text.lines()).filter(|line| line.starts_with("import "))
        {
            let from = line.rsplit('\'').nth(1).unwrap().strip_prefix("./").unwrap();
            assert!(served.contains(&from), "{line}");
        }
    }

    #[test]
    fn nothing_is_made_of_text_by_the_browser() {
        for asset in &ASSETS {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "style=\"",
                "onclick=",
            ] {
                assert!(!asset.text.contains(word), "{}: {word}", asset.path);
            }
        }
    }
}
