//! The command line: thin, and the same for every program that is built on the library.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::app::{App, AppBuilder};
use crate::runtime::Question;

/// The exit code for a configuration that is refused (EX_USAGE of sysexits.h).
const BAD_CONFIG: u8 = 64;
/// The exit code for everything else that fails.
const FAILED: u8 = 1;

/// A programmable edge proxy and load balancer.
#[derive(Debug, Parser)]
#[command(name = "evener", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a configuration until a signal ends it: SIGINT at once, SIGTERM after the running requests.
    Run {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration as a start would, and print what it comes to. Exits with 64 when it is refused.
    Check {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say what would become of a request, and why: candidates, filters, pool.
    Explain {
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
        /// The whole URL: scheme, host, perhaps a port, path and query.
        url: Uri,
    },
    /// Print the reference of all configuration keys as Markdown.
    Reference,
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}

/// Reads the command line and does what it says, with the hooks of `builder`.
///
/// Exit codes: 0, 64 for a configuration that is refused, 1 for anything else that fails, 2 for a wrong command
/// line.
pub fn main(builder: &AppBuilder) -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run { config } => run(builder, &config),
        Command::Check { config } => check(builder, &config),
        Command::Explain { config, request, header, client, listener, url } => {
            let headers = header.into_iter().collect::<HeaderMap>();
            let question = Question { method: request, url, headers, client_ip: client, listener };
            load(builder, &config).and_then(|app| explain(&app, &question))
        }
        Command::Reference => {
            print!("{}", builder.reference());
            Ok(())
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "evener", &mut io::stdout());
            Ok(())
        }
    };
    done.map_or_else(ExitCode::from, |()| ExitCode::SUCCESS)
}

fn load(builder: &AppBuilder, config: &Path) -> Result<App, u8> {
    builder.load(config).map_err(|error| {
        eprint!("{error}");
        BAD_CONFIG
    })
}

fn run(builder: &AppBuilder, config: &Path) -> Result<(), u8> {
    let app = load(builder, config)?;
    eprint!("{}", app.warnings());
    let bound = app.bind().map_err(|error| {
        eprintln!("evener: {error}");
        FAILED
    })?;
    eprint!("{}", bound.banner());
    bound.run();
    Ok(())
}

fn check(builder: &AppBuilder, config: &Path) -> Result<(), u8> {
    let app = load(builder, config)?;
    eprint!("{}", app.warnings());
    print!("{}", app.summary());
    Ok(())
}

fn explain(app: &App, question: &Question) -> Result<(), u8> {
    match app.explain(question) {
        Ok(answer) => {
            print!("{answer}");
            Ok(())
        }
        Err(error) => {
            eprintln!("evener: {error}");
            Err(FAILED)
        }
    }
}
