use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use http::{Method, Uri};

use crate::config::read_secret;
use crate::hooks::Scheme;
use crate::runtime::{DebugKey, Signed};

use super::output::{fail, print_line};

#[derive(Debug, Args)]
pub(super) struct DebugHeader {
    /// The file with the secret of `server.debug_secret`.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The method.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    request: Method,
    /// The whole URL, as the request will ask for it.
    url: Uri,
}

impl DebugHeader {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { key_file, request, url } = self;
        let secret = read_secret(&key_file)
            .map_err(|error| fail(format_args!("`{}` cannot be read: {error}", key_file.display())))?;
        let Some(authority) = url.authority() else {
            return Err(fail("the URL has no host; write it whole, like http://example.com/path"));
        };
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let signed = Signed {
            method: &request,
            scheme: if url.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http },
            host,
            target: url.path_and_query().map_or("/", |target| target.as_str()),
        };
        let value = DebugKey::new(&secret).sign(&signed, SystemTime::now());
        print_line(format_args!("Evener-Debug: {value}"))
    }
}
