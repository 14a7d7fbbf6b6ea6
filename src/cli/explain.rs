use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::app::AppBuilder;
use crate::control::{Command, Reply};
use crate::runtime::Question;

use super::output::{fail, print};
use super::process::Process;
use super::{load, unexpected};

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The configuration file; with `--online` that of the process, which says where its control socket is.
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["online", "socket"])]
    config: Option<PathBuf>,
    /// Ask the process that runs, by its state at this moment: who is fit, what is in flight, whom the policy would pick,
    /// what limits have left.
    #[arg(long)]
    online: bool,
    /// The same by its control socket. Default: `run/evener.sock` in the working directory.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
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

fn ask(process: &Process, question: &Question) -> Result<(), u8> {
    match process.ask(&Command::Explain { question: question.into() }, |_| ())? {
        Reply::Explained(text) => print(text),
        _ => Err(unexpected()),
    }
}

impl Explain {
    pub(super) fn run(self, builder: &AppBuilder) -> Result<(), u8> {
        let Self { config, online, socket, request, header, client, listener, url } = self;
        let headers = header.into_iter().collect::<HeaderMap>();
        let question = Question { method: request, url, headers, client_ip: client, listener };
        match config {
            Some(config) if !online => {
                let app = load(builder, &config)?;
                print(app.explain(&question).map_err(fail)?)
            }
            config => ask(&Process::found_by(config, socket), &question),
        }
    }
}
