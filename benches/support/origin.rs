use std::net::SocketAddr;

use crate::{
    request::BODY,
    support::{Outcome, ports, process::Running, program::Program, workspace::Workspace},
};

/// The places of the endpoints in a configuration.
const PLACES: [&str; 3] = ["@A@", "@B@", "@C@"];

/// What the proxies are in front of: an nginx with one worker that answers on several ports by itself.
#[derive(Debug)]
pub(crate) struct Origin<const COUNT: usize> {
    pub(crate) endpoints: [SocketAddr; COUNT],
    _process: Running,
}

impl<const COUNT: usize> Origin<COUNT> {
    /// Starts it with the configuration `template`, which has a place for each endpoint and one for the body.
    pub(crate) fn start(workspace: &Workspace, template: &str) -> Outcome<Self> {
        let endpoints: [SocketAddr; COUNT] = ports::free()?;
        let mut places = vec![("@BODY@", BODY.to_owned())];
        places.extend(PLACES.into_iter().zip(endpoints.map(|endpoint| endpoint.to_string())));
        let conf = workspace.write("origin.conf", template, &places)?;
        let command = Program::Nginx.serve(&conf)?;
        let process = workspace.start("origin", &workspace.cores.surroundings, &command, endpoints[0])?;
        Ok(Self { endpoints, _process: process })
    }
}
