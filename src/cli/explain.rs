use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::app::AppBuilder;
use crate::runtime::Question;

use super::load;
use super::output::{fail, print};

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The method.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    request: Method,
    /// A header of the request; may be given several times.
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = parse_header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// The client's address.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client: IpAddr,
    /// The listener that it comes in on. Default: the one with the URL's port, or the first.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The whole URL: scheme, host, perhaps a port, path and query. For what does not speak HTTP `tcp://HOST:PORT`, with
    /// `?sni=NAME&alpn=PROTOCOL` for a client that begins TLS, or `udp://HOST:PORT`.
    url: Uri,
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}

impl Explain {
    pub(super) fn run(self, builder: &AppBuilder) -> Result<(), u8> {
        let Self { config, request, header, client, listener, url } = self;
        let headers = header.into_iter().collect::<HeaderMap>();
        let question = Question { method: request, url, headers, client_ip: client, listener };
        let app = load(builder, &config)?;
        print(app.explain(&question).map_err(fail)?)
    }
}
